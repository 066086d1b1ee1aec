"""The benchmark of a whole sweep runs on whatever is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_sweep.py"


@pytest.mark.slow
def test_a_sweep_is_swept_and_a_loader_put_beside_it(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--small", "--device", "cpu", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads((tmp_path / "results" / "gpu_sweep.json").read_text())
    assert [trial["state"] for trial in found["measured"]["trials"]] == ["complete", "complete"]
    assert found["rows"][3]["project"] == "no GPU here"
    assert all(row["reached"] is None for row in found["rows"])
    assert found["measured"]["loader"][0]["loader"] > 0
