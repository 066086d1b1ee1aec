"""What stands before a reproduction: the corpus, the device, and what is left out and why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fourier.cli.show import plain, print_facts

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from rich.console import Console

    from fourier.corpora import Corpus
    from fourier.features.pcm import PcmStore

SHOWN_REASONS, SHOWN_ITEMS = 10, 5


def announce(
    console: "Console",
    corpus: "Corpus",
    pcm: "PcmStore",
    device: "torch.device",
    seeds: Sequence[int],
    epochs: int,
) -> None:
    """Say which clips there are, and what is left out with its reason."""
    from fourier.training import describe_device

    if corpus.is_demo:
        console.print(
            "[yellow]Demo corpus[/yellow]: synthesised music, to try things out; "
            "its numbers say nothing about real music. Name yours with --data DIR.",
            soft_wrap=True,
        )
    tracks = pcm.clips["track"].nunique()
    facts = {
        "corpus": f"{corpus.name} {corpus.digest} in {corpus.root}",
        "clips": f"{len(pcm.clips)} of {corpus.clip_seconds:g} s from {tracks} tracks",
        "device": describe_device(device),
        "seeds": f"{', '.join(map(str, seeds))}; {epochs} epochs each",
    }
    print_facts(console, f"fourier · {corpus.task}", facts)
    for line in left_out_lines(pcm.left_out):
        console.print(f"  [dim]left out[/dim]  {plain(line)}", soft_wrap=True)


def left_out_lines(left_out: "pd.DataFrame") -> list[str]:
    """What is left out by reason, whole files before clips; all of it is in ``left_out.csv``."""
    by_reason = left_out.groupby("reason", sort=False)["item"].agg(list)
    reasons = sorted(by_reason.items(), key=lambda entry: " @ " in entry[1][0])
    lines = []
    for reason, items in reasons[:SHOWN_REASONS]:
        more = len(items) - SHOWN_ITEMS
        listed = ", ".join(items[:SHOWN_ITEMS]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"{listed}: {reason}")
    if len(reasons) > SHOWN_REASONS:
        lines.append(f"for {len(reasons) - SHOWN_REASONS} more reasons: see the run's left_out.csv")
    return lines
