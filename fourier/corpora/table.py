"""A CSV as text, row by row, with the place of every cell for whoever finds it wrong.

Python's own reader rather than pandas': numbers made from text by `float` are the same bits with
every version, and a corpus's digest depends on them. Rows are handed on as they are read, so a file
of any length takes the memory of one row. Not here: what columns mean.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fourier.errors import CorpusError

MOST_ROW_CHARS = 1 << 20
"""The longest header of DEAM has 21 thousand."""

_NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Table:
    """A CSV with a header, open for reading once.

    Attributes:
        path: the file.
        columns: position of each column by its name.
        rows: for each row the line of the file that it ends on, and its cells without blanks
            around them, as many as there are columns.
    """

    path: Path
    columns: dict[str, int]
    rows: Iterator[Row]

    def position(self, name: str) -> int:
        """Where a column's cells stand in a row.

        Raises:
            CorpusError: there is none of that name.
        """
        if name not in self.columns:
            raise CorpusError(f"{self.path} has no column `{name}`; mend it or unpack it again")
        return self.columns[name]


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a CSV, whatever its line ends and whether or not it has a byte-order mark.

    Raises:
        CorpusError: also while rows are read: it is no CSV in UTF-8, is empty, is separated by
            something else than commas, has a column twice, or a row too long.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = _records(file)
            _, header = next(records, (0, []))
            _check_header(path, header)
            columns = {name: i for i, name in enumerate(header)}
            yield Table(path, columns, _rows(path, len(header), records))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read as a table: {error}; unpack it again") from None


def read_number(cell: str) -> float | None:
    """A cell's number; None where it is none, also where `float` would make one of it (``1_0``)."""
    try:
        return float(cell) if _NUMBER.fullmatch(cell) else None
    except ValueError:
        return None


def short(cell: str) -> str:
    """A cell as it may stand in a message: on one line, and not a novel."""
    return repr(cell if len(cell) <= 40 else f"{cell[:40]}…")


def _records(file: IO[str]) -> Iterator[Row]:
    """(line, cells) of everything but empty lines; what is no row by its length is never held."""
    chars = 0

    def lines() -> Iterator[str]:
        nonlocal chars
        while line := file.readline(MOST_ROW_CHARS + 1):
            chars += len(line)
            if chars > MOST_ROW_CHARS:
                raise csv.Error(f"a row of more than {MOST_ROW_CHARS:,} characters")
            yield line

    reader = csv.reader(lines(), skipinitialspace=True)
    for cells in reader:
        chars = 0
        if cells:
            yield reader.line_num, [cell.strip() for cell in cells]


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise CorpusError(f"{path} is empty; unpack it again")
    if len(header) == 1 and {";", "\t"} & set(header[0]):
        between = "semicolons" if ";" in header[0] else "tabs"
        raise CorpusError(f"{path} has {between} between its cells; save it with commas")
    seen = set()
    for name in header:
        if name and name in seen:
            raise CorpusError(f"{path} has the column {_quoted(name)} twice; remove one")
        seen.add(name)


def _rows(path: Path, width: int, records: Iterator[Row]) -> Iterator[Row]:
    for line, cells in records:
        if len(cells) > width:
            raise CorpusError(
                f"{path}, row {line}: {len(cells)} cells under {width} columns; mend it"
            )
        cells.extend([""] * (width - len(cells)))
        yield line, cells


def _quoted(name: str) -> str:
    """A name that a file gave, on one line."""
    return f"`{name}`" if name.isprintable() else repr(name)
