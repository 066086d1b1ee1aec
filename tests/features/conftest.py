"""A small corpus of wav files, whatever clips of it a test wants."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from fourier.corpora.corpus import Corpus, left_out_frame

RATE = 8_000
SECONDS = 0.5


@pytest.fixture
def disk_full_at() -> Callable[[int], AbstractContextManager[None]]:
    """Refuse to write files beyond so many bytes, as a full disk does."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Corpus]:
    """Make a corpus of 0.5-s clips at 8 kHz from {track: starts}; one 2-s wav for each track."""

    def make(clips: dict[str, list[float]], rate: int = RATE, native: int = RATE) -> Corpus:
        root = tmp_path / "corpus"
        root.mkdir(exist_ok=True)
        for number, track in enumerate(clips):
            noise = np.random.default_rng(number).normal(0, 0.2, 2 * native)
            sf.write(root / f"{track}.wav", noise, native)
        rows = [(track, start) for track, starts in clips.items() for start in starts]
        frame = pd.DataFrame(rows, columns=["track", "start"])
        return Corpus(
            name="gtzan",
            task="gtzan",
            root=root,
            sample_rate=rate,
            clip_seconds=SECONDS,
            tracks=pd.DataFrame(
                {"path": [f"{track}.wav" for track in clips], "group": list(clips)},
                index=pd.Index(list(clips), name="track"),
            ),
            clips=frame.assign(label=np.arange(len(frame)) % 2),
            targets=("label",),
            classes=("blues", "rock"),
            left_out=left_out_frame([("notes.txt", "no audio")]),
            default_protocol="track",
        )

    return make
