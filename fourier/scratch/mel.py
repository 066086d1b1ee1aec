"""The mel scale: how far apart two tones sound, as a formula.

From 100 to 200 Hz is an octave, and from 8,000 to 8,100 Hz hardly a difference: the ear hears the
ratio of high frequencies and the distance of low ones. A mel scale bends the axis of frequencies
until equal steps sound equal (Stevens, Volkmann & Newman 1937). Spectrograms then spend their
bands where the ear does.

The ear is only measured, so formulas differ. Two are in use: O'Shaughnessy's, which the speech
toolkit HTK made common, and Slaney's, librosa's default. Their units are not the same (1,000 Hz
is 1,000 mel in the one and 15 in the other); what matters is the shape. Not here: filter banks,
which librosa supplies to `fourier.features.spectrogram`.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

HTK_FACTOR, HTK_CORNER_HZ = 2595.0, 700.0

SLANEY_STEP_HZ = 200 / 3
"""Width of one of Slaney's mels where the scale is a straight line."""

SLANEY_CORNER_HZ = 1000.0
SLANEY_CORNER_MEL = SLANEY_CORNER_HZ / SLANEY_STEP_HZ  # 15
SLANEY_LOG_STEP = np.log(6.4) / 27
"""27 mels beyond the corner the frequency is 6.4 times as high."""


def htk_mel(hz: npt.ArrayLike) -> Floats:
    """Frequency to mel: 2595 · log₁₀(1 + f / 700).

    Far below 700 Hz, log(1 + x) ≈ x makes it nearly a straight line; far above it is a logarithm.
    The factor is chosen so that 1,000 Hz is 1,000 mel (to within 0.02).

    Source: O'Shaughnessy (1987), *Speech Communication: Human and Machine*.

    Args:
        hz: frequencies, 0 or more, of any shape.

    Returns:
        Mel, of the same shape.

    Raises:
        ValueError: a frequency is negative.
    """
    return HTK_FACTOR * np.log10(1 + _not_negative("hz", hz) / HTK_CORNER_HZ)


def htk_hz(mel: npt.ArrayLike) -> Floats:
    """Mel to frequency, the inverse of `htk_mel`: 700 · (10^(m / 2595) - 1).

    Args:
        mel: 0 or more, of any shape.

    Raises:
        ValueError: a value is negative.
    """
    return HTK_CORNER_HZ * (10 ** (_not_negative("mel", mel) / HTK_FACTOR) - 1)


def slaney_mel(hz: npt.ArrayLike) -> Floats:
    """Frequency to mel in two pieces: f / 66⅔ up to 1 kHz, 15 + 27 · ln(f / 1000) / ln 6.4 beyond.

    Both pieces meet at 1 kHz, but their slopes there differ by 3 %.

    Source: Slaney (1998), *Auditory Toolbox*, technical report 1998-010, Interval Research.

    Args:
        hz: frequencies, 0 or more, of any shape.

    Returns:
        Slaney's mel, of the same shape.

    Raises:
        ValueError: a frequency is negative.
    """
    f = _not_negative("hz", hz)
    # The maximum keeps the logarithm away from 0, where its piece is not used anyhow.
    octaves = np.log(np.maximum(f, SLANEY_CORNER_HZ) / SLANEY_CORNER_HZ)
    beyond = SLANEY_CORNER_MEL + octaves / SLANEY_LOG_STEP
    return np.where(f < SLANEY_CORNER_HZ, f / SLANEY_STEP_HZ, beyond)


def slaney_hz(mel: npt.ArrayLike) -> Floats:
    """Slaney's mel to frequency, the inverse of `slaney_mel`.

    Args:
        mel: 0 or more, of any shape.

    Raises:
        ValueError: a value is negative.
    """
    m = _not_negative("mel", mel)
    beyond = np.exp(SLANEY_LOG_STEP * (m - SLANEY_CORNER_MEL))
    return np.where(m < SLANEY_CORNER_MEL, m * SLANEY_STEP_HZ, SLANEY_CORNER_HZ * beyond)


def _not_negative(name: str, values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not (array >= 0).all():  # also refuses NaN
        raise ValueError(f"`{name} >= 0` must hold, but got {array.min()}")
    return array
