"""What happened, in MLflow: runs, their pictures and the links to them."""

from fourier.tracking.links import save_view
from fourier.tracking.pictures import draw_trial
from fourier.tracking.runs import TrackedRun, Tracker, require_answer, without_password

__all__ = ["TrackedRun", "Tracker", "draw_trial", "require_answer", "save_view", "without_password"]
