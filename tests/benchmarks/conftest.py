"""Benchmarks run in their small size, in processes that have loaded what takes seconds to load."""

import os
from pathlib import Path

import pytest
from ready import run_script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(processes, tmp_path, own_cache):
    """Runs one, as if typed; returns what it printed."""

    def run(name, *words):
        said = tmp_path / "said.txt"
        words = ["--small", *words, "--out", str(tmp_path)]
        arguments = (BENCHMARKS / f"{name}.py", words, dict(os.environ), said)
        process = processes.Process(target=run_script, args=arguments)
        process.start()
        try:
            process.join()
        finally:
            process.kill()
        assert process.exitcode == 0, said.read_text()
        return said.read_text()

    return run
