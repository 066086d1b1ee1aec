"""``python experiments/*.py`` that measure one known thing over seeds, rather than search.

Options, corpus, device and MLflow are opened here, so that an experiment says only what it trains
and what it compares. One parent run holds the table and the pictures; each training is a child.
Figures are those after the last epoch, written as ``final/…``: the best epoch on the held-out clips
(``best/…``, in the run as well) was chosen by looking at them. Light at import.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import arg

from fourier.cli.guard import Interruption, guarded, usage_errors
from fourier.cli.options import unset
from fourier.config.training import MAX_EPOCHS

if TYPE_CHECKING:
    import pandas as pd

    from fourier.cli.show import Screen
    from fourier.config import TrialConfig
    from fourier.corpora import Corpus
    from fourier.features.pcm import PcmStore
    from fourier.features.store import FeatureStore
    from fourier.tracking import TrackedRun
    from fourier.training import Experiment, Result

SEEDS = 3


@dataclass(frozen=True, kw_only=True)
class ReproductionOptions:
    """Options of an experiment that measures one known thing."""

    epochs: Annotated[int, arg(metavar="N")]
    """Epochs of each training."""

    data: Annotated[Path | None, unset("DIR")] = None
    """Folder of the corpus. By default a small synthesised demo corpus."""

    seeds: Annotated[int, arg(metavar="N")] = SEEDS
    """How many seeds, 0 to N - 1; figures are their mean and standard deviation."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to train: auto (the GPU where there is one), cpu, cuda, cuda:1, …"""

    cache: Annotated[Path | None, unset("DIR")] = None
    """Decoded audio and features. By default $FOURIER_CACHE, else the user's cache folder."""

    jobs: Annotated[int, arg(metavar="N")] = -1
    """Processes that decode audio; -1 for all cores."""

    def __post_init__(self) -> None:
        for name, most in (("epochs", MAX_EPOCHS), ("seeds", 1000)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ValueError(f"--{name} must be 1 to {most}, but got {value}")
        if self.jobs == 0 or self.jobs < -1:
            raise ValueError(f"--jobs must be -1 or greater than 0, but got {self.jobs}")


@dataclass(frozen=True)
class Reproduction:
    """What an experiment is given: a corpus, a device, and runs to write.

    Attributes:
        options: what the command line said.
        screen: where a person looks.
        corpus: where audio and labels come from.
        pcm: its decoded clips.
        store: their features, on the device.
        parent: the run that sums up.
        experiment_id: MLflow's experiment.
    """

    options: ReproductionOptions
    screen: "Screen"
    corpus: "Corpus"
    pcm: "PcmStore"
    store: "FeatureStore"
    parent: "TrackedRun"
    experiment_id: str

    @property
    def seeds(self) -> range:
        """The seeds to run."""
        return range(self.options.seeds)

    def experiment(self, protocol: str, parts: "pd.Series | None" = None) -> "Experiment":
        """The corpus under a protocol, or split in a way of one's own.

        Args:
            protocol: a name in `fourier.corpora.PROTOCOLS`, or the name of one's own way.
            parts: ``train`` or ``valid`` for each clip; None asks the protocol.
        """
        from fourier.corpora import assign_parts
        from fourier.training import Experiment, make_task

        if parts is None:
            parts = assign_parts(self.corpus, self.pcm.clips, protocol)
        task = make_task(self.corpus)
        return Experiment(self.corpus, self.pcm, protocol, parts, task, self.store)

    def begin(self, trainings: int) -> None:
        """Show the bar of the trainings to come."""
        from fourier.training import make_task

        self.screen.begin_trials(0, trainings, None, make_task(self.corpus))

    @contextlib.contextmanager
    def measurement(self, name: str, tags: Mapping[str, str]) -> "Iterator[TrackedRun]":
        """A child run; ended as what it came to, and one step of the bar."""
        common = {"mlflow.parentRunId": self.parent.id, "fourier.kind": "measurement"}
        everything = common | corpus_tags(self.corpus) | dict(tags)
        run = self.parent.tracker.open_run(self.experiment_id, name, everything)
        with ended(run):
            yield run
        self.screen.progress.update(self.screen.trials, advance=1)

    def train(
        self, name: str, tags: Mapping[str, str], experiment: "Experiment", config: "TrialConfig"
    ) -> "Result":
        """Train one configuration, as one child run with its parameters and curves."""
        from fourier.search.points import best_points, curve_points

        training = config.training
        tags = {"fourier.protocol": experiment.protocol, "fourier.seed": str(training.seed), **tags}
        with self.measurement(name, tags) as run, written_to(run) as folder:
            run.log_params(config.to_flat())
            description = experiment.describe() | {"trial": config.to_dict()}
            (folder / "config.json").write_text(json.dumps(description, indent=2) + "\n")

            def report(epoch: int, metrics: Mapping[str, float]) -> None:
                run.log(curve_points(metrics), step=epoch)
                self.screen.epoch_ends(training.seed, epoch, training.epochs, metrics)

            result = experiment.run(config, report)
            run.log(best_points(result.metrics))
            run.log({f"final/{key}": value for key, value in result.history[-1].items()})
        return result

    def print_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Print the figures that it was all about."""
        from fourier.cli.show import table_of

        self.screen.console.print(table_of(title, columns, rows))

    def print(self, text: str) -> None:
        """Print one line, unfolded."""
        self.screen.console.print(text, soft_wrap=True)


Body = Callable[[Reproduction], None]


def reproduction_command(
    name: str, task: str, body: Body, description: str, *, epochs: int, columns: Sequence[str]
) -> int:
    """Run an experiment as the command line says.

    Args:
        name: of the experiment in MLflow; on a demo corpus ``-demo`` is added.
        task: ``deam`` or ``gtzan``.
        body: does the work.
        description: what ``--help`` says first.
        epochs: of each training, unless the command line says otherwise.
        columns: what MLflow's table shows, metrics before params, the first sorts it.

    Returns:
        The exit code: 0, 1 when the world is broken, 130 when interrupted.
    """
    from fourier.cli.show import Screen, make_console

    with usage_errors("options"):
        options = tyro.cli(
            ReproductionOptions,
            description=description,
            default=ReproductionOptions(epochs=epochs),
        )

    def command(interruption: Interruption) -> int:
        with Screen(make_console(), interruption) as screen:
            return _run(name, task, body, options, screen, columns)

    return guarded(command, "What was finished is in MLflow; the same command measures anew.")


def mean_and_std(values: Sequence[float], digits: int = 3) -> str:
    """``0.623 ± 0.021``, with the standard deviation of the sample; one value stands alone."""
    import numpy as np

    text = f"{np.mean(values):.{digits}f}"
    return f"{text} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else text


def corpus_tags(corpus: "Corpus") -> dict[str, str]:
    """Where a figure comes from, as a run's tags."""
    tags = {
        "fourier.task": corpus.task,
        "fourier.corpus": corpus.name,
        "fourier.corpus_digest": corpus.digest,
    }
    return tags | ({"fourier.demo": "true"} if corpus.is_demo else {})


@contextlib.contextmanager
def ended(run: "TrackedRun") -> Iterator[None]:
    """End a run as what it came to, whatever that is."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        run.break_off("KILLED")
        raise
    except BaseException:
        run.break_off("FAILED")
        raise
    run.end()


@contextlib.contextmanager
def written_to(run: "TrackedRun") -> Iterator[Path]:
    """A folder whose files become the run's artifacts."""
    with tempfile.TemporaryDirectory(prefix="fourier-") as name:
        yield Path(name)
        run.log_folder(Path(name))


def _run(
    name: str,
    task: str,
    body: Body,
    options: ReproductionOptions,
    screen: "Screen",
    columns: Sequence[str],
) -> int:
    """Open everything, let the experiment work, and say where to look."""
    from fourier.cli.announce import announce
    from fourier.cli.sweep import find_corpus
    from fourier.features.cache import default_cache
    from fourier.features.pcm import open_pcm
    from fourier.features.store import FeatureStore
    from fourier.search.command import environment_tags
    from fourier.tracking import Tracker, save_view
    from fourier.training import pick_device

    device = pick_device(options.device)
    cache = options.cache or default_cache()
    corpus = find_corpus(task, options.data, cache, screen)
    pcm = open_pcm(corpus, cache, jobs=options.jobs, progress=screen.stage("decoding"))
    tracker = Tracker.connect()
    shown = f"{name}-demo" if corpus.is_demo else name
    experiment_id = tracker.open_experiment(
        shown, {"mlflow.experimentKind": "custom_model_development"}
    )
    tags = {"fourier.kind": "reproduction", "fourier.device": str(device)}
    parent = tracker.open_run(experiment_id, name, tags | corpus_tags(corpus) | environment_tags())
    store = FeatureStore(pcm, cache, device)
    reproduction = Reproduction(options, screen, corpus, pcm, store, parent, experiment_id)
    announce(screen.console, corpus, pcm, device, reproduction.seeds, options.epochs)
    with ended(parent), screen.interruption.waiting():
        parent.log_params({"epochs": options.epochs, "seeds": options.seeds})
        with written_to(parent) as folder:
            pcm.left_out.to_csv(folder / "left_out.csv", index=False)
        body(reproduction)
    link = save_view(
        tracker, experiment_id, shown, parent=parent.id, columns=columns, ascending=False
    )
    reproduction.print(f"\n[bold]Next[/bold]\n  [cyan]mlflow ui\n  {link}[/cyan]")
    return 0
