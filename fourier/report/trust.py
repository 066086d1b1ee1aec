"""How a report tells what a figure is worth: seeds, leaks, and the test part."""

from fourier.report.document import Block, Commands, Table, Text
from fourier.report.findings import Findings
from fourier.report.words import (
    counted,
    evaluate_command,
    how_measured,
    mean_std,
    number,
    plain,
    promote_command,
)


def seeds_section(findings: Findings) -> list[Block]:
    """Settings that were trained again with new seeds, or what to type."""
    told = [each for each in findings.measured if not each.leaky or findings.is_leaky]
    if not told:
        return [
            Text(
                "No setting has been trained again with new seeds yet. Two settings often differ "
                "by less than two seeds of one; to see by how much, type"
            ),
            Commands([evaluate_command(findings), promote_command(findings)]),
        ]
    rows = [
        [
            f"{each.trial:04d}",
            *(mean_std(each, name) if name in each.mean else "" for name in findings.shown),
            f"{each.kind}, {each.protocol}, {how_measured(each)}",
        ]
        for each in told
    ]
    return [
        Text(
            "Mean ± standard deviation over seeds. By folds every track outside the test part is "
            "predicted once with each seed, after the last epoch, by a network that never heard "
            "it. On a validation part the same tracks also choose the epoch, which flatters."
        ),
        Table(["trial", *map(plain, findings.shown), "measured by"], rows, len(findings.shown)),
    ]


def leak_section(findings: Findings) -> list[Block]:
    """How much a leaky split inflates the best setting, or what to type."""
    if findings.is_leaky or findings.best is None:
        return []
    metric, rival = findings.objective, findings.rival
    pair = findings.inflation
    blocks: list[Block] = []
    if pair:
        honest, leaky = pair
        gain = leaky.mean[metric] - honest.mean[metric]
        blocks.append(
            Text(
                f"The best setting comes to {mean_std(honest, metric)} ({how_measured(honest)}), "
                f"and to {mean_std(leaky, metric)} on the same clips when other clips of the same "
                f"tracks are learned ({how_measured(leaky)}, of segments). The difference, "
                f"{gain:+.3f}, is for knowing the recordings, not the music."
            )
        )
    if rival:
        best = findings.best.metrics[metric]
        blocks.append(
            Text(
                f"Study {rival.name}, under {rival.protocol}, found {number(rival.best)} where "
                f"this one found {number(best)}: {rival.best - best:+.3f}, each the best of its "
                "trials."
            )
        )
    if not pair:
        words = "It has not been measured for this setting. To measure it, type"
        both = [] if findings.honest_by_folds else [evaluate_command(findings)]
        blocks += [Text(words), Commands([*both, evaluate_command(findings, leaky=True)])]
    return blocks


def test_section(findings: Findings) -> list[Block]:
    """Whether the test part was opened, when, and what it said."""
    if not findings.tested:
        return [
            Text(
                "Closed. No trial, baseline, statistic or evaluation of this study has seen its "
                "labels. It is opened once, for the winner, by"
            ),
            Commands([promote_command(findings)]),
        ]
    return [
        Text(
            f"Opened {each.opened} for the setting of trial {each.trial}: "
            f"{plain(findings.objective)} {number(each.value)} "
            f"[{number(each.low)}, {number(each.high)}] on {counted(each.tracks, 'track')}, "
            f"with a 95 % interval from draws of tracks. {each.decision}"
        )
        for each in findings.tested
    ]
