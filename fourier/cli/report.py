"""``fourier report``: what a study found, as a page and as Markdown.

Light at import, so that ``--help`` answers at once.
"""

from pathlib import Path
from typing import Annotated

import tyro

from fourier.cli.options import unset


def report(
    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")],
    /,
    *,
    output: Annotated[Path | None, unset("FILE")] = None,
    storage: Annotated[str | None, unset("URL|FILE")] = None,
) -> int:
    """Write what a study found as one self-contained HTML page, and as Markdown beside it.

    Both go to the study's run as well. Trains nothing, and opens no audio.

    Args:
        study: its name, as the sweep shows it.
        output: the page to write. By default STUDY.html in this folder.
        storage: where the study is kept, as for the sweep. By default mlruns/studies.journal.
    """
    from fourier.cli.show import make_console
    from fourier.report.write import default_page, write_report
    from fourier.tracking import Tracker

    console = make_console()
    page = output or default_page(study)
    written = write_report(Tracker.connect(), study, storage, page)
    console.print(f"Wrote {written[0]} and {written[1]}, also to the study's run.", soft_wrap=True)
    return 0
