"""What a run says of itself: its ``config.json``, read back and checked.

Not here: training it again (`fourier.release.reproduce`).
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourier.config import TrialConfig
from fourier.config.plain import shorten
from fourier.errors import ConfigError, ReleaseError
from fourier.release.registry import registry_errors
from fourier.tracking import Tracker, find_damaged
from fourier.tracking.files import CHECKSUMS_FILE

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class RunConfig:
    """A run's ``config.json``.

    Attributes:
        task: ``deam``, ``gtzan``, or the kind of a labelled folder.
        corpus: name of the corpus.
        corpus_digest: its identity.
        clip_seconds: length of its clips; None in runs that did not say it yet.
        protocol: how tracks were split.
        objective: the metric that the best epoch was chosen by.
        trial: what was trained.
        folds: on how many folds; 0 for the protocol's own parts.
    """

    task: str
    corpus: str
    corpus_digest: str
    clip_seconds: float | None
    protocol: str
    objective: str
    trial: TrialConfig
    folds: int = 0


def read_config(tracker: Tracker, run_id: str) -> RunConfig:
    """Fetch and read the ``config.json`` of a run.

    Raises:
        ReleaseError: there is no such run, or it has no such file (a trial that failed), or the
            file is not what was written.
        ConfigError: the file does not describe an experiment.
    """
    with (
        registry_errors(tracker, f"there is no run {run_id} with a {CONFIG_FILE}"),
        tempfile.TemporaryDirectory() as folder,
    ):
        data = Path(tracker.client.download_artifacts(run_id, CONFIG_FILE, folder)).read_bytes()
        if any(each.path == CHECKSUMS_FILE for each in tracker.client.list_artifacts(run_id)):
            tracker.client.download_artifacts(run_id, CHECKSUMS_FILE, folder)
        damaged = find_damaged(Path(folder))
    for name, reason in damaged.items():
        raise ReleaseError(
            f"{name} of run {run_id} is damaged ({reason}); put it back from a copy, or name "
            "another run"
        )
    return parse_config(data, run_id)


def damaged_files(tracker: Tracker, run_id: str) -> dict[str, str]:
    """All files of a run that are not what was written, weights among them; reasons by name."""
    with (
        registry_errors(tracker, f"the files of run {run_id} cannot be read"),
        tempfile.TemporaryDirectory() as folder,
    ):
        return find_damaged(Path(tracker.client.download_artifacts(run_id, "", folder)))


def parse_config(data: bytes, run_id: str) -> RunConfig:
    """Read a ``config.json``.

    Raises:
        ConfigError: it does not describe an experiment.
    """
    try:
        return _parse(json.loads(data))
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{CONFIG_FILE} of run {run_id} does not describe an experiment ({shorten(error)}); "
            "name another run"
        ) from None


def _parse(data: dict[str, Any]) -> RunConfig:
    return RunConfig(
        task=str(data["task"]),
        corpus=str(data["corpus"]["name"]),
        corpus_digest=str(data["corpus"]["digest"]),
        clip_seconds=data["corpus"].get("clip_seconds"),
        protocol=str(data["protocol"]),
        objective=str(data["objective"]),
        trial=TrialConfig.from_dict(data["trial"]),
        folds=int(data.get("folds", 0)),
    )
