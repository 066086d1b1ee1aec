"""Commands that run at once, each a process of its own, forked from one that has loaded all.

Reads JSON, a list of [folder, argv]; prints JSON, a list of [exit code, what it printed as an
error]. Not a test: `test_together.py` starts it.
"""

import contextlib
import io
import json
import os
import runpy
import sys
import traceback
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow.store.tracking.sqlalchemy_store
import optuna.visualization
import sklearn.linear_model
import torch

import fourier.cli.main
import fourier.cli.summary
import fourier.release.promote

LOADED = (mlflow, optuna, plt, sklearn, fourier.cli.summary, fourier.release.promote)
"""What every command would load by itself."""


def command(folder, argv, result):
    """One process's life: a script, or words of `fourier`."""
    code, err = 99, io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            if argv[0].endswith(".py"):
                sys.argv = argv
                runpy.run_path(argv[0], run_name="__main__")
            else:
                code = fourier.cli.main.main(argv)
    except SystemExit as end:
        code = end.code
    except Exception:  # noqa: BLE001  whatever it is, the report says so
        err.write(traceback.format_exc())
    finally:
        result.write_text(json.dumps([code, err.getvalue()]))
        os._exit(0)


def main():
    """Run all at once."""
    torch.set_num_threads(1)
    here = Path(sys.argv[1])
    commands = json.load(sys.stdin)
    results = [here / f"result-{number}.json" for number in range(len(commands))]
    for (folder, argv), result in zip(commands, results, strict=True):
        if not os.fork():
            command(folder, argv, result)
    for _ in commands:
        os.wait()
    print(json.dumps([json.loads(result.read_text()) for result in results]))  # noqa: T201


if __name__ == "__main__":
    main()
