"""The first section of a report: the figure that people came for, and how far to trust it."""

from fourier.report.document import Block, Caution, Commands, Headline, Pictures, Text
from fourier.report.findings import Findings
from fourier.report.ladders import Rung, draw_ladder
from fourier.report.measured import Measured
from fourier.report.words import counted, evaluate_command, how_measured, mean_std, number, plain


def answer_section(findings: Findings) -> list[Block]:
    """The headline, what it is worth in a sentence or two, and the ladder of all figures."""
    best, honest, metric = findings.best, findings.honest, findings.objective
    blocks: list[Block] = _cautions(findings)
    if best is None:
        return [*blocks, Text("No trial was trained to its end, so there is no best one yet.")]
    if honest:
        label = f"{plain(metric)}: {how_measured(honest)}, mean ± standard deviation"
        blocks.append(Headline(mean_std(honest, metric), label, best.settings))
    else:
        looks = counted(findings.looks, "trial")
        label = f"{plain(metric)}: the best of {looks} on {_held_out(findings)}"
        blocks.append(Headline(number(best.metrics[metric]), label, best.settings))
    blocks += [Text(sentence) for sentence in _trust(findings, best.number)]
    rungs = _rungs(findings)
    better = "less is better" if findings.minimized else "more is better"
    ladder = draw_ladder(
        f"{plain(metric)} of the floor, the best trial and what became of it",
        rungs,
        f"{plain(metric)}: {better}",
    )
    caption = (
        "The floor (squares), the best trial as the search saw it (ring), the same setting trained "
        "again with new seeds (bar: standard deviation)"
        + (", the test part (diamond, 95 % interval)" if findings.tested else "")
        + "."
    )
    blocks.append(Pictures([ladder], caption))
    if honest is None:
        blocks += [
            Text("To know how much of that is luck, train the setting again with new seeds:"),
            Commands([evaluate_command(findings)]),
        ]
    return blocks


def _cautions(findings: Findings) -> list[Block]:
    blocks: list[Block] = []
    if findings.is_demo:
        blocks.append(
            Caution(
                "Demo corpus: the music is synthesised, and its figures say nothing about real "
                "music."
            )
        )
    if findings.is_leaky:
        blocks.append(
            Caution(
                f"Leaky split: under protocol {findings.setting.protocol} clips of one track stand "
                "on both sides, so every figure of this study is inflated. It is kept for "
                "comparison only."
            )
        )
    return blocks


def _trust(findings: Findings, trial: int) -> list[str]:
    """What the headline is worth: over the floor, and against what the search saw."""
    best, honest, metric = findings.best, findings.honest, findings.objective
    if best is None:
        return []
    value = honest.mean[metric] if honest else best.metrics[metric]
    sentences = []
    floors = {name: each[metric] for name, each in findings.floor.items() if metric in each}
    if floors:
        pick = min if findings.minimized else max
        name = pick(floors, key=lambda each: floors[each])
        gain = floors[name] - value if findings.minimized else value - floors[name]
        verb = f"beats the strongest baseline by {gain:.3f}"
        if gain <= 0:
            verb = f"does not beat the strongest baseline: it is {-gain:.3f} worse"
        sentences.append(f"That {verb} ({name}, {number(floors[name])}).")
    if honest:
        sentences.append(
            f"The search had shown {number(best.metrics[metric])} for the same setting: trial "
            f"{trial}, the best of {findings.looks} on {_held_out(findings)}."
        )
    else:
        sentences.append(
            "The best of many looks at the same tracks is flattered by luck; it says which setting "
            "to try, not how good it is."
        )
    return sentences


def _rungs(findings: Findings) -> list[Rung]:
    metric, best = findings.objective, findings.best
    rungs = [
        Rung(f"baseline: {name}", each[metric], None, None, number(each[metric]), "floor")
        for name, each in findings.floor.items()
        if metric in each
    ]
    if best is None:
        return rungs
    value = best.metrics[metric]
    rungs.append(Rung("best trial, as searched", value, None, None, number(value), "searched"))
    mine = [each for each in findings.measured if each.trial == best.number]
    mine.sort(key=lambda each: each.leaky)
    rungs += [_measured_rung(each, metric) for each in mine if metric in each.mean]
    if findings.rival:
        name, value = f"leaky study {findings.rival.name}", findings.rival.best
        rungs.append(Rung(_cut(name), value, None, None, number(value), "leaky ring"))
    rungs += [
        Rung(
            f"test part, {each.tracks} tracks",
            each.value,
            each.low,
            each.high,
            number(each.value),
            "test",
        )
        for each in findings.tested
        if each.trial == best.number
    ]
    return rungs


def _measured_rung(each: Measured, metric: str) -> Rung:
    mean, std = each.mean[metric], each.std.get(metric)
    low, high = (None, None) if std is None else (mean - std, mean + std)
    name = f"leaky, {how_measured(each)}" if each.leaky else how_measured(each)
    return Rung(
        _cut(name), mean, low, high, mean_std(each, metric), "leaky" if each.leaky else "measured"
    )


def _cut(name: str, most: int = 34) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _held_out(findings: Findings) -> str:
    folds = findings.setting.folds
    return f"the same {folds} folds" if folds else "the same validation tracks"
