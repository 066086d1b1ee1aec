"""The benchmark of extraction runs: what it says of speed is for a quiet machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "extraction.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.mark.slow
def test_every_way_is_measured_or_said_to_be_missing(tmp_path: Path) -> None:
    shown = run("--small", "--out", tmp_path).stdout
    found = json.loads((tmp_path / "results" / "extraction.json").read_text())
    told = " ".join(row["peer"] for row in found["rows"])
    for way in ("the first project's way", "decoding alone", "librosa", "nnAudio", "torchaudio"):
        assert way in told
    assert "Songs a second" in shown
    required = [row["required"] for row in found["rows"] if row["required"]]
    assert required[:3] == [">= 2x", ">= 0.6x", ">= 6x"]


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    run("--small", "--memory", "--out", tmp_path)
    page = (tmp_path / "RESULTS.md").read_text()
    assert "## extraction-memory" in page
    assert "1 and 2 songs" in page


def test_help_answers_without_torch() -> None:
    assert "--memory" in run("--help").stdout
