"""How long the default sweep takes to what a plain random search finds in 40 trials.

Both are sweeps of `experiments/sweep_deam.py` on three clips of each song of the demo corpus, six
epochs a trial, with everything around them: the peer draws at random, prunes nobody and knows no
point to start from; the project is what `python experiments/sweep_deam.py` runs. The objective is
mean concordance on validation songs, which hardly ever comes out the same twice. For each seed
the search runs its 40 trials, then the project runs until it has a complete trial that is at least
as good, or has had as much time; then it counts as not reached. Each begins without any features
in its cache, as a person does; audio is decoded before. The time is the sum of the trials', from
claim to end.
"""

import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from results import Row, parser, publish

from fourier.cli.options import SweepOptions
from fourier.corpora import ensure_demo, load_corpus, write_demo
from fourier.features.cache import default_cache
from fourier.features.store import FeatureStore
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.watch import Outcome, Watcher
from fourier.training.experiment import Experiment

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
MOST = 0.5
EPOCHS, CLIPS_PER_SONG, TRIALS, SEEDS = 6, 3, 40, 5


class Log(Watcher):
    """Keeps how each trial ended."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def trial_ends(self, outcome: Outcome) -> None:
        """Keep it."""
        self.outcomes.append(outcome)


class Search:
    """A sweep in a folder of its own, trial by trial, with its time and the best it has.

    Attributes:
        curve: after each trial the seconds so far and the best complete trial's objective.
    """

    def __init__(self, folder: Path, experiment: Experiment, space: Space, plan: Plan) -> None:
        folder.mkdir(parents=True)
        store = FeatureStore(experiment.pcm, folder / "features", experiment.store.device)
        plan = dataclasses.replace(plan, storage=str(folder / "studies.journal"))
        self.log, self.curve = Log(), [(0.0, -1.0)]
        with contextlib.chdir(folder):
            cold = dataclasses.replace(experiment, store=store)
            self.sweep = Sweep.open(cold, space, plan, self.log)

    def knows_nothing(self) -> "Search":
        """Forget the known points: the first trial is drawn as all the others."""
        shared = dataclasses.replace(self.sweep.shared, first=())
        self.sweep = dataclasses.replace(self.sweep, shared=shared)
        return self

    @property
    def seconds(self) -> float:
        """Of all trials so far."""
        return self.curve[-1][0]

    @property
    def best(self) -> float:
        """The best objective of a complete trial so far."""
        return self.curve[-1][1]

    def step(self) -> None:
        """Run one more trial."""
        began = time.perf_counter()
        self.sweep.run(len(self.log.outcomes) + 1)
        seconds = self.seconds + time.perf_counter() - began
        last = self.log.outcomes[-1]
        value = last.value if last.state == "complete" and last.value is not None else -1.0
        self.curve.append((seconds, max(self.best, value)))

    def reached(self, value: float) -> float:
        """When it had this value or a better one, in seconds; infinite if it never had."""
        return next((seconds for seconds, best in self.curve if best >= value), float("inf"))


@dataclasses.dataclass(frozen=True)
class Race:
    """What came of one seed.

    Attributes:
        seed: of both studies.
        target: the best of the random search.
        whole_seconds: the random search's, for all its trials.
        first_seconds: when the random search first had its best.
        project_seconds: when the project had it; infinite if not within ``whole_seconds``.
        trials: that the project began.
        pruned: of them were stopped early.
    """

    seed: int
    target: float
    whole_seconds: float
    first_seconds: float
    project_seconds: float
    trials: int
    pruned: int


def race(folder: Path, experiment: Experiment, seed: int, trials: int, epochs: int) -> Race:
    """Both on one seed."""
    space, defaults = deam_space(), SweepOptions()
    blind = Plan(study="peer", sampler="random", pruner="none", epochs=epochs, seed=seed)
    peer = Search(folder / "peer", experiment, space, blind).knows_nothing()
    for _ in range(trials):
        peer.step()
    usual = Plan(
        study="project",
        sampler=defaults.sampler,
        pruner=defaults.pruner or "median",
        epochs=epochs,
        seed=seed,
    )
    project = Search(folder / "project", experiment, space, usual)
    while project.best < peer.best and project.seconds < peer.seconds:
        project.step()
    when = project.reached(peer.best)
    return Race(
        seed,
        peer.best,
        peer.seconds,
        peer.reached(peer.best),
        when if when <= peer.seconds else float("inf"),
        len(project.log.outcomes),
        sum(outcome.state == "pruned" for outcome in project.log.outcomes),
    )


def deam_space() -> Space:
    """The space that a person searches, from its script."""
    sys.path.insert(0, str(EXPERIMENTS))
    import sweep_deam

    return sweep_deam.space()


def open_demo(folder: Path | None = None) -> Experiment:
    """The first clips of the demo corpus's songs, decoded, on the processor."""
    cache = default_cache()
    corpus = load_corpus(folder or ensure_demo(cache, "deam"), "deam")
    clips = corpus.clips.groupby("track").head(CLIPS_PER_SONG).reset_index(drop=True)
    corpus = dataclasses.replace(corpus, clips=clips)
    return Experiment.open(
        corpus,
        protocol=corpus.default_protocol,
        objective=None,
        cache=cache,
        device=torch.device("cpu"),
    )


def rows_of(races: Sequence[Race], trials: int) -> list[Row]:
    """The table: the median share of the search's time, and each seed."""
    whole = statistics.median(one.project_seconds / one.whole_seconds for one in races)
    first = statistics.median(one.project_seconds / one.first_seconds for one in races)
    reached = sum(one.project_seconds < float("inf") for one in races)
    rows = [
        Row(
            what=f"time to the best of {trials} random trials, median of {len(races)} seeds",
            project=f"{statistics.median(one.project_seconds for one in races):.0f} s",
            peer=f"random search: {statistics.median(one.whole_seconds for one in races):.0f} s",
            ratio=f"{whole:.2f} of its time",
            required=f"<= {MOST}",
            reached=whole <= MOST,
        ),
        Row(
            what="the same, from when the search first had it, which it cannot know",
            project=f"reached in {reached} of {len(races)}",
            peer=f"random search: {statistics.median(one.first_seconds for one in races):.0f} s",
            ratio=f"{first:.2f} of that",
        ),
    ]
    return rows + [
        Row(
            what=f"seed {one.seed}: concordance {one.target:.3f}",
            project=f"{reached_in(one)}, {one.trials} trials, {one.pruned} pruned",
            peer=f"had it after {one.first_seconds:.0f} of {one.whole_seconds:.0f} s",
            ratio=f"{share:.2f}" if (share := one.project_seconds / one.whole_seconds) < 1 else "",
        )
        for one in races
    ]


def reached_in(race: Race) -> str:
    """When the project had what the search had found, in words."""
    if race.project_seconds < float("inf"):
        return f"{race.project_seconds:.0f} s"
    return f"not reached in {race.whole_seconds:.0f} s"


def main() -> None:
    """Measure, print and publish."""
    arguments = parser(__doc__).parse_args()
    seeds, trials, epochs = (1, 1, 1) if arguments.small else (SEEDS, TRIALS, EPOCHS)
    races = []
    with tempfile.TemporaryDirectory(prefix="fourier-bench-") as few:
        if arguments.small:
            write_demo(Path(few), "deam", deam_songs=10)
        experiment = open_demo(Path(few) / "deam" if arguments.small else None)
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="fourier-bench-") as folder:
            races.append(race(Path(folder), experiment, seed, trials, epochs))
        print(races[-1], file=sys.stderr, flush=True)
    publish(
        "time_to_quality",
        "Time to the quality of a random search, on the DEAM demo corpus",
        rows_of(races, trials),
        arguments,
        races=[dataclasses.asdict(one) for one in races],
        epochs=epochs,
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
