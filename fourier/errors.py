"""The errors that a person can act on.

A broken world (a missing folder, a file that does not decode, a storage that does not answer)
raises a `FourierError` leaf whose message is one line and ends with what to type or change. Bad
arguments are plain ``ValueError``; bugs are whatever they are, with their traceback.
"""


class FourierError(Exception):
    """Something outside the program is wrong, and the message says what to do about it."""


class CorpusError(FourierError):
    """A folder of audio and labels is missing, empty, or not what it was said to be."""


class NothingLeftError(CorpusError):
    """Every file or clip of a corpus had to be left out.

    Attributes:
        left_out: (item, reason) of each.
    """

    def __init__(self, message: str, left_out: list[tuple[str, str]]) -> None:
        super().__init__(message)
        self.left_out = left_out


class AudioError(FourierError):
    """One audio file cannot be used; the message is the reason, short enough for a table."""


class LeakError(CorpusError):
    """The same recording stands on several sides of a split."""


class DownloadError(FourierError):
    """A corpus could not be fetched, or what came is not what was asked for."""


class CacheError(FourierError):
    """The cache cannot be written or read (disk full, no permission)."""


class DeviceError(FourierError):
    """The device that was asked for is not there."""


class StudyError(FourierError):
    """A study cannot be opened, continued, or does not hold what was asked for."""


class TrialsError(FourierError):
    """Every trial fails in the same way: something that they share is broken."""


class TrackingError(FourierError):
    """MLflow's tracking store cannot be reached or written."""


class TrackingAwayError(TrackingError):
    """MLflow's tracking store does not answer now, and may later."""


class ReleaseError(FourierError):
    """A model cannot be confirmed, exported, registered or loaded."""


class ReportError(FourierError):
    """A report cannot be written."""


class ConfigError(FourierError, ValueError):
    """A stored configuration (``config.json``) does not describe a legal experiment."""
