"""HTML and SVG as a tree: whatever is put in as text comes out as text.

The standard library's tree does the escaping, so a study called ``<script>`` is shown and not run.
Not here: what is drawn.
"""

from xml.etree.ElementTree import Element, SubElement, tostring

Child = Element | str | None


def el(name: str, /, *children: Child, **attributes: object) -> Element:
    """An element with its children; None among them is left out.

    Attributes are written as they are, but for a trailing underscore (``class_``) and underscores
    within (``stroke_width``); those that are None are left out.
    """
    element = Element(name)
    for key, value in attributes.items():
        if value is not None:
            text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            element.set(key.rstrip("_").replace("_", "-"), str(text))
    for child in children:
        append(element, child)
    return element


def append(parent: Element, child: Child) -> None:
    """Add a child at the end, an element or text."""
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + child
    else:
        parent.text = (parent.text or "") + child


def picture(title: str, width: int, height: float, *children: Child) -> Element:
    """An SVG that grows with the page, with a title for whoever cannot see it."""
    svg = el("svg", role="img", aria_label=title, class_="chart")
    svg.set("viewBox", f"0 0 {width} {height:g}")
    SubElement(svg, "title").text = title
    for child in children:
        append(svg, child)
    return svg


def to_html(root: Element) -> str:
    """The document as text."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
