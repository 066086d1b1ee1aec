"""What may be shown of a text that came from elsewhere: on one line, and without its secrets.

Names of files, cells of tables and messages of other libraries end up on a terminal, in a log and
in a run. `one_line` takes away what would move the cursor or break the line, `without_password`
what nobody else may read. Not here: where it is shown.
"""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

HIDDEN = "***"
SHORTEST_SECRET = 6
"""A variable named TOKEN that holds ``1`` says nothing, and would blot out every 1."""

_SENSITIVE = "password|passwd|pwd|secret|token|api_?key|access_?key|private_?key|credential"
_USER = re.compile(r"://[^\s@]+(?:@[^\s@/]*)*@")
_NAMED = re.compile(rf"(?i)([\w.-]*(?:{_SENSITIVE})[\w.-]*\s*=\s*)[^&\s;,'\"]+")
_QUOTED = re.compile(rf"(?i)(([\"'])[\w.-]*(?:{_SENSITIVE})[\w.-]*\2\s*:\s*)([\"']).*?\3")
_HEADER = re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?)(?:\w+\s+)?[^\s\"',;]+")
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}")
_SENSITIVE_NAME = re.compile(rf"(?i){_SENSITIVE}")
_URL_USER = re.compile(r"://([^\s/@:]*):([^\s/]+)@")


def one_line(text: object) -> str:
    """A text as it may stand in one line: what does not print is written as an escape.

    Line ends, the terminal's control sequences, marks that turn the direction of writing, and
    bytes of a file's name that are no UTF-8.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in str(text)
    )


def without_password(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text as it may be shown: passwords, tokens and keys replaced by three stars.

    What stands before ``@`` in a URL, values of parameters and fields that are named like secrets,
    ``Authorization`` headers, and wherever they stand the secrets of this process's environment:
    variables named like one, and passwords in URLs, also as a header carries them.

    Args:
        text: an address, a command, a message.
        environment: where secrets are looked for; None is this process's.
    """
    for secret in _secrets_of(os.environ if environment is None else environment):
        text = text.replace(secret, HIDDEN)
    text = _USER.sub(f"://{HIDDEN}@", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    text = _QUOTED.sub(rf"\1\3{HIDDEN}\3", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    return _SCHEME.sub(rf"\1 {HIDDEN}", text)


def _secrets_of(environment: Mapping[str, str]) -> list[str]:
    """What must not be shown, the longest first, so that none is left in part."""
    found = set()
    for name, value in environment.items():
        if _SENSITIVE_NAME.search(name):
            found.add(value)
        for match in _URL_USER.finditer(value):
            found.update(_forms(unquote(match[1]), match[2]))
    user = environment.get("MLFLOW_TRACKING_USERNAME", "")
    found.update(_forms(user, environment.get("MLFLOW_TRACKING_PASSWORD", "")))
    return sorted((s for s in found if len(s) >= SHORTEST_SECRET), key=len, reverse=True)


def _forms(user: str, password: str) -> Iterator[str]:
    """A password as it is typed in a URL, as it is, and as HTTP's Basic scheme sends it."""
    plain = unquote(password)
    yield from (password, plain)
    if plain:
        yield base64.b64encode(f"{user}:{plain}".encode()).decode()
