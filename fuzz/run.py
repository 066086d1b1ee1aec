"""Throw bytes at a parser for as long as you like, led by the branches that they reach (atheris).

    pip install -e ".[fuzz]" -c constraints.txt
    python fuzz/run.py archives -max_total_time=600

``annotations``, ``configs`` or ``archives``, then options of libFuzzer. Inputs that reached
something new are kept in ``fuzz/corpus/NAME`` and are where the next run goes on; one that breaks a
promise is written to ``fuzz/corpus/NAME-crash-…`` and ends the run with exit code 77. Add such a
finding to ``tests/test_fuzz.py``, then mend it. Not here: what is promised (`fuzz/targets.py`).
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import atheris

FOLDER = Path(__file__).parent
INSTRUMENTED = [
    "fourier.config",
    "fourier.corpora",
    "fourier.release.runs",
    "gzip",
    "json",
    "tarfile",
    "zipfile",
]


def load_targets() -> Mapping[str, object]:
    """The targets, with the modules that they test made to say which branches are taken."""
    import pandas as pd  # noqa: F401  loaded before: its branches are not ours

    sys.path.insert(0, str(FOLDER))
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from targets import TARGETS_BY_NAME
    return TARGETS_BY_NAME


def main() -> None:
    """Fuzz the target that is named first."""
    targets = load_targets()
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        raise SystemExit(f"name one of {', '.join(targets)}, then options of libFuzzer")
    name = sys.argv.pop(1)
    corpus = FOLDER / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(sorted((FOLDER / "seeds" / name).iterdir())):
        (corpus / f"seed-{number}").write_bytes(seed.read_bytes())
    options = [f"-artifact_prefix={corpus}-", "-rss_limit_mb=2048", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, *sys.argv[1:], str(corpus)], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
