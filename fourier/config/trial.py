"""One experiment's identity: spectrogram, network and training together.

Two trials with the same digest are the same experiment. Paths, device and the number of trials
are not part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fourier.config.model import CNNConfig, ModelConfig
from fourier.config.plain import check_types, flatten, from_plain, to_plain
from fourier.config.spectrogram import SpectrogramConfig
from fourier.config.training import TrainingConfig
from fourier.digest import digest_of


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """Everything that decides a trial's result on a given corpus, split and device.

    Attributes:
        spectrogram: what the network hears.
        model: which network, and its size.
        training: how it learns, its seed included.
    """

    spectrogram: SpectrogramConfig = field(default_factory=SpectrogramConfig)
    model: ModelConfig = field(default_factory=CNNConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def digest(self) -> str:
        """16 hexadecimal characters that name this experiment."""
        return digest_of(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Nested plain data, as in a run's ``config.json``."""
        return to_plain(self)

    def to_flat(self) -> dict[str, Any]:
        """One level with dotted names, as in a run's parameters."""
        return flatten(self.to_dict())

    def describe(self) -> str:
        """The settings that people tell trials apart by, in one short line."""
        heard, model = self.spectrogram, self.model
        kind = f"{heard.bands} {'mels' if heard.kind == 'mel' else 'MFCCs'}"
        shape = f"{heard.n_fft}/{heard.hop_length}"
        parts = [model.name, kind, f"{heard.fmax / 1000:g} kHz", shape, heard.reference]
        return " · ".join([*parts, heard.normalization, f"lr {self.training.lr:.1g}"])

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TrialConfig":
        """The inverse of `to_dict`.

        Raises:
            ConfigError: a key is unknown or missing, a type is wrong, or a bound does not hold.
        """
        return from_plain(cls, data)
