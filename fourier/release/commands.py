"""What to type next, for messages: DEAM and GTZAN have commands of their own, folders share theirs.

Not here: the commands (`fourier.cli`).
"""

from fourier.corpora import KINDS


def sweep_command(task: str) -> str:
    """The command that sweeps a task.

    Args:
        task: ``deam``, ``gtzan``, or the kind of a labelled folder.
    """
    folder = task in KINDS
    return "`fourier sweep --data DIR`" if folder else f"`python experiments/sweep_{task}.py`"


def promote_command(name: str) -> str:
    """The command that promotes the best of a task's or a model's studies.

    Args:
        name: a task, or a registered model such as ``fourier-gtzan-demo``.
    """
    task = name.removeprefix("fourier-").removesuffix("-demo")
    named = task in ("deam", "gtzan")
    return f"`fourier promote {task}`" if named else "`fourier promote --data DIR`"
