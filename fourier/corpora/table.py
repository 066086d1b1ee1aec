"""A CSV as text, with the place of every cell for whoever finds it wrong.

Python's own reader rather than pandas': numbers made from text by `float` are the same bits with
every version, and a corpus's digest depends on them. Not here: what columns mean.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from fourier.errors import CorpusError


@dataclass(frozen=True)
class Table:
    """A CSV with a header.

    Attributes:
        path: the file.
        columns: position of each column by its name.
        rows: cells without blanks around them, as many in each row as there are columns.
        lines: line of the file that each row ends on.
    """

    path: Path
    columns: dict[str, int]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """Cells of a column.

        Raises:
            CorpusError: there is none of that name.
        """
        if name not in self.columns:
            raise CorpusError(f"{self.path} has no column `{name}`; mend it or unpack it again")
        return [row[self.columns[name]] for row in self.rows]


def read_table(path: Path) -> Table:
    """Read a CSV, whatever its line ends and whether or not it has a byte-order mark.

    Raises:
        CorpusError: it is no CSV in UTF-8, is empty, has a column twice, or a row too long.
    """
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if cells:
                    rows.append([cell.strip() for cell in cells])
                    lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read as a table: {error}; unpack it again") from None
    if not header:
        raise CorpusError(f"{path} is empty; unpack it again")
    repeated = [name for i, name in enumerate(header) if name and name in header[:i]]
    if repeated:
        raise CorpusError(f"{path} has the column `{repeated[0]}` twice; remove one")
    for row, line in zip(rows, lines, strict=True):
        if len(row) > len(header):
            raise CorpusError(
                f"{path}, row {line}: {len(row)} cells under {len(header)} columns; mend it"
            )
        row.extend([""] * (len(header) - len(row)))
    return Table(path, {name: i for i, name in enumerate(header)}, rows, lines)
