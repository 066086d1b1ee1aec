"""What to type next, for messages: DEAM and GTZAN have commands of their own, folders share theirs.

Not here: the commands (`fourier.cli`).
"""

NAMED = ("deam", "gtzan")


def sweep_command(task: str) -> str:
    """The command that sweeps a task.

    Args:
        task: ``deam``, ``gtzan``, or the kind of a labelled folder.
    """
    named = task in NAMED
    return f"`python experiments/sweep_{task}.py`" if named else "`fourier sweep --data DIR`"


def promote_command(name: str) -> str:
    """The command that promotes the best of a task's or a model's studies.

    Args:
        name: a task, or a registered model such as ``fourier-gtzan-demo``.
    """
    task = name.removeprefix("fourier-").removesuffix("-demo")
    return f"`fourier promote {task}`" if task in NAMED else "`fourier promote --data DIR`"
