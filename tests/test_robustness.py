"""`docs/robustness.md` promises nothing without a test, and no test that is not there."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TEXT = re.sub("<!--.*?-->", "", (PROJECT / "docs" / "robustness.md").read_text(), flags=re.DOTALL)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)))
SECTIONS = {
    title: [row for row in text.splitlines() if row.startswith("| ")][1:]
    for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part or "all")
def test_every_test_that_the_document_names_is_there(path, name):
    source = (PROJECT / path).read_text()
    found = [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    assert not name or name in found
    assert any(each.startswith("test_") for each in found)


@pytest.mark.parametrize("section", ["Faults", "Bad input", "Security"])
def test_every_promise_names_its_test(section):
    assert len(SECTIONS[section]) > 8
    for row in SECTIONS[section]:
        assert row.count(" | ") == 2, row
        assert re.search(r"`tests/[\w/]+\.py", row), row


def test_it_says_what_is_not_promised_and_what_was_measured():
    assert "What is not promised" in SECTIONS
    assert all(re.search(r"\d", row) for row in SECTIONS["Figures, as run"])
