"""The benchmark of extraction runs: what it says of speed is for a quiet machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "extraction.py"


@pytest.mark.slow
def test_every_way_is_measured_or_said_to_be_missing(benchmark, tmp_path: Path) -> None:
    shown = benchmark("extraction")
    found = json.loads((tmp_path / "results" / "extraction.json").read_text())
    told = " ".join(row["peer"] for row in found["rows"])
    for way in ("the first project's way", "decoding alone", "librosa", "nnAudio", "torchaudio"):
        assert way in told
    assert "Songs a second" in shown
    required = [row["required"] for row in found["rows"] if row["required"]]
    assert required[:3] == [">= 2x", ">= 0.6x", ">= 6x"]


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(benchmark, tmp_path: Path) -> None:
    benchmark("extraction", "--memory")
    page = (tmp_path / "RESULTS.md").read_text()
    assert "## extraction-memory" in page
    assert "1 and 2 songs" in page


def test_help_answers_without_torch() -> None:
    command = [sys.executable, SCRIPT, "--help"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "--memory" in shown
