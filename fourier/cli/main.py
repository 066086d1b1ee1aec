"""The ``fourier`` command: everything besides the sweeps of DEAM and GTZAN.

Light at import, so that ``--help`` answers at once.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fourier.cli.evaluate import evaluate
from fourier.cli.guard import Interruption, guarded, usage_errors
from fourier.cli.options import unset
from fourier.cli.predict import predict
from fourier.cli.release import models, promote, reproduce, rollback
from fourier.cli.report import report
from fourier.cli.sweep import AGAIN, sweep
from fourier.cli.sync import sync
from fourier.errors import NothingLeftError

TaskName = Literal["deam", "gtzan"]


def demo(directory: Annotated[Path, tyro.conf.Positional], /, *, seed: int = 0) -> int:
    """Write the demo corpora: a small synthesised DEAM and GTZAN, in the real ones' layout.

    Args:
        directory: folder to write; gets deam/ and gtzan/ in it.
        seed: another seed makes other music.
    """
    from fourier.cli.show import Screen, make_console, plain
    from fourier.corpora import write_demo

    console = make_console()
    with Screen(console, Interruption()) as screen:
        write_demo(directory, seed=seed, progress=screen.stage("synthesising"))
    deam, gtzan = plain(directory / "deam"), plain(directory / "gtzan")
    console.print(f"Wrote {deam} and {gtzan}. Next:", soft_wrap=True)
    console.print(f"  python experiments/sweep_deam.py --data {deam}", style="cyan", soft_wrap=True)
    return 0


def fetch(
    task: Annotated[TaskName, tyro.conf.Positional],
    directory: Annotated[Path, tyro.conf.Positional] = Path("data"),
    /,
) -> int:
    """Download a corpus from its authors' site, verified; an interrupted download is resumed.

    Args:
        task: which corpus, 1.2 GB (gtzan) or 1.4 GB (deam).
        directory: folder to put it in.
    """
    from fourier.cli.show import Screen, make_console, plain
    from fourier.corpora import fetch as fetch_corpus

    console = make_console()
    with Screen(console, Interruption()) as screen:
        folder = fetch_corpus(task, directory, progress=screen.stage(f"fetching {task}"))
    shown = plain(folder)
    console.print(f"{shown} is complete. Next:", soft_wrap=True)
    command = f"  python experiments/sweep_{task}.py --data {shown}"
    console.print(command, style="cyan", soft_wrap=True)
    return 0


def check(
    directory: Annotated[Path, tyro.conf.Positional],
    /,
    *,
    task: Annotated[TaskName | None, unset("{deam,gtzan}")] = None,
    clip_seconds: Annotated[float | None, unset("SECONDS")] = None,
    cache: Annotated[Path | None, unset("DIR")] = None,
    jobs: int = -1,
) -> int:
    """Read a corpus and say what a sweep would use, and what it would leave out and why.

    Args:
        directory: folder of the corpus.
        task: what to take it for; found out where it is not given.
        clip_seconds: length of a labelled folder's clips. By default 3 for classes and 5 for
            numbers.
        cache: folder for decoded audio. By default $FOURIER_CACHE or the user's cache.
        jobs: processes that decode audio; -1 for all cores.
    """
    import pandas as pd

    from fourier.cli.inspect import print_corpus, print_left_out
    from fourier.cli.show import Screen, make_console
    from fourier.corpora import load_corpus
    from fourier.features.cache import default_cache
    from fourier.features.copies import find_copies
    from fourier.features.pcm import open_pcm

    console = make_console()
    with Screen(console, Interruption()) as screen:
        with usage_errors("--clip-seconds"):
            corpus = load_corpus(directory, task, clip_seconds=clip_seconds)
        folder = cache or default_cache()
        try:
            pcm = open_pcm(corpus, folder, jobs=jobs, progress=screen.stage("decoding"))
        except NothingLeftError as error:
            print_left_out(console, pd.DataFrame(error.left_out, columns=["item", "reason"]))
            raise
        copies = find_copies(pcm, screen.stage("looking for copies"))
    print_corpus(console, corpus, pcm, copies)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the ``fourier`` command.

    Args:
        argv: the words after the command's name; None takes the process's own.

    Returns:
        The exit code: 0, 1 when the world is broken, 130 when interrupted.
    """
    commands: dict[str, Callable[..., Any]] = {
        "demo": demo,
        "fetch": fetch,
        "check": check,
        "sweep": sweep,
        "predict": predict,
        "promote": promote,
        "rollback": rollback,
        "models": models,
        "reproduce": reproduce,
        "evaluate": evaluate,
        "report": report,
        "sync": sync,
    }
    description = "Finds the best way to hear emotion and genre in music."

    def command(_interruption: Interruption) -> int:
        return int(
            tyro.extras.subcommand_cli_from_dict(
                commands,
                prog="fourier",
                description=description,
                args=argv,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
        )

    sweeps = (sys.argv[1:] if argv is None else argv)[:1] == ["sweep"]
    return guarded(command, AGAIN if sweeps else "")
