"""What a benchmark found: a table in the terminal, JSON, and the benchmark's part of RESULTS.md.

``benchmarks/results/NAME.json`` holds the numbers with the date, the machine, the versions and the
command; RESULTS.md holds one table for each, between two marks, written from that. What stands
between the marks is never written by hand; what stands outside is never touched.
"""

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = ("torch", "numpy", "librosa", "optuna", "mlflow", "nnAudio", "optuna-integration")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a benchmark's table.

    Attributes:
        what: was measured.
        project: the project's figure, with its unit.
        peer: the other's name and figure; empty where there is none.
        ratio: the figure that the requirement is about, as people read it (``2.4x``).
        required: what it must reach; empty for a line that only informs.
        reached: whether it does; None where nothing is required.
    """

    what: str
    project: str
    peer: str = ""
    ratio: str = ""
    required: str = ""
    reached: bool | None = None


def parser(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark's command line has: ``--small`` and ``--out``."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument(
        "--small", action="store_true", help="a tiny run that shows only that it works"
    )
    found.add_argument(
        "--out", type=Path, default=None, help="folder for RESULTS.md and results/ (default: here)"
    )
    return found


def publish(
    name: str, title: str, rows: Sequence[Row], arguments: argparse.Namespace, **raw: Any
) -> None:
    """Print the table and write it down; a ``--small`` run is written only where ``--out`` says.

    Args:
        name: of the script, without ``.py``; a part of it has a suffix (``extraction-memory``).
        title: one line above the table.
        rows: the table.
        arguments: from `parser`.
        raw: what was measured, for the JSON.
    """
    show(title, rows)
    folder = arguments.out
    if folder is None:
        if arguments.small:
            return
        folder = HERE
    found = {
        "name": name,
        "title": title,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(),
        "rows": [asdict(row) for row in rows],
        "measured": raw,
    }
    (folder / "results").mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=2, default=str) + "\n"
    (folder / "results" / f"{name}.json").write_text(text)
    write_part(folder / "RESULTS.md", name, as_markdown(found))


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("what", "fourier", "beside", "ratio", "required", "reached"):
        table.add_column(column)
    for row in rows:
        table.add_row(row.what, row.project, row.peer, row.ratio, row.required, verdict(row))
    Console().print(table)


def verdict(row: Row) -> str:
    """Yes, no, or nothing where nothing is required."""
    return "" if row.reached is None else ("yes" if row.reached else "**no**")


def as_markdown(found: dict[str, Any]) -> str:
    """One benchmark's part of RESULTS.md."""
    lines = [
        f"`{found['command']}` · {found['date']} · {found['machine']} · "
        + ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "",
        "| what | fourier | beside | ratio | required | reached |",
        "|---|---|---|---|---|---|",
    ]
    for fields in found["rows"]:
        row = Row(**fields)
        cells = (row.what, row.project, row.peer, row.ratio, row.required, verdict(row))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def write_part(path: Path, name: str, text: str) -> None:
    """Put a text between the marks of its name, at the end where there are none yet."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = path.read_text() if path.exists() else "# Results\n"
    if begin not in page:
        page += f"\n## {name}\n\n{begin}\n{end}\n"
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def machine() -> str:
    """Processors, memory and accelerator, without the machine's name."""
    import torch

    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = f"{cores} cores of {_processor()}, {memory:.0f} GiB"
    if torch.cuda.is_available():
        found += f", {torch.cuda.get_device_name()}"
    return found


def versions() -> dict[str, str]:
    """Python's, and of the packages that matter and are there."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
