"""What a report says for whoever wants to check it: cost, corpus, search space, commands."""

import statistics

from fourier.corpora import PROTOCOLS
from fourier.report.charts import draw_cost
from fourier.report.document import Block, Commands, Pictures, Table, Text
from fourier.report.findings import Findings
from fourier.report.words import again_commands, duration, energy, environment, plain


def cost_section(findings: Findings) -> list[Block]:
    """Time, and energy where the device tells."""
    seconds = [line.seconds for line in findings.trials if line.seconds is not None]
    if not seconds:
        return []
    joules = [line.joules for line in findings.trials if line.joules is not None]
    device = findings.tags.get("fourier.device_name", "")
    rows = [
        [
            "time",
            duration(statistics.median(seconds)),
            duration(max(seconds)),
            duration(sum(seconds)),
        ]
    ]
    if joules:
        rows.append(
            ["energy", energy(statistics.median(joules)), energy(max(joules)), energy(sum(joules))]
        )
    told = next((line.energy_source for line in findings.trials if line.energy_source), "")
    words = f"Energy as told by {told}." if joules else "Energy is not told by this device."
    blocks: list[Block] = [
        Text(f"{words}" + (f" Device: {device}." if device else "")),
        Table(["", "median trial", "longest trial", "all trials"], rows, numeric=3),
    ]
    chart = draw_cost(
        f"{plain(findings.objective)} over seconds", findings.trials, findings.objective
    )
    if chart is not None:
        caption = "What a trial came to over the time it took; early stops are rings."
        blocks.append(Pictures([chart], caption))
    return blocks


def corpus_section(findings: Findings) -> list[Block]:
    """What was learned from and how it was split."""
    setting, tags = findings.setting, findings.tags
    protocol = PROTOCOLS.get(setting.protocol)
    facts = {
        "corpus": f"{setting.corpus}, digest {setting.corpus_digest}",
        "clips": tags.get("fourier.clips", ""),
        "left out": _left_out(tags.get("fourier.left_out", "")),
        "protocol": f"{setting.protocol}: {protocol.description}" if protocol else setting.protocol,
        "split": tags.get("fourier.split", ""),
        "folds": f"{setting.folds}, by group" if setting.folds else "",
        "objective": f"{setting.objective}, to {setting.direction}",
    }
    return [Table(["", ""], [[name, fact] for name, fact in facts.items() if fact])]


def space_section(findings: Findings) -> list[Block]:
    """Every setting with what was searched and what the best trial had."""
    best = findings.best.params if findings.best else {}
    rows = [
        [name, values, _value(best[name]) if name in best else ""]
        for name, values in findings.space.items()
    ]
    return [Table(["setting", "searched", "best trial"], rows)] if rows else []


def again_section(findings: Findings) -> list[Block]:
    """Commands and environment."""
    facts = environment(findings.tags)
    rows = [[name, fact] for name, fact in facts.items()]
    return [
        Text(
            "The same command continues the study, or makes it anew in an empty folder. On the "
            "same device and with as many threads the second gives the same figures."
        ),
        Commands(again_commands(findings)),
        *([Table(["", ""], rows)] if rows else []),
    ]


def _left_out(count: str) -> str:
    return f"{count} files or clips" if count not in ("", "0") else ""


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
