"""The benchmarks of whole studies and commands run: their figures are for a quiet machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "required"),
    [
        ("startup", [], ["< 0.5 s", "< 0.5 s", "< 0.5 s"]),
        ("prediction", [], [">= 40x", ">= 150x", "<= 300 MiB more"]),
        ("orchestration", [], ["<= 40 ms", "<= 1 ms", ">= 3x less"]),
        ("orchestration-computing", ["--computing"], ["<= 40 ms", "<= 1 ms", ">= 3x less"]),
        ("orchestration-growth", ["--growth"], ["<= 1.2x"]),
        ("time_to_quality", [], ["<= 0.5"]),
    ],
)
def test_a_small_run_measures_what_is_required(name, words, required, benchmark, tmp_path):
    benchmark(name.partition("-")[0], *words)
    found = json.loads((tmp_path / "results" / f"{name}.json").read_text())
    assert [row["required"] for row in found["rows"] if row["required"]] == required
    assert f"## {name}" in (tmp_path / "RESULTS.md").read_text()


def test_workers_are_counted_by_the_studys_own_clock():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "workers.py", "--help"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "--small" in done.stdout
