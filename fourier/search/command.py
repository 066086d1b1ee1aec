"""How a study was started: the exact command, the state of the source and the machine, as tags.

Not here: what is learned from, which the record of a study says (`fourier.search.record`).
"""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import fourier
from fourier.tracking import without_password


def environment_tags() -> dict[str, str]:
    """The exact command, the state of the source, and the machine, as a run's tags."""
    import torch

    tags = {
        "mlflow.source.name": sys.argv[0],
        "mlflow.source.type": "LOCAL",
        "mlflow.user": os.environ.get("USER", ""),
        "fourier.command": without_password(shlex.join(sys.argv))
        .encode(errors="backslashreplace")
        .decode(),
        "fourier.version": fourier.__version__,
        "fourier.python": platform.python_version(),
        "fourier.torch": torch.__version__,
    }
    commit = _git("rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["fourier.git_dirty"] = str(bool(_git("status", "--porcelain"))).lower()
    return tags


def _git(*words: str) -> str:
    """What git says of the source that this package runs from; empty where there is no git."""
    folder = Path(__file__).parent
    try:
        answer = subprocess.run(  # noqa: S603  fixed words, no shell
            ["git", "-C", str(folder), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
