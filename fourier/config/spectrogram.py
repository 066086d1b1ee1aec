"""What the network hears: the settings of a spectrogram, with their legal ranges.

Names and meanings are librosa's. Not here: the sample rate (the corpus has it) and the arithmetic
(`fourier.features.spectrogram`).
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fourier.config.plain import check_types, require_between, require_one_of, to_plain
from fourier.digest import digest_of

Kind = Literal["mel", "mfcc"]
MelScale = Literal["slaney", "htk"]
Reference = Literal["clip_peak", "full_scale", "unity"]
Normalization = Literal["unit", "standardize", "none"]


@dataclass(frozen=True, kw_only=True)
class SpectrogramConfig:
    """From waveform to a picture of bands over time.

    Attributes:
        kind: ``mel``, a log-mel spectrogram in decibels, or ``mfcc``, its cosine transform.
        n_fft: samples per analysis window (Hann), 256 to 8192.
        hop_length: samples between windows, 1 to ``n_fft``.
        n_mels: mel bands, 8 to 256.
        n_mfcc: cepstral coefficients kept, 1 to ``n_mels``; None for ``mel``.
        fmin: lower edge of the lowest band, Hz.
        fmax: upper edge of the highest band, Hz; at most half the sample rate.
        mel_scale: ``slaney`` (linear below 1 kHz; librosa's default) or ``htk``.
        reference: what 0 dB means. ``clip_peak``: the loudest bin of the same clip, which erases
            loudness. ``full_scale``: a full-scale sine in the most sensitive band, the same for
            every clip, which keeps loudness. ``unity``: a power of 1, librosa's own default; keeps
            loudness too, but the floor moves with the clip's peak.
        floor_db: decibels between the ceiling and the floor, below which everything is clipped,
            20 to 120. The ceiling is 0 dB, or for ``unity`` the clip's own peak.
        normalization: ``unit`` maps [-floor_db, 0] dB to [0, 1]; ``standardize`` gives each band
            zero mean and unit variance over the training clips; ``none`` leaves decibels.
    """

    kind: Kind = "mel"
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    n_mfcc: int | None = None
    fmin: float = 0.0
    fmax: float = 8000.0
    mel_scale: MelScale = "slaney"
    reference: Reference = "clip_peak"
    floor_db: float = 80.0
    normalization: Normalization = "unit"

    def __post_init__(self) -> None:
        check_types(self)
        require_one_of("kind", self.kind, get_args(Kind))
        require_one_of("mel_scale", self.mel_scale, get_args(MelScale))
        require_one_of("reference", self.reference, get_args(Reference))
        require_one_of("normalization", self.normalization, get_args(Normalization))
        require_between("n_fft", self.n_fft, 256, 8192)
        if not 1 <= self.hop_length <= self.n_fft:
            got = (self.hop_length, self.n_fft)
            raise ValueError(f"`1 <= hop_length <= n_fft` must hold, but got {got}")
        require_between("n_mels", self.n_mels, 8, 256)
        require_between("floor_db", self.floor_db, 20, 120)
        if not 0 <= self.fmin < self.fmax < math.inf:
            got_range = (self.fmin, self.fmax)
            raise ValueError(f"`0 <= fmin < fmax` must hold, but got {got_range}")
        self._check_mfcc()
        if self.normalization == "unit" and (self.kind == "mfcc" or self.reference == "unity"):
            raise ValueError(
                "`normalization='unit'` needs decibels between -floor_db and 0, so `kind='mel'` "
                f"and another reference than 'unity', but got {(self.kind, self.reference)}"
            )

    def _check_mfcc(self) -> None:
        if self.kind == "mel" and self.n_mfcc is not None:
            raise ValueError(f"`n_mfcc` must be None for `kind='mel'`, but got {self.n_mfcc}")
        if self.kind == "mfcc" and not (self.n_mfcc and 1 <= self.n_mfcc <= self.n_mels):
            got = (self.n_mfcc, self.n_mels)
            raise ValueError(
                f"`1 <= n_mfcc <= n_mels` must hold for MFCCs (`kind='mfcc'`), but got {got}"
            )

    @property
    def bands(self) -> int:
        """Rows of the picture: ``n_mels``, or ``n_mfcc`` for MFCCs."""
        return self.n_mels if self.n_mfcc is None else self.n_mfcc

    @property
    def feature_digest(self) -> str:
        """Identity of the stored features, which are kept before normalisation."""
        return digest_of(to_plain(dataclasses.replace(self, normalization="none")))

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain data."""
        return to_plain(self)
