"""One file over HTTP, continued where it broke off.

The bytes so far lie in ``NAME.part``, and beside it in ``NAME.part.json`` what the server said of
the file, so that a file which changed meanwhile is never glued to the start of its predecessor.
Not here: which file, and whether it is the right one (`fourier.corpora.download`).
"""

import http.client
import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from fourier.errors import DownloadError
from fourier.shown import one_line

BLOCK_BYTES = 2**18
SILENCE_SECONDS = 30.0
AGAIN = "type the same command again to resume"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Version:
    """What tells one state of a file on a server from the next."""

    size: int
    etag: str | None
    modified: str | None

    @property
    def condition(self) -> str | None:
        """For ``If-Range``: a weak tag is not allowed there."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


def transfer(
    urls: tuple[str, ...],
    target: Path,
    progress: Progress | None = None,
    *,
    silence_seconds: float = SILENCE_SECONDS,
) -> None:
    """Download a file, continuing an earlier attempt if the server can and the file is the same.

    Args:
        urls: ``http`` or ``https`` addresses of the same file; the next is tried if one does not
            answer or does not have it.
        target: appears only when all its bytes are there.
        progress: called with the bytes that are there, and the size.
        silence_seconds: a connection that says nothing for so long has broken off.

    Raises:
        DownloadError: no address answers, the transfer broke off, or the disk is too small.
        ValueError: an address is neither ``http`` nor ``https``.
    """
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"`url` must begin with http:// or https://, but got {url!r}")
    part = target.with_name(target.name + ".part")
    for url in urls:
        try:
            response = _open(url, part, silence_seconds)
        except urllib.error.HTTPError as error:
            error.close()
            refusal = f"{url} answers {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            refusal = f"{url} does not answer ({getattr(error, 'reason', None) or error})"
        else:
            break
    else:
        raise DownloadError(f"{refusal}: check the address and the connection, and {AGAIN}")
    if response is not None:
        with response:
            _receive(response, url, part, progress)
    part.replace(target)
    _notes(part).unlink(missing_ok=True)


def _open(url: str, part: Path, silence_seconds: float) -> Any:
    """A response that continues the part (206) or begins anew (200); None if nothing is missing."""
    version = _read_notes(part)
    have = part.stat().st_size if part.exists() else 0
    if version is None:
        return _request(url, {}, silence_seconds)
    if have == version.size:
        return None
    headers = {"Range": f"bytes={have}-"}
    if version.condition is not None:
        headers["If-Range"] = version.condition
    try:
        response = _request(url, headers, silence_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return _request(url, {}, silence_seconds)
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        start, found = _what_continues(response)
        if start != have or found != version:
            response.close()
            return _request(url, {}, silence_seconds)
    return response


def _request(url: str, headers: dict[str, str], silence_seconds: float) -> Any:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the scheme was checked)
    return urllib.request.build_opener(_Redirection).open(request, timeout=silence_seconds)


class _Redirection(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address, but not from TLS to where anybody may answer."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://") and (
            req.type == "https" or not newurl.startswith("http://")
        ):
            raise urllib.error.URLError(f"it redirects to {one_line(newurl)}, without TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _what_continues(response: Any) -> tuple[int, _Version]:
    """Where a partial answer starts, and of which version it is; -1 if it does not say."""
    words = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if words is None:
        return -1, _version(response, 0)
    return int(words[1]), _version(response, int(words[2]))


def _version(response: Any, size: int) -> _Version:
    return _Version(size, response.headers.get("ETag"), response.headers.get("Last-Modified"))


def _receive(response: Any, url: str, part: Path, progress: Progress | None) -> None:
    goes_on = response.status == HTTPStatus.PARTIAL_CONTENT
    length = response.headers.get("Content-Length", "")
    have = part.stat().st_size if goes_on else 0
    size = have + int(length) if length.isdecimal() else None
    if size is not None:
        _check_room(part, size, have)
    if not goes_on:
        part.unlink(missing_ok=True)
        _notes(part).write_text(json.dumps(asdict(_version(response, size or 0))))
    with part.open("ab") as file:
        try:
            while block := response.read1(BLOCK_BYTES):  # what is there, not a full block
                file.write(block)
                have += len(block)
                if progress is not None:
                    progress(have, size or have)
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _broke_off(url, have, size, str(error) or type(error).__name__) from error
    if size is not None and have != size:
        raise _broke_off(url, have, size, "the server hung up")


def _broke_off(url: str, have: int, size: int | None, reason: str) -> DownloadError:
    of = f" of {size:,}" if size else ""
    return DownloadError(f"{url} broke off after {have:,}{of} bytes ({reason}): {AGAIN}")


def _check_room(part: Path, size: int, have: int) -> None:
    """Room for what is missing, and for as much as the whole file to unpack it."""
    needed, free = 2 * size - have, shutil.disk_usage(part.parent).free
    if needed > free:
        raise DownloadError(
            f"{part.stem} needs {needed / 1e9:,.1f} GB, unpacking included, and {part.parent} has "
            f"{free / 1e9:,.1f} GB free: free some space or name another folder, and {AGAIN}"
        )


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_notes(part: Path) -> _Version | None:
    """None where there is nothing to continue, or nothing that can be trusted."""
    if not part.exists():
        return None
    try:
        return _Version(**json.loads(_notes(part).read_text()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
