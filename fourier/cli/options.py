"""What a sweep can be told on the command line, with its help. Light: ``--help`` imports it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Options of a sweep; the same command again continues the study."""

    trials: int = 100
    """Trials that the study shall have in all, those of earlier calls included."""

    workers: int = 1
    """Processes that run trials side by side."""

    study: str | None = None
    """Name of the study. By default that of the corpus, with the protocol where it is not the
    corpus's own."""

    storage: str | None = None
    """Where studies are kept: a journal file or a database URL that Optuna takes. By default
    mlruns/studies.journal."""

    data: Path | None = None
    """Folder of the corpus. By default a small synthesised demo corpus."""

    device: str = "auto"
    """Where to train: auto (the GPU where there is one), cpu, cuda, cuda:1, …"""

    epochs: int | None = None
    """Epochs of a trial at most. By default what the experiment's space says."""

    timeout: float | None = None
    """Seconds after which no new trial begins. By default there is no such limit."""

    seed: int = 0
    """Seed of the whole study; with one worker, the same seed gives the same trials."""

    sampler: Literal["tpe", "random"] = "tpe"
    """How parameters are drawn: tpe learns from earlier trials, random does not."""

    pruner: Literal["median", "hyperband", "none"] = "median"
    """How bad trials are stopped early."""

    protocol: str | None = None
    """How tracks are split into train, validation and test: fault-filtered, track, artist,
    mediaeval2015, emomusic, or segment (leaky, for comparison only). By default the corpus's
    own."""

    objective: str | None = None
    """Metric that is optimised. By default ccc (DEAM) or track_accuracy (GTZAN)."""

    cache: Path | None = None
    """Folder for decoded audio and features. By default $FOURIER_CACHE or the user's cache."""

    jobs: int = -1
    """Processes that decode audio; -1 for all cores."""

    dry_run: bool = False
    """Show the plan and train one trial for one epoch; leave nothing behind."""

    def __post_init__(self) -> None:
        for name in ("trials", "workers", "epochs", "timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"--{name} must be greater than 0, but got {value}")
        if self.seed < 0:
            raise ValueError(f"--seed must be 0 or greater, but got {self.seed}")
        if self.jobs == 0 or self.jobs < -1:
            raise ValueError(f"--jobs must be -1 or greater than 0, but got {self.jobs}")


def parse_sweep(description: str, argv: list[str] | None) -> SweepOptions:
    """Read a sweep's options; a wrong one ends the process with exit code 2."""
    import tyro

    try:
        return tyro.cli(
            SweepOptions,
            description=description,
            args=argv,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
