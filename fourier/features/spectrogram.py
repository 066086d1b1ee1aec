"""Waveforms to log-mel spectrograms or MFCCs in one torch module, equal to librosa's.

The module is stateless and batch first, runs on any device and goes into the exported model, so
that training and serving cannot differ. Not here: normalisation (`fourier.features.normalization`)
and storage (`fourier.features.store`).
"""

import math
import warnings
from itertools import pairwise

import librosa
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fourier.config import SpectrogramConfig

AMIN = 1e-10
# Bands that are one matrix product. Neighbours hear almost the same FFT bins; a product of all
# bands with all bins would multiply by zero nine times out of ten.
BANDS_AT_ONCE = 32
# Few, so that the frames and their spectra stay in a processor's cache.
FRAMES_AT_ONCE = 128
FLOOR_OF_SINGLE_PRECISION = 80.0


class Spectrogram(nn.Module):
    """Short-time Fourier transform, mel bands, decibels and, for MFCCs, a cosine transform.

    As in librosa 0.11 (McFee et al. 2015, https://doi.org/10.25080/Majora-7b98e3ed-003): frames
    centred with zeros beyond the ends, periodic Hann window, power spectrum, mel filters of equal
    area, powers below 1e-10 taken for 1e-10. FFT bins outside the filters are not computed further.

    The decibels, by ``config.reference``:

    - ``clip_peak``: ``power_to_db(S, ref=np.max, top_db=floor_db)`` of each clip. Silence (no
      power above 1e-10), for which librosa says 0 dB, sits on the floor.
    - ``full_scale``: ``power_to_db(S, ref=reference_power, top_db=None)``, clipped at
      ``-floor_db``. Not clipped at 0: a full-scale sine between two FFT bins, or music with its
      harmonics in the same band, can pass it by a few decibels.
    - ``unity``: ``power_to_db(S, top_db=floor_db)`` of each clip.

    Everything before the decibels is float64, as in librosa (measured over noise, tones and
    music: within 3e-5 dB of it). In float32 the transform's own rounding shows 80 dB below a pure
    tone (2.5e-3 dB) and spoils what lies 120 dB below it (up to 1 dB), in half the time;
    `storage_type` says where that is good enough, and ``.to`` changes the type. Autocast and TF32
    leave float64 alone.

    Attributes:
        config: the settings it was built from; ``normalization`` plays no part here.
        sample_rate: of the waveforms, Hz.
        reference_power: what 0 dB means for ``full_scale``: the power of a full-scale sine on an
            FFT bin in the most sensitive band, ``(sum(window) / 2)**2 * max(filters)``.
        bins: the first FFT bin that any band hears, and the first after the last.
        empty_bands: bands too narrow to hold an FFT bin; they stay on the floor.
    """

    window: Tensor
    filters: Tensor
    cosines: Tensor | None

    def __init__(self, config: SpectrogramConfig, sample_rate: int) -> None:
        super().__init__()
        if config.fmax > sample_rate / 2:
            raise ValueError(
                f"`fmax <= sample_rate / 2` must hold, but got {(config.fmax, sample_rate)}"
            )
        filters = _mel_filters(config, sample_rate)
        heard = np.flatnonzero(filters.any(axis=0))
        if not len(heard):
            got = (config.fmin, config.fmax, config.n_fft)
            raise ValueError(f"`fmin` to `fmax` must hold an FFT bin inside a band, but got {got}")
        self.config = config
        self.sample_rate = sample_rate
        self.empty_bands = int((~filters.any(axis=1)).sum())
        self.bins = int(heard[0]), int(heard[-1]) + 1
        self._groups = _groups(filters[:, slice(*self.bins)])
        # A copy: torch gives a view of a longer window, of which an export would warn.
        window = torch.hann_window(config.n_fft, dtype=torch.float64).clone()
        self.reference_power = float((window.sum() / 2) ** 2 * filters.max())
        kept = np.ascontiguousarray(filters[:, slice(*self.bins)].T)
        cosines = None if config.n_mfcc is None else _dct_matrix(config.n_mels, config.n_mfcc)
        # Not in the state: they follow from the settings, and an export holds them all the same.
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("filters", torch.from_numpy(kept).double(), persistent=False)
        self.register_buffer("cosines", cosines, persistent=False)

    def frames(self, samples: int) -> int:
        """How many frames a waveform of so many samples gives."""
        n_fft = self.config.n_fft
        return 1 + (samples + 2 * (n_fft // 2) - n_fft) // self.config.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms to pictures.

        Args:
            waveform: [batch, samples] within [-1, 1].

        Returns:
            [batch, bands, frames] float32: decibels, or MFCCs of decibels. No clip's values
            depend on another's.
        """
        return self.picture(self.band_power(self.cut(waveform)))

    def cut(self, waveform: Tensor) -> Tensor:
        """Waveforms [batch, samples] to their frames [batch, frames, n_fft], a view of a copy."""
        n_fft = self.config.n_fft
        padded = nn.functional.pad(waveform, (n_fft // 2, n_fft // 2))
        return padded.unfold(-1, n_fft, self.config.hop_length)

    def band_power(self, frames: Tensor) -> Tensor:
        """Frames as they are cut from a waveform to the power in each band.

        `forward` is this and then `picture`; whoever predicts overlapping clips of one recording
        takes them apart, to transform each frame once.

        Args:
            frames: [..., frames, n_fft].

        Returns:
            [..., n_mels, frames] float32.
        """
        spectrum = torch.fft.rfft(frames.to(self.window.dtype) * self.window)
        parts = torch.view_as_real(spectrum).flatten(-2)  # one after the other: a third faster
        squares = parts[..., 2 * self.bins[0] : 2 * self.bins[1]].square()
        power = squares[..., ::2] + squares[..., 1::2]
        bands = [power[..., hears] @ self.filters[hears, group] for group, hears in self._groups]
        return torch.cat(bands, dim=-1).float().transpose(-1, -2)

    def band_power_in_blocks(self, frames: Tensor) -> Tensor:
        """`band_power`, a few frames at a time: what a processor is fastest with.

        Args:
            frames: [clips, frames, n_fft].

        Returns:
            [clips, n_mels, frames] float32.
        """
        clips, many = frames.shape[:2]
        power = torch.empty(clips, self.config.n_mels, many, device=frames.device)
        clips_at_once, parts = max(1, FRAMES_AT_ONCE // many), -(-many // FRAMES_AT_ONCE)
        bounds = [many * part // parts for part in range(parts + 1)]
        for clip in range(0, clips, clips_at_once):
            rows = slice(clip, clip + clips_at_once)
            for first, end in pairwise(bounds):
                power[rows, :, first:end] = self.band_power(frames[rows, first:end])
        return power

    def picture(self, power: Tensor) -> Tensor:
        """The power in each band of whole clips to what `forward` returns.

        Args:
            power: [batch, n_mels, frames] float32.
        """
        decibels = self._decibels(power)
        if self.cosines is None:
            return decibels
        return (self.cosines @ decibels.to(self.cosines.dtype)).float()

    def _decibels(self, power: Tensor) -> Tensor:
        """Power to decibels by the chosen reference, with its floor."""
        floor = self.config.floor_db
        if self.config.reference == "full_scale":
            # So that silence reaches the floor even where that lies below 1e-10 (short windows).
            amin = min(AMIN, self.reference_power * 10 ** (-floor / 10))
            zero = 10 * math.log10(self.reference_power)
            return (_to_db(power, amin) - zero).clamp_min(-floor)
        decibels, peak = _to_db(power, AMIN), power.amax(dim=(-2, -1), keepdim=True)
        ceiling = _to_db(peak, AMIN)
        if self.config.reference == "unity":
            return torch.maximum(decibels, ceiling - floor)
        ceiling = torch.where(peak > AMIN, ceiling, math.inf)  # silence sits on the floor
        return (decibels - ceiling).clamp_min(-floor)


def storage_type(config: SpectrogramConfig) -> torch.dtype:
    """In which type features may be computed that are then stored in half precision.

    float32 for decibels with a floor of at most 80 dB: what its rounding does there, 2.5e-3 dB at
    worst, is less than a tenth of the steps of half precision (0.03 dB from -32 dB down), so that a
    stored value is the same or, in music one time in ten thousand (of pure tones in short windows
    three in a hundred), another that is as near. float64 for deeper floors, and for MFCCs, which
    sum the errors of all bands and are small numbers with small steps.
    """
    single = config.kind == "mel" and config.floor_db <= FLOOR_OF_SINGLE_PRECISION
    return torch.float32 if single else torch.float64


def _groups(filters: npt.NDArray[np.float32]) -> list[tuple[slice, slice]]:
    """Neighbouring bands, and the stretch of bins that any of them hears."""
    groups = []
    for first in range(0, len(filters), BANDS_AT_ONCE):
        bands = slice(first, min(first + BANDS_AT_ONCE, len(filters)))
        heard = np.flatnonzero(filters[bands].any(axis=0))
        bins = slice(int(heard[0]), int(heard[-1]) + 1) if len(heard) else slice(0, 1)
        groups.append((bands, bins))
    return groups


def _to_db(power: Tensor, amin: float) -> Tensor:
    return 10 * torch.log10(power.clamp_min(amin))


def _mel_filters(config: SpectrogramConfig, sample_rate: int) -> npt.NDArray[np.float32]:
    """The filter bank [n_mels, bins], without librosa's warning: `empty_bands` counts them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters detected", category=UserWarning)
        filters: npt.NDArray[np.float32] = librosa.filters.mel(
            sr=sample_rate,
            n_fft=config.n_fft,
            n_mels=config.n_mels,
            fmin=config.fmin,
            fmax=config.fmax,
            htk=config.mel_scale == "htk",
        )
    return filters


def _dct_matrix(n_mels: int, n_mfcc: int) -> Tensor:
    """The first rows of the orthonormal DCT-II, [n_mfcc, n_mels]."""
    order = torch.arange(n_mfcc, dtype=torch.float64)[:, None]
    middle = torch.arange(n_mels, dtype=torch.float64) + 0.5
    matrix = torch.cos(math.pi / n_mels * order * middle) * math.sqrt(2 / n_mels)
    matrix[0] /= math.sqrt(2)
    return matrix
