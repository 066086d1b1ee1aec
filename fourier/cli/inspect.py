"""What ``fourier check`` prints of a corpus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from fourier.cli.show import print_facts, table_of

if TYPE_CHECKING:
    import pandas as pd

    from fourier.corpora import Corpus
    from fourier.features.copies import Copy
    from fourier.features.pcm import PcmStore

LISTED = 40
"""Lines of a table that are shown; more are counted."""


def print_corpus(
    console: Console, corpus: "Corpus", pcm: "PcmStore", copies: "Sequence[Copy]"
) -> None:
    """Tracks, clips, hours, label ranges, copies, and what is left out with its reason."""
    from fourier.corpora import summarise

    summary = summarise(corpus, pcm.clips, pcm.left_out)
    facts = {
        "folder": str(corpus.root),
        "digest": corpus.digest,
        "tracks": f"{summary.tracks} by {summary.groups} groups",
        "clips": f"{summary.clips} of {corpus.clip_seconds:g} s at {corpus.sample_rate} Hz",
        "hours": f"{summary.hours:.2f}",
    }
    for name, (low, high) in summary.ranges.items():
        facts[name] = f"{low:+.3f} to {high:+.3f}"
    for name, count in summary.classes.items():
        facts[name] = f"{count} clips"
    facts["copies"] = f"{len(copies)} pairs of tracks" if copies else "none"
    print_facts(console, f"{corpus.name} ({corpus.task})", facts)
    print_copies(console, copies)
    print_left_out(console, pcm.left_out)


def print_copies(console: Console, copies: "Sequence[Copy]") -> None:
    """Pairs of tracks with the same audio, and what speaks for it."""
    if not copies:
        return
    console.print()
    rows = [[copy.first, copy.second, copy.evidence] for copy in copies[:LISTED]]
    console.print(table_of("Copies", ["track", "is also", "evidence"], rows))
    if len(copies) > LISTED:
        console.print(f"… and {len(copies) - LISTED} more")


def print_left_out(console: Console, left_out: "pd.DataFrame") -> None:
    """What is left out, by reason and then one by one."""
    from fourier.corpora import count_reasons

    if not len(left_out):
        console.print("\nNothing is left out.")
        return
    console.print()
    counted = [[str(count), reason] for reason, count in count_reasons(left_out).items()]
    console.print(table_of("Left out", ["count", "reason"], counted))
    rows = left_out.head(LISTED)[["item", "reason"]].astype(str).to_numpy().tolist()
    console.print(table_of("One by one", ["item", "reason"], rows))
    if len(left_out) > LISTED:
        console.print(f"… and {len(left_out) - LISTED} more")
