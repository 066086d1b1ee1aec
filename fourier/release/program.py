"""Reading an exported program back: the waveform-to-prediction module and what it says of itself.

`torch.export.load` unpickles whatever its archive marks as pickled, so an archive that holds
anything but JSON, raw tensors and the shape of an example is refused before torch sees it. What
remains is a graph of torch operators whose sizes torch reads with `sympy.sympify`, which evaluates
text: the check keeps out pickles and other people's formats, and is no sandbox. Load programs from
those whom you would let run code.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fourier.config import TrialConfig
from fourier.errors import ReleaseError

Precision = Literal["float32", "float64"]

FORMAT = 1
METADATA_FILE = "fourier.json"
REQUIRED = (
    "task",
    "corpus",
    "protocol",
    "trial",
    "targets",
    "classes",
    "sample_rate",
    "samples",
    "clip_seconds",
)
"""What a program must say of itself; the rest is for people."""

_EXAMPLE = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_RECORDS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|models/model\.json|extra/[\w.-]+\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    rf"|{re.escape(_EXAMPLE)}"
)
_EXAMPLE_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Program:
    """A released model.

    Attributes:
        module: from waveforms [batch, samples] float32 to predictions [batch, outputs].
        metadata: what was said of it when it was exported, as plain data.
    """

    module: nn.Module
    metadata: Mapping[str, Any]

    @property
    def task(self) -> str:
        """``deam``, ``gtzan``, or the kind of a labelled folder."""
        return str(self.metadata["task"])

    @property
    def targets(self) -> tuple[str, ...]:
        """What each clip is labelled with."""
        return tuple(self.metadata["targets"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the outputs; () for a regression."""
        return tuple(self.metadata["classes"])

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return int(self.metadata["sample_rate"])

    @property
    def samples(self) -> int:
        """In a clip."""
        return int(self.metadata["samples"])

    @property
    def precision(self) -> Precision:
        """Of the arithmetic inside its spectrogram; programs that do not say have float64."""
        return "float32" if self.metadata.get("precision") == "float32" else "float64"

    @property
    def config(self) -> TrialConfig:
        """The trial that it was trained by.

        Raises:
            ConfigError: this version of the package does not know such a trial.
        """
        return TrialConfig.from_dict(self.metadata["trial"])

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers of normalisation and network, as in `Result.state`."""
        prefix = "network."
        return {
            name.removeprefix(prefix): value.detach()
            for name, value in self.module.state_dict().items()
            if name.startswith(prefix)
        }

    def predict(self, waveforms: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Predictions [batch, outputs] for clips [batch, samples] within [-1, 1]."""
        with torch.inference_mode():
            outputs: npt.NDArray[np.float32] = self.module(torch.from_numpy(waveforms)).numpy()
        return outputs


def load_program(path: Path) -> Program:
    """Read a program that `export_program` wrote.

    Args:
        path: a ``.pt2`` file.

    Raises:
        ReleaseError: it is missing, damaged, of another origin, or holds something pickled.
    """
    metadata = _read_checked(path)
    try:
        module = torch.export.load(path).module()
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ReleaseError(
            f"torch {torch.__version__} cannot read {path}, which torch {metadata.get('torch')} "
            f"wrote ({reason}); install that torch, or promote the model again"
        ) from error
    return Program(module, metadata)


def _read_checked(path: Path) -> dict[str, Any]:
    """What a program says of itself, after everything in the archive has been looked at."""
    foreign = ReleaseError(
        f"{path} is not a program that fourier exported; name one, or models:/NAME@champion"
    )
    try:
        with zipfile.ZipFile(path) as archive:
            records = {
                info.filename.partition("/")[2]: info.filename for info in archive.infolist()
            }
            if any(info.compress_type or info.flag_bits & 1 for info in archive.infolist()):
                raise foreign  # torch packs neither compressed nor encrypted; a bomb is the one
            damaged = archive.testzip()
            if damaged is not None:
                raise ReleaseError(f"{path} is damaged at {damaged}; copy or download it again")
            if f"extra/{METADATA_FILE}" not in records:
                raise foreign
            metadata = json.loads(archive.read(records[f"extra/{METADATA_FILE}"]))
            if not isinstance(metadata, dict) or any(key not in metadata for key in REQUIRED):
                raise foreign
            if metadata.get("format") != FORMAT:
                raise ReleaseError(
                    f"{path} is of format {metadata.get('format')}, and this version reads "
                    f"{FORMAT}; promote the model again"
                )
            suspect = _first_suspect(archive, records)
    except OSError as error:
        raise ReleaseError(
            f"{path} cannot be read ({error.strerror}); name a program or models:/NAME@champion"
        ) from None
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        raise foreign from None
    if suspect is not None:
        raise ReleaseError(
            f"{path} holds {suspect}, which no program of fourier's does and which may run code "
            "when it is loaded; get the program from where it was exported"
        )
    return metadata


def _first_suspect(archive: zipfile.ZipFile, records: Mapping[str, str]) -> str | None:
    """A record that is neither text nor a raw tensor, if there is one."""
    for name in records:
        if not _RECORDS.fullmatch(name):
            return name
    for name in _CONFIGS:
        entries = json.loads(archive.read(records[name]))["config"]
        for entry in entries.values():
            if entry["use_pickle"] is not False or not _RECORDS.fullmatch(
                f"{name.rpartition('/')[0]}/{entry['path_name']}"
            ):
                return f"{name} with a pickle"
    return None if _is_plain_example(archive, records[_EXAMPLE]) else _EXAMPLE


def _is_plain_example(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether torch's restricted unpickler, which makes tensors only, takes the example."""
    if archive.getinfo(name).file_size > _EXAMPLE_BYTES:
        return False
    try:
        torch.load(io.BytesIO(archive.read(name)), weights_only=True)
    except Exception:  # noqa: BLE001  whatever it stumbles over, the answer is no
        return False
    return True
