"""Identity: short, stable digests of plain values and of files.

Two things with the same digest are the same experiment, corpus or feature set, on any machine and
in any process. Not here: security; a digest names things, it does not protect them.
"""

import hashlib
import json
from pathlib import Path

DIGEST_CHARS = 16


def digest_of(value: object) -> str:
    """Digest a value made of dicts, lists, tuples, strings, numbers, booleans and None.

    The order of a dict's keys does not matter; the order of a list does.

    Returns:
        16 hexadecimal characters of the SHA-256 of the value's canonical JSON.

    Raises:
        ValueError: a float is NaN or infinite, which JSON cannot hold.
        TypeError: the value holds something else than plain data.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]


def digest_file(path: Path) -> str:
    """Digest a file's bytes, read in blocks.

    Returns:
        16 hexadecimal characters of the SHA-256 of the content.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_CHARS]
