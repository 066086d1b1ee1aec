"""Which audio, which labels: DEAM, GTZAN and the demo corpora, in one shape."""

from collections.abc import Callable
from pathlib import Path

from fourier.config.plain import require_one_of
from fourier.corpora.corpus import Corpus
from fourier.corpora.deam import has_deam, load_deam
from fourier.corpora.demo import ensure_demo, write_demo
from fourier.corpora.download import fetch
from fourier.corpora.gtzan import has_gtzan, load_gtzan
from fourier.corpora.layout import is_folder
from fourier.corpora.splits import PROTOCOLS, assign_folds, assign_parts
from fourier.corpora.summary import count_reasons, summarise
from fourier.errors import CorpusError

__all__ = [
    "PROTOCOLS",
    "Corpus",
    "assign_folds",
    "assign_parts",
    "count_reasons",
    "ensure_demo",
    "fetch",
    "load_corpus",
    "load_deam",
    "load_gtzan",
    "summarise",
    "write_demo",
]

_LOADERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], Corpus]]] = {
    "gtzan": (has_gtzan, load_gtzan),
    "deam": (has_deam, load_deam),
}


def load_corpus(root: Path, task: str | None = None) -> Corpus:
    """Read the corpus that lies in a folder, or in one of its folders.

    Args:
        root: the folder.
        task: ``deam`` or ``gtzan``; None finds out.

    Raises:
        CorpusError: the folder is missing, or holds no such corpus, or two of them.
        ValueError: there is no such task.
    """
    if task is not None:
        require_one_of("task", task, tuple(_LOADERS))
    demo = "or write a demo corpus with `fourier demo DIR`"
    if not is_folder(root):
        raise CorpusError(f"there is no folder {root}; check the path, {demo}")
    if task is not None:
        return _LOADERS[task][1](root)
    found = [load for is_there, load in _LOADERS.values() if is_there(root)]
    if not found:
        raise CorpusError(
            f"{root} holds neither DEAM (arousal.csv, valence.csv and audio) nor GTZAN (genres/ "
            f"with a folder for each genre); check the path, {demo}"
        )
    if len(found) > 1:
        raise CorpusError(f"{root} holds both DEAM and GTZAN; name the folder of one of them")
    return found[0](root)
