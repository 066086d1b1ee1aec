"""The benchmark of a whole sweep runs on whatever is there."""

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_sweep_is_swept_and_a_loader_put_beside_it(benchmark, tmp_path: Path) -> None:
    benchmark("gpu_sweep", "--device", "cpu")
    found = json.loads((tmp_path / "results" / "gpu_sweep.json").read_text())
    assert [trial["state"] for trial in found["measured"]["trials"]] == ["complete", "complete"]
    assert found["rows"][3]["project"] == "no GPU here"
    assert all(row["reached"] is None for row in found["rows"])
    assert found["measured"]["loader"][0]["loader"] > 0
