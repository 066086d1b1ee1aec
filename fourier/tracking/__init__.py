"""What happened, in MLflow: runs, their pictures and the links to them."""

from fourier.shown import without_password
from fourier.tracking.files import find_damaged, scratch_folder, write_checksums
from fourier.tracking.lines import Line, Panel, draw_lines
from fourier.tracking.links import save_view, version_link
from fourier.tracking.outage import require_answer
from fourier.tracking.outbox import SPOOL
from fourier.tracking.pictures import draw_trial
from fourier.tracking.runs import TrackedRun
from fourier.tracking.spool import Kept, look
from fourier.tracking.tracker import Tracker
from fourier.tracking.writes import KEY, KEY_TAG

__all__ = [
    "KEY",
    "KEY_TAG",
    "SPOOL",
    "Kept",
    "Line",
    "Panel",
    "TrackedRun",
    "Tracker",
    "draw_lines",
    "draw_trial",
    "find_damaged",
    "look",
    "require_answer",
    "save_view",
    "scratch_folder",
    "version_link",
    "without_password",
    "write_checksums",
]
