"""When MLflow does not take a write: is it away for a while, or does it refuse?

A server that is stopped, overloaded or does not answer in time, a database that is locked and a
disk that is full come back by themselves or are brought back, and the write can be made later.
Bad credentials and a deleted experiment are refused then as now. Not here: what is kept meanwhile
(`fourier.tracking.spool`).
"""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator

from fourier.errors import TrackingAwayError, TrackingError
from fourier.shown import without_password

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Answers of HTTP that MLflow itself takes for passing."""
PASSING = frozenset(
    {
        "TEMPORARILY_UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
    }
)
"""MLflow's names for the same, and for any trouble of a database."""
PASSING_OF_SQLITE = ("locked", "disk is full", "disk i/o error")
"""SQLite calls a table that is gone an operational error as well; that does not pass."""


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one line that says what to do.

    Raises:
        TrackingAwayError: it may take the same write later.
        TrackingError: it will not.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        advice = "check MLFLOW_TRACKING_URI, or unset it to use ./mlflow.db"
        if "MLFLOW_TRACKING_URI" not in os.environ:
            advice = "work where you may write and there is room, or set MLFLOW_TRACKING_URI"
        leaf = TrackingAwayError if is_outage(error, uri) else TrackingError
        advice = "check MLFLOW_TRACKING_URI, or unset it to use ./mlflow.db"
        if "MLFLOW_TRACKING_URI" not in os.environ:
            advice = "work where you may write and there is room, or set MLFLOW_TRACKING_URI"
        raise leaf(
            f"MLflow at {without_password(uri)} did not take what was written: "
            f"{reason_of(error)}; {advice}"
        ) from error


def reason_of(error: BaseException) -> str:
    """The first line of what an error says, as it may be shown."""
    text = without_password(str(error).strip()) or type(error).__name__
    return text.splitlines()[0]


def is_outage(error: BaseException, uri: str) -> bool:
    """Whether a write that ended so may be taken later.

    Args:
        error: what MLflow raised.
        uri: where it should have been written.
    """
    import requests
    from mlflow.exceptions import MlflowException

    # MLflow wraps what happened once, and says so or not; further down stands what came before.
    for each in (error, error.__cause__ or error.__context__):
        if isinstance(each, requests.HTTPError):
            return each.response is not None and each.response.status_code in TRY_AGAIN
        if isinstance(
            each,
            requests.ConnectionError
            | requests.Timeout
            | requests.exceptions.RetryError
            | requests.exceptions.ChunkedEncodingError,
        ):
            return True
        if isinstance(each, OSError) and each.errno in FULL:
            return True
    if isinstance(error, MlflowException) and error.error_code in PASSING:
        text = str(error).lower()
        return not uri.startswith("sqlite:") or any(word in text for word in PASSING_OF_SQLITE)
    return False


def require_answer(
    uri: str, variable: str = "MLFLOW_TRACKING_URI", timeout_seconds: float = 5
) -> None:
    """Ask a server for its health once, where MLflow would retry for minutes.

    Args:
        uri: address of the server.
        variable: where the address comes from.
        timeout_seconds: how long to wait for an answer.

    Raises:
        TrackingAwayError: it does not answer.
    """
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=timeout_seconds).raise_for_status()
    except requests.RequestException as error:
        raise TrackingAwayError(
            f"no MLflow server answers at {without_password(uri)} ({type(error).__name__}); "
            f"start it with `mlflow server`, or unset {variable} to use ./mlflow.db"
        ) from None


def give_up_soon() -> None:
    """Have MLflow's requests end in seconds, where whoever runs this has not said otherwise.

    By itself MLflow waits two minutes for an answer and asks again seven times, and a request that
    makes a run, asked again by the connection, may make two.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
