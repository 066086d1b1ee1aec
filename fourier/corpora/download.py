"""Fetch the original corpora: resumable transfer, verification, safe unpacking.

The transfer is `urllib`'s, not pooch's: pooch starts an interrupted file over, and these are large
files on slow hosts; with a resuming downloader plugged in, what pooch would still do is compare one
SHA-256. GTZAN is checked by that, as its host speaks plain HTTP. DEAM's host publishes none, so it
is fetched over TLS alone and checked by what it holds.
Not here: unpacking (`archive`), and any licence: GTZAN has none, DEAM's is for research.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fourier.corpora.archive import BadArchiveError, extract
from fourier.corpora.corpus import Corpus
from fourier.corpora.deam import load_deam
from fourier.corpora.gtzan import load_gtzan
from fourier.corpora.transfer import Progress, transfer
from fourier.errors import CorpusError, DownloadError


@dataclass(frozen=True)
class Archive:
    """A file to fetch.

    Attributes:
        name: at the end of its address.
        folder: where it is unpacked below the corpus' folder; empty for the folder itself.
        sha256: 64 hexadecimal characters, None where nobody publishes them.
    """

    name: str
    folder: str
    sha256: str | None


@dataclass(frozen=True)
class Source:
    """Where a corpus is kept, and how to tell that it is whole.

    Attributes:
        base_urls: addresses of the same folder, tried in this order.
        archives: all are needed.
        tracks: that the unpacked corpus must hold, each with its audio and all its labels.
        load: reads the unpacked corpus.
    """

    base_urls: tuple[str, ...]
    archives: tuple[Archive, ...]
    tracks: int
    load: Callable[[Path], Corpus]


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "gtzan": Source(
            base_urls=("http://opihi.cs.uvic.ca/sound/",),
            archives=(
                Archive(
                    "genres.tar.gz",
                    "",
                    "24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
                ),
            ),
            tracks=1000,
            load=load_gtzan,
        ),
        "deam": Source(
            base_urls=("https://cvml.unige.ch/databases/DEAM/",),
            archives=(
                Archive("DEAM_Annotations.zip", "DEAM_Annotations", None),
                Archive("DEAM_audio.zip", "DEAM_audio", None),
            ),
            tracks=1802,
            load=load_deam,
        ),
    }
)


def fetch(
    task: str,
    directory: Path,
    *,
    base_url: str | None = None,
    source: Source | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download and unpack a corpus; the same call again continues, and does nothing when done.

    Args:
        task: ``deam`` or ``gtzan``.
        directory: gets the folder ``directory/{task}``, and until that is whole
            ``directory/{task}.download`` with the archives.
        base_url: another address of the folder that holds the archives.
        source: another source altogether; None is the task's own of `SOURCES`.
        progress: called with the bytes of the current archive that are there, and its size.

    Returns:
        ``directory/{task}``, whole.

    Raises:
        DownloadError: no server answers, the transfer broke off, the disk is too small, what came
            is not the corpus, another process is fetching it, or the folder holds something else.
        ValueError: there is no such task.
    """
    from filelock import FileLock, Timeout

    if task not in SOURCES:
        raise ValueError(f"`task` must be one of {tuple(SOURCES)}, but got {task!r}")
    source = SOURCES[task] if source is None else source
    urls = source.base_urls if base_url is None else (base_url,)
    folder = directory / task
    if _is_there(source, folder):
        return folder
    workplace = directory / f"{task}.download"
    try:
        workplace.mkdir(parents=True, exist_ok=True)
        with FileLock(workplace / "lock", timeout=0):
            if not _is_there(source, folder):
                paths = _fetch_archives(source, urls, workplace, progress)
                _unpack(source, paths, workplace / ".unpacked", folder)
            shutil.rmtree(workplace)
    except Timeout:
        raise DownloadError(
            f"another process is fetching {task} to {directory}: wait for it or name another folder"
        ) from None
    except OSError as error:
        raise DownloadError(
            f"{directory} cannot be written ({error.strerror or error}): free some space or name "
            "another folder, and type the same command again to resume"
        ) from error
    return folder


def _is_there(source: Source, folder: Path) -> bool:
    """Whether the corpus is there already; raises if something else is in its place."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    _check_whole(source, folder, "move it away or name another folder")
    return True


def _fetch_archives(
    source: Source, base_urls: tuple[str, ...], workplace: Path, progress: Progress | None
) -> list[Path]:
    paths = []
    for archive in source.archives:
        path = workplace / archive.name
        if not path.exists():
            transfer(tuple(f"{url.rstrip('/')}/{path.name}" for url in base_urls), path, progress)
        _check_sha256(archive, path)
        paths.append(path)
    return paths


def _unpack(source: Source, paths: list[Path], made: Path, folder: Path) -> None:
    """All archives into one folder, which gets its name when everything in it is verified."""
    shutil.rmtree(made, ignore_errors=True)  # left behind by a process that was killed
    for archive, path in zip(source.archives, paths, strict=True):
        try:
            extract(path, made / archive.folder)
        except BadArchiveError:
            path.unlink()
            raise
        _lift(made / archive.folder)
    try:
        _check_whole(source, made, "type the same command again to fetch it anew")
    except DownloadError:
        for path in paths:
            path.unlink()
        raise
    made.replace(folder)


def _check_sha256(archive: Archive, path: Path) -> None:
    if archive.sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        path.unlink()
        raise DownloadError(
            f"{archive.name} has the SHA-256 {found[:16]}…, not {archive.sha256[:16]}…, and was "
            "removed: type the same command again, or name another server"
        )


def _lift(folder: Path) -> None:
    """Take out what an archive wraps once more in a folder of its own name."""
    inner = folder / folder.name
    if inner.is_dir() and len(list(folder.iterdir())) == 1:
        wrapped = inner.rename(folder.with_name(f".{folder.name}"))
        folder.rmdir()
        wrapped.rename(folder)


def _check_whole(source: Source, folder: Path, remedy: str) -> None:
    try:
        tracks = len(source.load(folder).tracks)
    except CorpusError as error:
        raise DownloadError(f"{folder} is not the whole corpus ({error}): {remedy}") from error
    if tracks != source.tracks:
        raise DownloadError(
            f"{folder} holds {tracks:,} of {source.tracks:,} tracks with all their labels: {remedy}"
        )
