"""Scripts in processes of their own that have already loaded what takes seconds to load.

A fork server loads it once; each script is then a fork of that, with its own memory, variables,
working directory and words, as if typed. Not for what is to be measured from a cold start.
"""

import os
import runpy
import sys
from pathlib import Path

LOADED = [
    "fourier.search.sweep",
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.artifact.artifact_repository_registry",
    "plotly.graph_objects",
    "librosa.filters",
    "sklearn.linear_model",
    "torch._dynamo",
]
"""None of the tests' own modules: a fork server does not find them yet."""


def run_script(script, words, variables, said):
    """The life of one process: what it prints goes into a file."""
    os.environ.clear()
    os.environ.update(variables)
    with Path(said).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [str(script), *words]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(str(script), run_name="__main__")
