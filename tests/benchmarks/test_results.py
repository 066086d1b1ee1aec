"""What benchmarks find goes into RESULTS.md between its marks, and nowhere else."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def results() -> ModuleType:
    return load("results")


@pytest.fixture(scope="module")
def measure() -> ModuleType:
    return load("measure")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def test_a_part_is_replaced_and_the_prose_around_it_stays(
    results: ModuleType, tmp_path: Path
) -> None:
    page = tmp_path / "RESULTS.md"
    page.write_text(
        "# Results\n\nProse.\n\n## b\n\n<!-- b: begin -->\nold\n<!-- b: end -->\nMore.\n"
    )
    results.write_part(page, "b", "new")
    results.write_part(page, "a", "first")
    results.write_part(page, "a", "second")
    assert page.read_text() == (
        "# Results\n\nProse.\n\n## b\n\n<!-- b: begin -->\nnew\n<!-- b: end -->\nMore.\n"
        "\n## a\n\n<!-- a: begin -->\nsecond\n<!-- a: end -->\n"
    )


def test_ways_are_measured_in_turn_after_a_round_that_does_not_count(measure: ModuleType) -> None:
    order: list[str] = []
    ways = {name: lambda name=name: order.append(name) or float(len(order)) for name in "ab"}
    assert measure.alternate(ways, 2) == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert order == ["a", "b"] * 3


def test_the_ratio_is_the_median_of_neighbours_ratios(measure: ModuleType) -> None:
    assert measure.median_ratio([2, 40, 6], [1, 10, 2]) == 3


def test_the_peak_is_of_the_largest_process(measure: ModuleType) -> None:
    ballast = bytearray(300 * 2**20)  # of this process, which does not count
    fat = "x = bytearray(100 * 2**20)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {fat!r}])"
    for command in (fat, child):
        assert ballast[-1] == 0
        assert 100 * 2**20 < measure.peak_memory([sys.executable, "-c", command]) < 200 * 2**20
