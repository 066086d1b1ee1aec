"""What a sweep can be told on the command line, with its help. Light: ``--help`` imports it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import arg

from fourier.cli.guard import UsageError, usage_errors
from fourier.config.training import MAX_EPOCHS

PrunerName = Literal["median", "hyperband", "wilcoxon", "none"]

PROTOCOLS_HELP = """
Protocols: fault-filtered, track and segment for GTZAN; mediaeval2015, emomusic, artist, track
and segment for DEAM; split, group, track and segment for a labelled folder. segment is leaky
(clips of one track on both sides), for comparison only.
"""


STORAGE_VARIABLE = "FOURIER_STORAGE"
"""Where studies are kept, for those who do not name it: other users can read a command's words,
with a password in them, and not its environment."""


def named_storage(option: str | None) -> str | None:
    """Where studies are kept: the option, else $FOURIER_STORAGE, else None."""
    return option or os.environ.get(STORAGE_VARIABLE) or None


def words_of_a_worker(argv: Sequence[str], storage: str | None) -> tuple[list[str], dict[str, str]]:
    """A command without its ``--storage``, and the variable that says it instead."""
    words: list[str] = []
    for i, word in enumerate(argv):
        if word == "--storage" or word.startswith("--storage="):
            continue
        if i and argv[i - 1] == "--storage":
            continue
        words.append(word)
    return words, {STORAGE_VARIABLE: storage} if storage else {}


def unset(metavar: str) -> Any:
    """An option that is not set by default, without a mention of None."""
    return arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Options of a sweep; the same command again continues the study."""

    trials: Annotated[int, arg(metavar="N")] = 100
    """Trials that the study shall have in all, those of earlier calls included."""

    workers: Annotated[int, arg(metavar="N")] = 1
    """Processes that run trials side by side."""

    study: Annotated[str | None, unset("NAME")] = None
    """Name of the study. By default the corpus's, and the protocol if that is not the usual."""

    storage: Annotated[str | None, unset("URL|FILE")] = None
    """A journal file or any database URL that Optuna takes. By default $FOURIER_STORAGE (where a
    password is out of sight), else mlruns/studies.journal."""

    data: Annotated[Path | None, unset("DIR")] = None
    """Folder of the corpus. By default a small synthesised demo corpus."""

    clip_seconds: Annotated[float | None, unset("SECONDS")] = None
    """Length of a labelled folder's clips. By default 3 for classes and 5 for numbers."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where to train: auto (the GPU where there is one), cpu, cuda, cuda:1, …"""

    epochs: Annotated[int | None, unset("N")] = None
    """Epochs of a trial at most. By default what the experiment's space says."""

    timeout: Annotated[float | None, unset("SECONDS")] = None
    """Seconds after which no new trial begins. By default there is no such limit."""

    trial_timeout: Annotated[float | None, unset("SECONDS")] = None
    """Seconds after which a trial fails, its spectrograms included; one that hangs is ended with
    its process, and another goes on. By default there is no such limit."""

    seed: Annotated[int, arg(metavar="N")] = 0
    """Seed of the whole study: with one worker, the same seed gives the same trials."""

    sampler: Literal["tpe", "random"] = "tpe"
    """How parameters are drawn: tpe learns from earlier trials, random does not."""

    pruner: Annotated[PrunerName | None, unset("{median,hyperband,wilcoxon,none}")] = None
    """How bad trials are stopped early: by epochs (median, hyperband) or by folds (wilcoxon). By
    default median, and wilcoxon with --folds."""

    protocol: Annotated[str | None, unset("NAME")] = None
    """How tracks are split. By default the corpus's own; the others are named above."""

    folds: Annotated[int | None, unset("K")] = None
    """Train each trial on K folds of everything but the test part, by group. By default once, on
    the protocol's training part."""

    objective: Annotated[str | None, unset("METRIC")] = None
    """Metric to optimise. By default ccc for numbers and track_accuracy for classes."""

    allow_leaks: bool = False
    """Go on although copies of one recording stand on several sides of the split."""

    cache: Annotated[Path | None, unset("DIR")] = None
    """Decoded audio and features. By default $FOURIER_CACHE, else the user's cache folder."""

    jobs: Annotated[int, arg(metavar="N")] = -1
    """Processes that decode audio; -1 for all cores."""

    dry_run: bool = False
    """Show the plan and train one trial for one epoch; leave nothing behind."""

    def __post_init__(self) -> None:
        for name in ("trials", "workers", "epochs", "timeout", "trial_timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(
                    f"--{name.replace('_', '-')} must be greater than 0, but got {value}"
                )
        if self.epochs is not None and self.epochs > MAX_EPOCHS:
            raise UsageError(f"--epochs must be at most {MAX_EPOCHS}, but got {self.epochs}")
        if self.folds is not None and self.folds < 2:
            raise UsageError(f"--folds must be 2 or greater, but got {self.folds}")
        if self.pruner not in (None, "none") and (self.pruner == "wilcoxon") != bool(self.folds):
            other = "without --folds" if self.pruner == "wilcoxon" else "with --folds"
            raise UsageError(f"--pruner {self.pruner} does not go {other}; leave it out")
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or greater, but got {self.seed}")
        if self.jobs == 0 or self.jobs < -1:
            raise UsageError(f"--jobs must be -1 or greater than 0, but got {self.jobs}")


def parse_sweep(description: str, argv: list[str] | None) -> SweepOptions:
    """Read a sweep's options; a wrong one ends the process with exit code 2."""
    with usage_errors("options"):
        return tyro.cli(
            SweepOptions,
            description=description + "\n\n" + PROTOCOLS_HELP.strip(),
            args=argv,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
