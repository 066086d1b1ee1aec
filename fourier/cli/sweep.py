"""``python experiments/sweep_*.py`` and ``fourier sweep``: from options to a finished study.

Light at import, so that ``--help`` answers at once; what it runs is imported when it runs.
"""

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fourier.cli.guard import INTERRUPTED, Interruption, guarded, usage_errors
from fourier.cli.options import SweepOptions, named_storage, parse_sweep, words_of_a_worker
from fourier.cli.sync import print_kept

if TYPE_CHECKING:
    from fourier.cli.show import Screen, Worker
    from fourier.corpora import Corpus
    from fourier.search.failures import Failures
    from fourier.search.sweep import Space, Sweep
    from fourier.search.watch import Watcher
    from fourier.training.experiment import Experiment


AGAIN = "Nothing that finished is lost; the same command goes on from here."


def sweep_command(task: str, make_space: "Callable[[], Space]", description: str) -> int:
    """Run a sweep as the command line says.

    Args:
        task: ``deam`` or ``gtzan``.
        make_space: called once, after the options are read.
        description: what ``--help`` says first.

    Returns:
        The exit code: 0, 1 when the world is broken, 3 when every trial fails in the same way, 130
        when interrupted.
    """
    options = parse_sweep(description, None)
    return guarded(lambda interruption: _sweep(task, make_space(), options, interruption), AGAIN)


def sweep(options: Annotated[SweepOptions, tyro.conf.arg(name="")]) -> int:
    """Search spectrograms and networks on a labelled folder: audio/ and labels.csv.

    The columns of labels.csv are file,label or file,valence,arousal, and may be start,end
    (seconds), group and split. The same command again continues the study. DEAM and GTZAN have
    commands of their own: python experiments/sweep_deam.py and sweep_gtzan.py.

    Args:
        options: how.
    """
    from fourier.corpora import folder_kind
    from fourier.errors import CorpusError
    from fourier.search.folder_space import folder_space

    if options.data is None:
        raise CorpusError(
            "this searches a labelled folder: name it with --data DIR, or try things out on a demo "
            "corpus with `python experiments/sweep_deam.py`"
        )
    kind = folder_kind(options.data)
    return _sweep(kind, folder_space(kind), options, Interruption.current())


def _sweep(task: str, space: "Space", options: SweepOptions, interruption: Interruption) -> int:
    from fourier.cli.show import Screen, Worker, make_console
    from fourier.cli.summary import print_summary
    from fourier.search.workers import is_worker, leader

    # cuBLAS repeats its bits only with a workspace of fixed size, set before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with _cache_folder(options) as cache:
        if is_worker():
            try:
                return _work(task, space, options, cache, Worker(interruption, leader()))
            except KeyboardInterrupt:
                return INTERRUPTED  # the leader has words for it
        with Screen(make_console(), interruption) as screen:
            if options.dry_run:
                return _dry_run(task, space, options, cache, screen)
            sweep = _lead(task, space, options, cache, screen)
    print_summary(screen.console, sweep)
    print_kept(screen.console, sweep.record.tracker)
    return 0


def _lead(
    task: str, space: "Space", options: SweepOptions, cache: Path, screen: "Screen"
) -> "Sweep":
    """Show the plan, run the trials or the workers that do, and sum up in the study's run."""
    from fourier.cli.summary import print_plan
    from fourier.search.failures import Failures, require_a_result
    from fourier.search.sweep import best_trials

    experiment = open_experiment(task, options, cache, screen)
    sweep = open_sweep(experiment, space, options, screen)
    print_plan(screen.console, experiment, options, sweep)
    best = best_trials(sweep.shared, 1)
    screen.begin_trials(
        len(sweep.shared.finished),
        options.trials,
        best[0].user_attrs["metrics"][experiment.task.objective] if best else None,
        experiment.task,
    )
    try:
        with screen.interruption.waiting():
            _run_trials(sweep, options, screen, Failures())
    finally:
        sweep.finish()
    require_a_result([sweep.outcome_of(trial) for trial in sweep.shared.finished])
    return sweep


def _run_trials(
    sweep: "Sweep", options: SweepOptions, screen: "Screen", failures: "Failures"
) -> None:
    """In this process; in others where there are to be several, or where one may hang."""
    from fourier.search.workers import run_workers

    if options.workers == 1 and options.trial_timeout is None:
        sweep.run(options.trials, options.timeout, failures=failures)
        return
    seen = {trial.number for trial in sweep.shared.finished}

    def look() -> None:
        screen.interruption.check()
        new = [trial for trial in sweep.shared.finished if trial.number not in seen]
        for trial in new:
            seen.add(trial.number)
            outcome = sweep.outcome_of(trial)
            screen.trial_ends(outcome)
            failures.note(outcome)
        running = len(sweep.shared.trials) - len(seen)
        screen.waits(f"{len(seen)} of {options.trials} trials done, {running} running")

    # `python -m fourier` has its file as first word, which would not find its package by itself.
    module = Path(sys.argv[0]).name == "__main__.py"
    given = ["-m", "fourier", *sys.argv[1:]] if module else sys.argv
    words, variables = words_of_a_worker(given, named_storage(options.storage))
    run_workers(
        sweep.record, options.trials, options.workers, words, look, options.timeout, variables
    )
    look()


def _work(task: str, space: "Space", options: SweepOptions, cache: Path, watcher: "Worker") -> int:
    """Run trials for a leader that shows them and sums up."""
    experiment = open_experiment(task, options, cache, watcher)
    sweep = open_sweep(experiment, space, options, watcher)
    with watcher.interruption.waiting():
        sweep.run(options.trials, options.timeout, options.trial_timeout)
    return 0


def _dry_run(
    task: str, space: "Space", options: SweepOptions, cache: Path, screen: "Screen"
) -> int:
    """Show the plan and train the first trial for one epoch, without a study or a run."""
    from fourier.cli.summary import print_plan

    experiment = open_experiment(task, options, cache, screen)
    print_plan(screen.console, experiment, options, None)
    config = space.start()
    training = dataclasses.replace(config.training, epochs=1, seed=options.seed)
    result = experiment.run(dataclasses.replace(config, training=training))
    value = result.metrics[experiment.task.objective]
    screen.console.print(
        f"One epoch of {config.describe()}: {result.seconds:.1f} s, "
        f"{experiment.task.objective} {value:.3f}. A dry run leaves nothing behind.",
        soft_wrap=True,
    )
    return 0


def open_experiment(
    task: str, options: SweepOptions, cache: Path, watcher: "Watcher"
) -> "Experiment":
    """The corpus that was named, or the demo corpus, decoded and split on the device."""
    from fourier.training import make_task, pick_device
    from fourier.training.experiment import Experiment

    device = pick_device(options.device)
    corpus = find_corpus(task, options.data, cache, watcher, options.clip_seconds)
    with usage_errors("--objective"):
        make_task(corpus, options.objective)
    return Experiment.open(
        corpus,
        protocol=options.protocol or corpus.default_protocol,
        objective=options.objective,
        cache=cache,
        device=device,
        folds=options.folds or 0,
        jobs=options.jobs,
        stage=watcher.stage,
        allow_leaks=options.allow_leaks,
    )


def find_corpus(
    task: str, data: Path | None, cache: Path, watcher: "Watcher", clip_seconds: float | None = None
) -> "Corpus":
    """The corpus that was named, or the demo corpus where none was."""
    from fourier.corpora import ensure_demo, load_corpus

    if data is None:
        data = ensure_demo(cache, task, watcher.stage("making the demo corpus"))
    with usage_errors("--clip-seconds"):
        return load_corpus(data, task, clip_seconds=clip_seconds)


def open_sweep(
    experiment: "Experiment", space: "Space", options: SweepOptions, watcher: "Watcher"
) -> "Sweep":
    """The study that the options name, new or continued."""
    from fourier.search.sweep import Plan, Sweep

    corpus = experiment.corpus
    plan = Plan(
        study=options.study or usual_name(corpus, experiment.protocol, experiment.folds),
        storage=named_storage(options.storage),
        sampler=options.sampler,
        pruner=options.pruner or ("wilcoxon" if experiment.folds else "median"),
        epochs=options.epochs or space.epochs_on(corpus),
        seed=options.seed,
    )
    return Sweep.open(experiment, space, plan, watcher)


def usual_name(corpus: "Corpus", protocol: str, folds: int) -> str:
    """What a study is called unless somebody says otherwise: ``gtzan``, ``gtzan-track-5fold``."""
    words = [corpus.name]
    words += [protocol] if protocol != corpus.default_protocol else []
    words += [f"{folds}fold"] if folds else []
    return "-".join(words)


@contextlib.contextmanager
def _cache_folder(options: SweepOptions) -> Iterator[Path]:
    """The user's cache; for a dry run one that goes away."""
    from fourier.features.cache import default_cache

    if not options.dry_run:
        yield options.cache or default_cache()
        return
    with tempfile.TemporaryDirectory(prefix="fourier-") as scratch:
        yield Path(scratch)
