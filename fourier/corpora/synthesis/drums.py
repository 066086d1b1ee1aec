"""A drum kit: swept sines and shaped noise, each drum made once for a recording.

Not here: rhythm (`score`).
"""

import numpy as np

from fourier.corpora.synthesis.sound import Coloring, Wave

DRUMS = ("kick", "boom", "snare", "clap", "rim", "hat", "open", "ride", "shaker", "tom")


def drum_kit(
    rng: np.random.Generator, coloring: Coloring, sample_rate: int, brightness: float = 1.0
) -> dict[str, Wave]:
    """Ten drums by name, tuned a little differently every time.

    Args:
        rng: tunes them.
        coloring: the recording's equaliser.
        sample_rate: Hz.
        brightness: factor on the upper edge of all noises.

    Returns:
        float32 [samples] for each of `DRUMS`; peaks lie near 1.
    """
    tune = 2 ** rng.normal(0.0, 0.12)
    length = 2 ** rng.normal(0.0, 0.25)
    top = 16_000 * brightness

    def noise(seconds: float, low: float, high: float, decay: float) -> Wave:
        return _noise(rng, coloring, sample_rate, seconds, (low, high * brightness), decay * length)

    def drop(seconds: float, start: float, end: float, decay: float) -> Wave:
        return _drop(sample_rate, seconds, (start * tune, end * tune), decay * length)

    ride = noise(0.6, 4000, top, 0.18) * np.float32(0.5) + _bell(sample_rate, 0.6, 3100 * tune)
    return {
        "kick": drop(0.25, 150, 52, 0.09),
        "boom": drop(0.7, 90, 42, 0.3),
        "snare": noise(0.25, 900, 9000, 0.07) + drop(0.25, 240, 180, 0.05) * np.float32(0.5),
        "clap": noise(0.2, 800, 5000, 0.06),
        "rim": noise(0.06, 1500, 4000, 0.012) + drop(0.06, 800, 700, 0.012),
        "hat": noise(0.08, 6000, top, 0.02) * np.float32(0.6),
        "open": noise(0.3, 5500, top, 0.11) * np.float32(0.6),
        "ride": ride,
        "shaker": noise(0.1, 4500, 10_000, 0.035) * np.float32(0.5),
        "tom": drop(0.3, 170, 95, 0.12),
    }


def _noise(
    rng: np.random.Generator,
    coloring: Coloring,
    sample_rate: int,
    seconds: float,
    band: tuple[float, float],
    decay: float,
) -> Wave:
    count = int(seconds * sample_rate)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / sample_rate)
    low, high = band
    shape = (hz / low) ** 2 / (1 + (hz / low) ** 2) / (1 + (hz / high) ** 4)
    wave = np.fft.irfft(spectrum * shape * coloring.gain(hz), count)
    wave *= np.exp(-np.arange(count) / (decay * sample_rate))
    return np.asarray(wave / max(np.abs(wave).max(), 1e-9), dtype=np.float32)


def _drop(sample_rate: int, seconds: float, hz: tuple[float, float], decay: float) -> Wave:
    """A sine that falls from one pitch to another, as a struck skin does."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    pitch = hz[1] + (hz[0] - hz[1]) * np.exp(-time / 0.03)
    wave = np.sin(2 * np.pi * np.cumsum(pitch) / sample_rate) * np.exp(-time / decay)
    wave *= np.minimum((seconds - time) / 0.02, 1)
    return np.asarray(wave, dtype=np.float32)


def _bell(sample_rate: int, seconds: float, hz: float) -> Wave:
    """Partials that are no harmonics: metal."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    partials = [np.sin(2 * np.pi * hz * ratio * time) for ratio in (1.0, 1.483, 1.932, 2.546)]
    return np.asarray(0.15 * np.sum(partials, axis=0) * np.exp(-time / 0.12), dtype=np.float32)
