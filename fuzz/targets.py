"""What each parser of foreign bytes promises, as functions from bytes to nothing.

A function returns whatever the bytes are, or raises `BrokenPromiseError` or what the parser should
not have let through. Not here: where the bytes come from (`fuzz/run.py`, and hypothesis in
`tests/test_fuzz.py`).
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from fourier.config import TrialConfig
from fourier.corpora.annotations import TARGETS, label_clips, read_samples, songs_in_all
from fourier.corpora.archive import extract
from fourier.errors import ConfigError, CorpusError, DownloadError, FourierError
from fourier.release.runs import parse_config

MOST_BYTES = 1 << 20
MOST_MEMBERS = 50


class BrokenPromiseError(Exception):
    """A parser did what it says that it never does."""


def annotations(data: bytes) -> None:
    """A table of annotations is labelled clips within [-1, 1], or one line that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arousal.csv"
        path.write_bytes(data)
        try:
            samples = read_samples(path)
        except CorpusError as error:
            require_one_line(error, str(path))
            return
    dimensions = dict.fromkeys(TARGETS, samples)
    songs, missing = songs_in_all(dimensions)
    clips, _ = label_clips(dimensions, songs, 5.0)
    labels = clips[list(TARGETS)].to_numpy()
    if missing or not (np.isfinite(labels).all() and (np.abs(labels) <= 1).all()):
        raise BrokenPromiseError(f"{missing} {labels}")


def configs(data: bytes) -> None:
    """A ``config.json`` is a configuration that comes back from JSON as it went, or one line."""
    try:
        config = parse_config(data, "0").trial
    except ConfigError as error:
        require_one_line(error, "")
    else:
        require_round_trip(config)
    try:
        config = TrialConfig.from_dict(json.loads(data))
    except ConfigError as error:
        require_one_line(error, "")
    except (ValueError, RecursionError):
        return  # no JSON: whoever calls with plain data has read it already
    else:
        require_round_trip(config)


def archives(data: bytes) -> None:
    """An archive unpacks into its folder, plain files within the limits, or leaves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        archive, out = room / "some.archive", room / "out"
        archive.write_bytes(data)
        try:
            extract(archive, out, most_bytes=MOST_BYTES, most_members=MOST_MEMBERS)
        except DownloadError as error:
            require_one_line(error, "some.archive")
            if sorted(room.iterdir()) != [archive]:
                raise BrokenPromiseError(f"left behind: {sorted(room.iterdir())}") from error
            return
        if sorted(room.iterdir()) != [out, archive]:
            raise BrokenPromiseError(f"outside: {sorted(room.iterdir())}")
        inside = list(out.rglob("*"))
        if any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in inside):
            raise BrokenPromiseError(f"neither file nor folder: {inside}")
        if sum(path.stat().st_size for path in inside if path.is_file()) > MOST_BYTES:
            raise BrokenPromiseError("more bytes than allowed")


def require_one_line(error: FourierError, name: str) -> None:
    """A message for people: one line, of bearable length, that names the file."""
    text = str(error)
    if "\n" in text or len(text) > 1000 or name not in text:
        raise BrokenPromiseError(f"no message for people: {text!r}") from error


def require_round_trip(config: TrialConfig) -> None:
    """A configuration is the same after it was stored, and so is its digest."""
    again = TrialConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    if again != config or again.digest != config.digest:
        raise BrokenPromiseError(f"{config} came back as {again}")


TARGETS_BY_NAME: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {"annotations": annotations, "configs": configs, "archives": archives}
)
