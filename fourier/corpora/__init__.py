"""Which audio, which labels: DEAM, GTZAN, the demo corpora and labelled folders, in one shape."""

from collections.abc import Callable
from pathlib import Path

from fourier.config.plain import require_one_of
from fourier.corpora.corpus import Corpus
from fourier.corpora.deam import has_deam, load_deam
from fourier.corpora.demo import ensure_demo, write_demo
from fourier.corpora.download import fetch
from fourier.corpora.folder import KINDS, folder_kind, has_folder, load_folder
from fourier.corpora.gtzan import has_gtzan, load_gtzan
from fourier.corpora.layout import is_folder
from fourier.corpora.splits import PROTOCOLS, assign_folds, assign_parts
from fourier.corpora.summary import count_reasons, summarise
from fourier.errors import CorpusError

__all__ = [
    "KINDS",
    "PROTOCOLS",
    "Corpus",
    "assign_folds",
    "assign_parts",
    "count_reasons",
    "ensure_demo",
    "fetch",
    "folder_kind",
    "load_corpus",
    "load_deam",
    "load_folder",
    "load_gtzan",
    "summarise",
    "write_demo",
]

_LOADERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Corpus]]] = {
    "gtzan": (has_gtzan, load_gtzan),
    "deam": (has_deam, load_deam),
}


_DEMO = "or write a demo corpus with `fourier demo DIR`"
_KIND_OF = {"gtzan": "classification", "deam": "regression"}
"""Which kind of labelled folder can take the place of a corpus in its experiments."""


def load_corpus(
    root: Path, task: str | None = None, *, clip_seconds: float | None = None
) -> Corpus:
    """Read the corpus that lies in a folder, or in one of its folders.

    A folder that itself holds ``audio/`` and ``labels.csv`` is a labelled folder, whatever else
    lies in it.

    Args:
        root: the folder.
        task: ``deam``, ``gtzan`` or the kind of a labelled folder, ``classification`` or
            ``regression``; None finds out. A labelled folder also passes for the corpus of its
            kind.
        clip_seconds: of a labelled folder; None is usual.

    Raises:
        CorpusError: the folder is missing, or holds no such corpus, or two of them.
        ValueError: there is no such task, or the clips of this corpus have one length.
    """
    if task is not None:
        require_one_of("task", task, (*_LOADERS, *KINDS))
    if not is_folder(root):
        raise CorpusError(f"there is no folder {root}; check the path, {_DEMO}")
    if has_folder(root) or task in KINDS:
        return _load_folder(root, task, clip_seconds)
    if clip_seconds is not None:
        raise ValueError("`clip_seconds` is for labelled folders; DEAM and GTZAN have their own")
    if task is not None:
        return _LOADERS[task][1](root)
    found = [load for is_there, load in _LOADERS.values() if is_there(root)]
    if not found:
        raise CorpusError(
            f"{root} holds neither DEAM (arousal.csv, valence.csv and audio) nor GTZAN (genres/ "
            "with a folder for each genre) nor a labelled folder (audio/ and labels.csv); check "
            f"the path, {_DEMO}"
        )
    if len(found) > 1:
        raise CorpusError(f"{root} holds both DEAM and GTZAN; name the folder of one of them")
    return found[0](root)


def _load_folder(root: Path, task: str | None, clip_seconds: float | None) -> Corpus:
    kind = folder_kind(root)
    if task is not None and _KIND_OF.get(task, task) != kind:
        raise CorpusError(f"the labels of {root} are a {kind}; type `fourier sweep --data {root}`")
    return load_folder(root, clip_seconds)
