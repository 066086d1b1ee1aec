"""What ``fourier check`` prints of a corpus."""

from typing import TYPE_CHECKING

from rich.console import Console

from fourier.cli.show import print_facts, table_of

if TYPE_CHECKING:
    import pandas as pd

    from fourier.corpora import Corpus
    from fourier.features.pcm import PcmStore

LISTED = 40
"""Lines of what is left out that are shown; more are counted."""


def print_corpus(console: Console, corpus: "Corpus", pcm: "PcmStore") -> None:
    """Tracks, clips, hours, label ranges, and everything that is left out with its reason."""
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
    print_facts(console, f"{corpus.name} ({corpus.task})", facts)
    print_left_out(console, pcm.left_out)


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
