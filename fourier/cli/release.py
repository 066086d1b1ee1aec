"""``fourier promote``, ``rollback``, ``models`` and ``reproduce``.

Light at import, so that ``--help`` answers at once. Not here: ``fourier predict``.
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fourier.cli.guard import FAILED, Interruption, UsageError, usage_errors
from fourier.cli.options import named_storage, unset
from fourier.cli.sweep import find_corpus

if TYPE_CHECKING:
    from fourier.cli.verdict import PromotionScreen
    from fourier.corpora import Corpus
    from fourier.release.plan import Plan
    from fourier.release.runs import RunConfig
    from fourier.search.watch import Watcher

TaskName = Literal["deam", "gtzan"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromoteOptions:
    """Options of a promotion."""

    study: Annotated[str | None, unset("NAME")] = None
    """Study to promote from. By default the corpus's, or the only one that was run on it."""

    data: Annotated[Path | None, unset("DIR")] = None
    """Folder of the corpus that the study was run on. By default the demo corpus."""

    clip_seconds: Annotated[float | None, unset("SECONDS")] = None
    """Length of a labelled folder's clips, if the sweep was told one."""

    top: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """How many of the best trials are trained again."""

    seeds: Annotated[int, tyro.conf.arg(metavar="N")] = 5
    """How often each is trained, with new seeds."""

    yes: bool = False
    """Do not ask; for scripts."""

    dry_run: bool = False
    """Show what would happen; train nothing, keep the test part closed, register nothing."""

    force: bool = False
    """Go on although the test part is too small, or may be known to the champion."""

    allow_leaks: bool = False
    """Go on although copies of one recording stand on several sides of the split."""

    storage: Annotated[str | None, unset("URL|FILE")] = None
    """Where the study is kept, as for the sweep. By default $FOURIER_STORAGE, else
    mlruns/studies.journal."""

    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto"
    """Where to train: auto (the GPU where there is one), cpu, cuda, cuda:1, …"""

    cache: Annotated[Path | None, unset("DIR")] = None
    """Decoded audio and features. By default $FOURIER_CACHE, else the user's cache folder."""

    jobs: Annotated[int, tyro.conf.arg(metavar="N")] = -1
    """Processes that decode audio; -1 for all cores."""

    def __post_init__(self) -> None:
        for name in ("top", "seeds"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} must be 1 or greater, but got {getattr(self, name)}")


def promote(
    task: Annotated[TaskName | None, tyro.conf.Positional, unset("{deam,gtzan}")] = None,
    /,
    options: Annotated[PromoteOptions, tyro.conf.arg(name="")] = PromoteOptions(),
) -> int:
    """Confirm a study's best trials on unseen data, register the winner, move the alias.

    Args:
        task: what the study was for. With --data it is found out.
        options: how.
    """
    from fourier.cli.show import make_console
    from fourier.cli.verdict import PromotionScreen, print_plan, print_promotion
    from fourier.release.promote import finish_interrupted
    from fourier.release.promote import promote as carry_out

    interruption = Interruption.current()
    with PromotionScreen(make_console(), interruption) as screen:
        plan = _plan(task, options, screen)
    console = screen.console
    print_plan(console, plan)
    if plan.before is not None:
        finished = None if options.dry_run else finish_interrupted(plan)
        if finished is not None:
            console.print(f"Finished the promotion of {finished}, which had been cut off.")
        else:
            console.print(
                f"Nothing new: {plan.before} was promoted from these very trials and seeds on "
                f"{plan.before.created}. Nothing was changed.",
                soft_wrap=True,
            )
        return 0
    if options.dry_run:
        console.print(
            "A dry run: nothing was trained, the test part stays closed, nothing was registered."
        )
        return 0
    if not _agreed(options.yes):
        console.print("Nothing was changed.")
        return FAILED
    with PromotionScreen(console, interruption) as screen, interruption.waiting():
        screen.begin(len(plan.candidates), plan.seeds)
        promotion = carry_out(plan, screen)
    print_promotion(console, plan, promotion)
    return 0


def rollback(corpus: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")], /) -> int:
    """Make the previous champion champion again; the same command again undoes it.

    Args:
        corpus: whose model: deam, gtzan, of the demo corpora deam-demo, gtzan-demo, or the name of
            a labelled folder.
    """
    from fourier.cli.show import make_console
    from fourier.release.registry import Registry, model_name
    from fourier.tracking import Tracker

    was, now = Registry.connect(Tracker.connect()).rollback(model_name(corpus))
    make_console().print(
        f"{now.model}: champion was version {was.number} and is now version {now.number}. "
        "The same command again moves it back.",
        soft_wrap=True,
    )
    return 0


def models() -> int:
    """List all versions of the registered models, their aliases and figures."""
    from fourier.cli.show import make_console
    from fourier.cli.verdict import print_models
    from fourier.release.registry import Registry
    from fourier.tracking import Tracker

    print_models(make_console(), Registry.connect(Tracker.connect()).versions())
    return 0


def reproduce(
    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    /,
    *,
    data: Annotated[Path | None, unset("DIR")] = None,
    allow_leaks: bool = False,
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto",
    cache: Annotated[Path | None, unset("DIR")] = None,
    jobs: Annotated[int, tyro.conf.arg(metavar="N")] = -1,
) -> int:
    """Train a run's config.json again and compare; exit code 1 if a metric or a file differs.

    Args:
        run: id of a trial's or a promotion's run, as the UI shows it.
        data: folder of the corpus that it was trained on. By default the demo corpus.
        allow_leaks: go on although copies of one recording stand on several sides of the split.
        device: where to train: auto (the GPU where there is one), cpu, cuda, cuda:1, …
        cache: decoded audio and features. By default $FOURIER_CACHE or the user's cache folder.
        jobs: processes that decode audio; -1 for all cores.
    """
    from fourier.cli.show import make_console
    from fourier.cli.verdict import PromotionScreen, print_reproduction
    from fourier.features.cache import default_cache
    from fourier.release.reproduce import find_run, open_experiment_of
    from fourier.release.reproduce import reproduce as train_again
    from fourier.tracking import Tracker
    from fourier.training import pick_device

    interruption = Interruption.current()
    stored = find_run(Tracker.connect(), run)
    with PromotionScreen(make_console(), interruption) as screen, interruption.waiting():
        folder = cache or default_cache()
        corpus = find_corpus_of(stored.config, data, folder, screen)
        experiment = open_experiment_of(
            stored, corpus, folder, pick_device(device), screen, jobs, allow_leaks=allow_leaks
        )
        screen.begin(1, 1)
        reproduction = train_again(stored, experiment, screen)
    print_reproduction(screen.console, stored, reproduction)
    return FAILED if reproduction.different or stored.damaged else 0


def _plan(task: str | None, options: PromoteOptions, screen: "PromotionScreen") -> "Plan":
    from fourier.corpora import load_corpus
    from fourier.errors import ReleaseError
    from fourier.features.cache import default_cache
    from fourier.release.plan import choose_study, open_study_experiment, plan_promotion
    from fourier.tracking import Tracker
    from fourier.training import pick_device

    device, tracker = pick_device(options.device), Tracker.connect()
    cache = options.cache or default_cache()
    if options.data is None:
        if task is None:
            raise ReleaseError(
                "nothing says what to promote; type `fourier promote deam`, `fourier promote "
                "gtzan`, or `fourier promote --data DIR` for a labelled folder"
            )
        at_hand = f"{task}-demo"
    else:
        with usage_errors("--clip-seconds"):
            there = load_corpus(options.data, task, clip_seconds=options.clip_seconds)
        task, at_hand = there.task, there.name
    shared = choose_study(task, at_hand, options.study, named_storage(options.storage))
    wanted = shared.setting.corpus
    corpus = _corpus(task, wanted, options.data, cache, screen, options.clip_seconds)
    experiment = open_study_experiment(
        shared, corpus, cache, device, screen, options.jobs, allow_leaks=options.allow_leaks
    )
    return plan_promotion(
        tracker,
        shared,
        experiment,
        top=options.top,
        seeds=options.seeds,
        force=options.force,
    )


def find_corpus_of(
    config: "RunConfig", data: Path | None, cache: Path, screen: "Watcher"
) -> "Corpus":
    """The corpus of a run: the one that was named, or the demo corpus where it was that."""
    from fourier.corpora import KINDS

    clip_seconds = config.clip_seconds if config.task in KINDS else None
    return _corpus(config.task, config.corpus, data, cache, screen, clip_seconds)


def _corpus(
    task: str,
    wanted: str,
    data: Path | None,
    cache: Path,
    screen: "Watcher",
    clip_seconds: float | None,
) -> "Corpus":
    from fourier.errors import ReleaseError

    if data is None and wanted != f"{task}-demo":
        raise ReleaseError(f"this was made with corpus {wanted}; name its folder with --data DIR")
    return find_corpus(task, data, cache, screen, clip_seconds)


def _agreed(yes: bool) -> bool:
    """Whether whoever typed the command wants it; only where somebody can be asked."""
    from fourier.errors import ReleaseError

    if yes:
        return True
    if not sys.stdin.isatty():
        raise ReleaseError(
            "nobody is there to be asked; add --yes to promote, or --dry-run to see the plan only"
        )
    answer = input("Train them, open the test part and register the winner? [y/N] ")
    return answer.strip().lower() in ("y", "yes")
