"""How a report tells of the search: its trials, what mattered, what the best of them gets right."""

from fourier.report.answers import clip_count, draw_answers
from fourier.report.charts import draw_history, draw_strip
from fourier.report.document import Block, Pictures, Table, Text
from fourier.report.findings import Findings
from fourier.report.ladders import draw_shares
from fourier.report.words import counted, joined, number, plain
from fourier.search.importance import Importances

TABLE_TRIALS = 8
STRIPS = 4
SHARES = 8


def search_section(findings: Findings) -> list[Block]:
    """How many trials, their course, and the best of them beside the floor."""
    metric = findings.objective
    states = [line.state for line in findings.trials]
    kinds = {
        "complete": "complete",
        "pruned": "stopped early",
        "failed": "failed",
        "running": "still running",
    }
    parts = [f"{states.count(state)} {word}" for state, word in kinds.items() if state in states]
    floors = {name: each[metric] for name, each in findings.baselines.items() if metric in each}
    chart = draw_history(
        f"{plain(metric)} of every trial",
        findings.trials,
        metric,
        floors,
        minimized=findings.minimized,
    )
    folds = findings.setting.folds
    way = f"on {folds} folds" if folds else "once"
    blocks: list[Block] = [
        Text(
            f"{counted(len(states), 'trial')}: {joined(parts)}. Each was trained {way} for at most "
            f"{findings.setting.epochs} epochs, and all follow from seed {findings.setting.seed}."
        ),
        Pictures(
            [chart],
            f"{plain(metric).capitalize()} of every trial in the order of the search. The line is "
            "the best so far; rings were stopped early; dashed is the floor.",
        ),
    ]
    done = [line for line in findings.trials if line.state == "complete"]
    sign = 1 if findings.minimized else -1
    ranked = sorted(done, key=lambda line: (sign * line.metrics["objective"], line.number))
    rows = [
        [
            f"{line.number:04d}",
            *(number(line.metrics[name]) for name in findings.shown),
            line.settings,
        ]
        for line in ranked[:TABLE_TRIALS]
    ]
    rows += [
        ["baseline", *(number(each.get(key)) for key in findings.shown), name]
        for name, each in findings.baselines.items()
    ]
    columns = ["trial", *map(plain, findings.shown), "settings"]
    return [*blocks, Table(columns, rows, numeric=len(findings.shown))]


def mattered_section(findings: Findings) -> list[Block]:
    """Which settings explain the differences between trials, and how sure that is."""
    found, metric = findings.importances, findings.objective
    if found is None:
        return [Text("Too few trials have ended, or all came to the same, to tell what mattered.")]
    shares = dict(list(found.shares.items())[:SHARES])
    ended = [line for line in findings.trials if line.metrics]
    common = [
        name for name in shares if 2 * sum(name in line.params for line in ended) >= len(ended)
    ]
    strips = [
        draw_strip(f"{plain(metric)} over {name}", name, findings.trials, metric)
        for name in common[:STRIPS]
    ]
    return [
        Text(_verdict(found)),
        Pictures(
            [draw_shares("What each setting explains of the differences between trials", shares)],
            "How much worse a forest tells the value of trials that it has not seen when each is "
            "given that setting of another trial, over 100 bootstrap samples of the trials. A "
            "setting whose bar reaches nothing may be nothing.",
        ),
        Pictures(
            [strip for strip in strips if strip is not None],
            f"{plain(metric).capitalize()} of every trial over its settings. The search looks "
            "where it has found good values, so the crowded columns are those it came to like.",
        ),
    ]


def _verdict(found: Importances) -> str:
    """What is sure, and how much of the differences is explained at all."""
    sure = [name for name, share in found.shares.items() if share.is_sure]
    verdict = (
        f"Surely more than nothing: {joined(sure)}."
        if sure
        else "Of no single setting is it sure that it mattered at all."
    )
    together = found.explained
    if together.value <= 0:
        return (
            f"{verdict} From the settings of these {found.trials} trials the value of another "
            "cannot be told better than by their mean, so read nothing into what follows."
        )
    return (
        f"{verdict} All settings together explain {_percent(together.value)} of the differences "
        f"between the {found.trials} trials (90 % interval {_percent(together.low)} to "
        f"{_percent(together.high)}); the rest is chance, or goes together in ways that so few "
        "trials do not show."
    )


def right_section(findings: Findings) -> list[Block]:
    """What the best trial predicted for clips that it had not learned."""
    table = findings.predictions
    if table is None or findings.best is None:
        return []
    drawn = draw_answers(table)
    if not drawn:
        return []
    kind = (
        "Rows are true classes, columns what they were called."
        if "predicted" in table
        else ("On the dashed line a prediction is what listeners said.")
    )
    caption = f"Trial {findings.best.number} on {clip_count(table)} that it did not learn. {kind}"
    return [Pictures(drawn, caption)]


def _percent(share: float) -> str:
    return f"{share:.0%}"
