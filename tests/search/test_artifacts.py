import math

import numpy as np
import pandas as pd
import pytest

from fourier.search.artifacts import write_history

HISTORIES = {
    "an epoch": [{"train_loss": 0.1, "objective": -2.5e-17}],
    "what is not a number": [{"loss": math.nan, "lr": 1e-3}, {"loss": 1 / 3, "lr": math.nan}],
    "what has no end": [{"loss": math.inf, "lr": -math.inf}],
    "numbers of NumPy": [{"loss": np.float64(0.1), "lr": float(np.float32(0.1))}],
    "long and short": [{"loss": 123456789.123456789}, {"loss": 1e300}, {"loss": 5e-324}],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_written_as_pandas_writes_it(tmp_path, name):
    write_history(tmp_path / "ours.csv", HISTORIES[name])
    pd.DataFrame(HISTORIES[name]).to_csv(tmp_path / "theirs.csv", index_label="epoch")
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()
