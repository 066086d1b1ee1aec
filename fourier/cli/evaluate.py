"""``fourier evaluate``: one configuration by k folds and several seeds, for the log.

Light at import, so that ``--help`` answers at once.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fourier.cli.guard import Interruption, UsageError
from fourier.cli.options import unset

if TYPE_CHECKING:
    from rich.console import Console

    from fourier.release.evaluate import Evaluation
    from fourier.training import Experiment, Result

FOLDS, SEEDS = 5, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of an evaluation."""

    data: Annotated[Path | None, unset("DIR")] = None
    """Folder of the corpus that it was trained on. By default the demo corpus."""

    protocol: Annotated[str | None, unset("NAME")] = None
    """How tracks are split, if not as for the run itself. crossval folds everything, the test parts
    of other protocols too: ask once, of a configuration that is chosen already."""

    folds: Annotated[int, tyro.conf.arg(metavar="K")] = FOLDS
    """Folds of everything but the test part, 2 or more."""

    seeds: Annotated[int, tyro.conf.arg(metavar="N")] = SEEDS
    """How many seeds, 0 to N - 1."""

    leaky: bool = False
    """Fold segments of the same clips rather than tracks or artists, to show how much that
    inflates."""

    allow_leaks: bool = False
    """Go on although copies of one recording stand on several sides of the split."""

    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """Where to train: auto (the GPU where there is one), cpu, cuda, cuda:1, …"""

    cache: Annotated[Path | None, unset("DIR")] = None
    """Decoded audio and features. By default $FOURIER_CACHE or the user's cache folder."""

    jobs: Annotated[int, tyro.conf.arg(metavar="N")] = -1
    """Processes that decode audio; -1 for all cores."""

    def __post_init__(self) -> None:
        for name, value, least in (("folds", self.folds, 2), ("seeds", self.seeds, 1)):
            if value < least:
                raise UsageError(f"--{name} must be {least} or greater, but got {value}")


def evaluate(
    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    /,
    options: Annotated[EvaluateOptions, tyro.conf.arg(name="")] = EvaluateOptions(),
) -> int:
    """Train a run's configuration on k folds by group with several seeds; mean ± std.

    A test part stays closed, and the held-out tracks of a fold choose no epoch: figures are those
    after the last.

    Args:
        run: id of a trial's or a promotion's run, as the UI shows it.
        options: how.
    """
    from fourier.cli.release import find_corpus_of
    from fourier.cli.show import Screen, make_console
    from fourier.features.cache import default_cache
    from fourier.release.evaluate import evaluate as measure
    from fourier.release.evaluate import find_source
    from fourier.release.plan import require_corpus
    from fourier.tracking import Tracker
    from fourier.training import Experiment, pick_device

    interruption, tracker = Interruption.current(), Tracker.connect()
    source = find_source(tracker, run)
    config = source.config
    with Screen(make_console(), interruption, unit="seed") as screen, interruption.waiting():
        folder = options.cache or default_cache()
        corpus = find_corpus_of(config, options.data, folder, screen)
        require_corpus(corpus, config.corpus, config.corpus_digest, f"run {run}")
        experiment = Experiment.open(
            corpus,
            protocol=options.protocol or config.protocol,
            objective=config.objective,
            cache=folder,
            device=pick_device(options.device),
            folds=options.folds,
            jobs=options.jobs,
            stage=screen.stage,
            allow_leaks=options.allow_leaks,
        )
        print_question(
            screen.console, experiment, config.trial.describe(), options.seeds, leaky=options.leaky
        )
        screen.begin_trials(0, options.seeds, None, experiment.task)

        def seed_ends(seed: int, result: "Result") -> None:
            screen.progress.update(screen.trials, advance=1)
            value = result.metrics[experiment.task.objective]
            name = experiment.task.objective
            screen.console.print(f"  seed {seed}  {name} {value:6.3f}  {result.seconds:6.1f} s")

        evaluation = measure(
            tracker, source, experiment, options.seeds, screen, seed_ends, leaky=options.leaky
        )
    print_evaluation(screen.console, experiment, evaluation)
    return 0


def print_question(
    console: "Console", experiment: "Experiment", settings: str, seeds: int, *, leaky: bool
) -> None:
    """Say what is about to be measured."""
    from fourier.cli.show import print_facts
    from fourier.training import describe_device
    from fourier.training.facts import split_fact

    corpus = experiment.corpus
    if corpus.is_demo:
        console.print(
            "[yellow]Demo corpus[/yellow]: its numbers say nothing about real music.",
            soft_wrap=True,
        )
    facts = {
        "settings": settings,
        "corpus": f"{corpus.name} {corpus.digest} in {corpus.root}",
        "split": split_fact(experiment) + ("  (leaky: folds of segments)" if leaky else ""),
        "seeds": f"{seeds}, so {seeds * experiment.folds} trainings",
        "device": describe_device(experiment.store.device),
    }
    print_facts(console, f"fourier evaluate · {experiment.task.name}", facts)
    console.print()


def print_evaluation(
    console: "Console", experiment: "Experiment", evaluation: "Evaluation"
) -> None:
    """A row for each seed, and their mean ± standard deviation."""
    from fourier.cli.reproduction import mean_and_std
    from fourier.cli.show import table_of

    task = experiment.task
    shown = list(dict.fromkeys((task.objective, *task.display)))
    rows = [
        [f"seed {seed}", *(f"{result.metrics[name]:.3f}" for name in shown)]
        for seed, result in zip(evaluation.seeds, evaluation.results, strict=True)
    ]
    rows.append(["mean ± std", *(mean_and_std(evaluation.values(name)) for name in shown)])
    rows += [
        [f"baseline: {name}", *(f"{metrics[key]:.3f}" for key in shown)]
        for name, metrics in evaluation.baselines.items()
    ]
    title = f"{experiment.folds} folds together, each clip predicted once with each seed"
    console.print()
    console.print(table_of(title, ["", *shown], rows))
    console.print(f"\nAll folds, predictions and the command are in run {evaluation.run.id}.")
