"""One shape for every corpus: which audio, which labels, and what is left out.

DEAM, GTZAN, the demo corpora and anybody's labelled folder differ only in how they fill it. Not
here: samples; a corpus knows where its audio lies and never decodes it.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from fourier.digest import digest_file, digest_of

LEFT_OUT_COLUMNS = ["item", "reason"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Corpus:
    """Audio files and the labelled clips in them.

    Attributes:
        name: ``deam``, ``gtzan``, ``deam-demo``, ``gtzan-demo``, or a labelled folder's own.
        task: what its labels are for: ``deam``, ``gtzan``, ``classification``, ``regression``.
        root: the folder that paths are relative to.
        sample_rate: Hz that all clips are brought to.
        clip_seconds: length of a clip.
        tracks: index ``track`` (str); columns ``path`` (relative to root, with slashes) and
            ``group`` (str; the artist where known, else the track); ``split`` where the labels
            say it: ``train``, ``valid``, ``test`` or ``unused``.
        clips: one row for each clip; columns ``track``, ``start`` (seconds) and the targets.
        targets: columns of `clips` that are to be predicted.
        classes: names of the classes in the order of their labels; empty for a regression.
        left_out: what is in the folder and not in the corpus; columns ``item`` and ``reason``.
        default_protocol: how it is split unless somebody says otherwise.
        missing_samples: samples that a clip may lack at the end of its file; silence fills them.
        given: columns of `tracks` that whoever labelled it may change, so a part of its identity.
    """

    name: str
    task: str
    root: Path
    sample_rate: int
    clip_seconds: float
    tracks: pd.DataFrame
    clips: pd.DataFrame
    targets: tuple[str, ...]
    classes: tuple[str, ...]
    left_out: pd.DataFrame
    default_protocol: str
    missing_samples: int = 0
    given: tuple[str, ...] = ()

    @property
    def is_demo(self) -> bool:
        """Whether it is synthesised, and says nothing about real music."""
        return self.name.endswith("-demo")

    @property
    def samples_per_clip(self) -> int:
        """Samples in a clip at the corpus's rate."""
        return round(self.sample_rate * self.clip_seconds)

    @cached_property
    def digest(self) -> str:
        """Identity by content: the bytes of the audio, the clips, rate and length.

        The same in any layout and on any machine; another label or another byte changes it.
        """
        paths = [self.root / path for path in self.tracks["path"]]
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing lets the GIL go
            audio = list(pool.map(_content, paths))
        order = ["track", "start", *self.targets]
        clips = self.clips[order].sort_values(["track", "start"])
        given = {"given": {name: self.tracks[name].tolist() for name in self.given}}
        return digest_of(
            (given if self.given else {})
            | {
                "audio": dict(zip(self.tracks.index.tolist(), audio, strict=True)),
                "clips": [clips[column].tolist() for column in order],
                "classes": self.classes,
                "sample_rate": self.sample_rate,
                "clip_seconds": self.clip_seconds,
                "missing_samples": self.missing_samples,
            }
        )


def _content(path: Path) -> str:
    """Digest of a file; one that cannot be read is for decoding to leave out, with its reason."""
    try:
        return digest_file(path)
    except OSError:
        return "unreadable"


def left_out_frame(rows: list[tuple[str, str]]) -> pd.DataFrame:
    """A `Corpus.left_out` from (item, reason) pairs."""
    return pd.DataFrame(rows, columns=LEFT_OUT_COLUMNS, dtype="str")
