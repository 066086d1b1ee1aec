"""A report as Markdown, without its pictures: for a repository, a message, or a terminal."""

import re
from collections.abc import Sequence

from fourier.report.document import (
    Block,
    Caution,
    Commands,
    Document,
    Headline,
    Pictures,
    Table,
    Text,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")


def to_markdown(document: Document) -> str:
    """The whole report."""
    parts = [f"# {_text(document.title)}", _text(document.subtitle)]
    for section in document.sections:
        if section.title:
            parts.append(f"## {_text(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in [*parts, _text(document.footer)] if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Headline():
            return f"**{_text(block.figure)}** {_text(block.label)}\n\n{_text(block.detail)}"
        case Text():
            return _text(block.words)
        case Caution():
            return f"> **{_text(block.words)}**"
        case Commands():
            return _code(block.lines)
        case Table():
            return _table(block)
        case Pictures():
            return f"*(On the page, a picture.) {_text(block.caption)}*"


def _table(table: Table) -> str:
    rules = ["---:" if 1 <= i <= table.numeric else "---" for i in range(len(table.columns))]
    lines = [list(map(_text, table.columns)), rules, *(map(_text, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(lines: Sequence[str]) -> str:
    """A fence longer than any in the code, whose lines stay lines."""
    text = "\n".join(" ".join(line.splitlines()) for line in lines)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _text(words: str) -> str:
    """Words that stay words: no markup, no line of their own."""
    return SPECIAL.sub(r"\\\1", " ".join(words.split()))
