"""The test part: opened here, by a promotion, and nowhere else in the package.

An `Experiment` blanks the labels of the test part. This hands them out explicitly, and first writes
to the promotion's run, and to the study's, when it did. So how often a test part has been looked at
can be counted, which is what keeps its figures worth something. Not here: what is made of them
(`fourier.release.statistics`).
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from fourier.tracking import TrackedRun, Tracker
from fourier.training import Experiment

OPENED = "fourier.test_opened"
"""The tag that says when, as ISO 8601 in UTC."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The clips of the test part with what is true of them.

    Attributes:
        rows: their row numbers among the decoded clips, int64 [n].
        targets: numbers [n, dimensions] or labels [n].
        tracks: the track of each clip [n].
        opened: when the labels were read, ISO 8601 in UTC.
    """

    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.generic]
    tracks: npt.NDArray[np.str_]
    opened: str


def count_test_tracks(experiment: Experiment) -> int:
    """Tracks in the test part; opens nothing."""
    return int(experiment.clips.loc[(experiment.parts == "test").to_numpy(), "track"].nunique())


def count_openings(tracker: Tracker, experiment_id: str, experiment: Experiment) -> int:
    """How often the test part of this very corpus and protocol was opened before, by any study."""
    same = {
        "fourier.kind": "promotion",
        "fourier.corpus_digest": experiment.corpus.digest,
        "fourier.protocol": experiment.protocol,
    }
    return sum(OPENED in run.data.tags for run in tracker.find_runs(experiment_id, same))


def open_held_out(experiment: Experiment, run: TrackedRun, study_run: TrackedRun) -> HeldOut:
    """Read the labels of the test part, after it was written down that this happens.

    Args:
        experiment: corpus and split.
        run: of the promotion.
        study_run: of the study whose winner is measured.

    Raises:
        TrackingError: it cannot be written down; then nothing is read.
    """
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    for each in (run, study_run):
        each.set_tags({OPENED: opened})
    rows = np.flatnonzero(experiment.parts == "test")
    clips = experiment.clips.iloc[rows]
    corpus = experiment.corpus
    targets = (
        clips["label"].to_numpy(dtype=np.int64)
        if corpus.classes
        else clips[list(corpus.targets)].to_numpy(dtype=np.float32)
    )
    return HeldOut(rows, targets, clips["track"].to_numpy(dtype=str), opened)
