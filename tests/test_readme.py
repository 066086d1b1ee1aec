"""The README's map names every module, in the words of the module itself."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(PROJECT).as_posix()
    for path in (PROJECT / "fourier").rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_the_map_has_a_line_for_each_module(module):
    rows = [
        line
        for line in (PROJECT / "README.md").read_text().splitlines()
        if line.startswith(f"| `{module}` | ")
    ]
    assert len(rows) == 1
    assert ast.get_docstring(ast.parse((PROJECT / module).read_text()))
