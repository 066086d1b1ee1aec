"""A report before it is HTML or Markdown: sections of blocks, in plain text and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class Headline:
    """The one figure that people came for.

    Attributes:
        figure: large.
        label: what it is, in a few words.
        detail: of what, in a line.
    """

    figure: str
    label: str
    detail: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True)
class Caution:
    """A paragraph that must not be overlooked."""

    words: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: their names; the first column names the row.
        rows: their cells.
        numeric: how many columns after the first are numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: int = 0


@dataclass(frozen=True)
class Commands:
    """Something to type, one command a line."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Pictures:
    """Pictures beside each other, with one caption."""

    elements: Sequence[Element]
    caption: str


Block = Headline | Text | Caution | Table | Commands | Pictures


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: the question.
        subtitle: which study, when.
        sections: in their order; the first has no heading of its own.
        footer: who wrote it.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    footer: str
