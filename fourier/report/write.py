"""A study's report, written: the page, the Markdown, and both to the study's run."""

import re
import shutil
import tempfile
from pathlib import Path

from fourier.digest import digest_of
from fourier.errors import ReportError
from fourier.report.findings import gather
from fourier.report.markdown import to_markdown
from fourier.report.page import to_page
from fourier.report.story import tell
from fourier.tracking import TrackedRun, Tracker

MOST_NAME = 80


def default_page(study: str) -> Path:
    """A file in the working directory that is called like the study, whatever that is called."""
    plain = re.sub(r"[^\w.+-]+", "_", study).lstrip(".")[:MOST_NAME]
    return Path(f"{plain if plain == study else f'{plain}-{digest_of(study)}'}.html")


def write_report(
    tracker: Tracker, study: str, storage: str | None, page: Path
) -> tuple[Path, Path]:
    """Gather what a study found and write it.

    Args:
        tracker: where its runs are.
        study: its name.
        storage: as a sweep's.
        page: the HTML file; the Markdown stands beside it.

    Returns:
        Both files.

    Raises:
        StudyError: there is no such study, or it has no figures yet.
        TrackingError: MLflow does not answer.
        ReportError: the files cannot be written.
    """
    findings = gather(tracker, study, storage)
    document = tell(findings)
    texts = {page: to_page(document), page.with_suffix(".md"): to_markdown(document)}
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ReportError(
            f"{page} cannot be written ({error.strerror}); name another with --output"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        for path in texts:
            shutil.copy(path, Path(folder) / f"report{path.suffix}")
        TrackedRun(tracker, findings.run_id).log_folder(Path(folder))
    first, second = texts
    return first, second
