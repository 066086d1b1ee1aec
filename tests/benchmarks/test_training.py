"""The benchmark of training runs: what it says of speed is for a quiet machine."""

import json
from pathlib import Path


def test_fit_is_put_beside_the_bare_step_and_a_loader(benchmark, tmp_path: Path) -> None:
    benchmark("training", "--threads", "1", "--architectures", "mlp")
    found = json.loads((tmp_path / "results" / "training-mlp.json").read_text())
    assert [row["required"] for row in found["rows"] if row["required"]] == [">= 0.9x", ">= 3x"]
    speeds = found["measured"]["clips_a_second"]
    assert set(speeds) == {
        "fourier", "bare step", "DataLoader, 0 workers", "DataLoader, 2 workers",
    }  # fmt: skip
    assert all(speed > 0 for values in speeds.values() for speed in values)
