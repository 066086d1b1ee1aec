"""A report as one HTML page: no script, nothing loaded from anywhere, light and dark.

The page forbids itself to load anything, so it is safe to open and to send even if a name in it
was meant to do harm.
"""

from importlib import resources
from xml.etree.ElementTree import Element

from fourier.report.document import (
    Block,
    Caution,
    Commands,
    Document,
    Headline,
    Pictures,
    Section,
    Table,
    Text,
)
from fourier.report.elements import el, to_html

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_page(document: Document) -> str:
    """The whole page."""
    style = resources.files("fourier.report").joinpath("style.css").read_text(encoding="utf-8")
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{document.subtitle} · fourier"),
        el("style", style),
    )
    header = el(
        "header",
        el("p", "fourier · report", class_="kicker"),
        el("h1", document.title),
        el("p", document.subtitle, class_="subtitle"),
    )
    sections = [_section(section) for section in document.sections]
    main = el("main", header, *sections, el("footer", document.footer))
    return to_html(el("html", head, el("body", main), lang="en"))


def _section(section: Section) -> Element:
    heading = el("h2", section.title) if section.title else None
    return el("section", heading, *map(_block, section.blocks))


def _block(block: Block) -> Element:
    match block:
        case Headline():
            return el(
                "div",
                el("p", block.figure, class_="big"),
                el("p", block.label, class_="label"),
                el("p", block.detail, class_="detail"),
                class_="headline",
            )
        case Text():
            return el("p", block.words)
        case Caution():
            return el("p", block.words, class_="caution", role="note")
        case Commands():
            return el("pre", el("code", "\n".join(block.lines)))
        case Table():
            return _table(block)
        case Pictures():
            pictures = el("div", *block.elements, class_=f"pictures n{len(block.elements)}")
            return el("figure", pictures, el("figcaption", block.caption))


def _table(table: Table) -> Element:
    def cells(name: str, row: list[str]) -> list[Element]:
        return [
            el(name, cell, class_="number" if 1 <= place <= table.numeric else None)
            for place, cell in enumerate(row)
        ]

    head = el("thead", el("tr", *cells("th", list(table.columns))))
    rows = [el("tr", *cells("td", list(row))) for row in table.rows]
    named = any(table.columns)
    body = el("table", head if named else None, el("tbody", *rows))
    return el("div", body, class_="table" if named else "table facts")
