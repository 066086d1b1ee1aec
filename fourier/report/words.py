"""How a report says things: numbers, durations, energies, and what to type."""

import shlex
from collections.abc import Mapping, Sequence

from fourier.report.findings import Findings
from fourier.report.measured import Measured

QUESTIONS = {"deam": "valence and arousal", "gtzan": "genre"}
"""What a task is about."""


def question(findings: Findings) -> str:
    """What the study asked."""
    task = findings.setting.task
    subject = QUESTIONS.get(task, f"what {findings.setting.corpus} is labelled with")
    return f"Which spectrogram and which network hear {subject} best?"


def plain(metric: str) -> str:
    """A metric's name in words."""
    return metric.replace("_", " ")


def number(value: float | None) -> str:
    """Three decimals, as everywhere in the project."""
    return "" if value is None else f"{value:.3f}"


def mean_std(measured: Measured, metric: str) -> str:
    """Mean ± standard deviation over the seeds; the mean alone of one seed."""
    std = measured.std.get(metric)
    return number(measured.mean[metric]) + ("" if std is None else f" ± {std:.3f}")


def how_measured(measured: Measured) -> str:
    """By what and how often."""
    seeds = counted(measured.seeds, "seed")
    return f"{measured.folds} folds × {seeds}" if measured.folds else f"validation, {seeds}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def energy(joules: float) -> str:
    """Joules, kilojoules, or kilowatt-hours from a tenth on."""
    if joules >= 3.6e5:
        return f"{joules / 3.6e6:.2f} kWh"
    return f"{joules / 1000:.2f} kJ" if joules >= 1000 else f"{joules:.1f} J"


def counted(count: int, thing: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count} {thing}" + ("" if count == 1 else "s")


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)


def data_option(findings: Findings) -> list[str]:
    """Words that name the corpus's folder; none for the demo corpus, which is made anew."""
    return [] if findings.is_demo else ["--data", "DIR"]


def evaluate_command(findings: Findings, *, leaky: bool = False) -> str:
    """What measures the best trial by folds and seeds."""
    run = findings.best.run_id if findings.best else "RUN"
    words = ["fourier", "evaluate", run, *data_option(findings), "--folds", "5", "--seeds", "3"]
    return shlex.join([*words, *(["--leaky"] if leaky else [])])


def promote_command(findings: Findings) -> str:
    """What confirms the best trials and opens the test part."""
    words = ["fourier", "promote", findings.setting.task, "--study", findings.study]
    return shlex.join([*words, *data_option(findings)])


def again_commands(findings: Findings) -> list[str]:
    """What repeats the study and its best trial, in an environment like its own."""
    command = findings.tags.get("fourier.command", "")
    run = findings.best.run_id if findings.best else "RUN"
    commands = [f"python {command}"] if command else []
    return [*commands, shlex.join(["fourier", "reproduce", run, *data_option(findings)])]


def environment(tags: Mapping[str, str]) -> dict[str, str]:
    """What the study was run with, of what its run says."""
    names = {
        "fourier.version": "fourier",
        "mlflow.source.git.commit": "commit",
        "fourier.python": "Python",
        "fourier.torch": "torch",
        "fourier.device_name": "device",
    }
    found = {shown: tags[name] for name, shown in names.items() if tags.get(name)}
    if "commit" in found and tags.get("fourier.git_dirty") == "true":
        found["commit"] += " and changes that were not committed"
    return found
