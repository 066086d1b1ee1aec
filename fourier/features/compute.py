"""All clips of a PCM store to features, as fast as a device can.

A processor takes clips one by one in each thread: threads that share a transform wait for each
other at every step, and on a busy machine for long. A GPU takes as many clips at once as fit into
a part of its memory. Not here: what is kept, and where (`fourier.features.store`).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fourier.features.clips import FULL_SCALE, keep_memory
from fourier.features.entries import Put
from fourier.features.pcm import PcmStore
from fourier.features.spectrogram import Spectrogram

CLIPS_AT_ONCE = 8

BYTES_AT_ONCE = 2**30
ARRAYS_AT_ONCE = 4  # frames, spectra and powers, in numbers for each sample of a frame
READERS = 8


def compute_on_processor(pcm: PcmStore, spectrogram: Spectrogram, put: Put) -> None:
    """Compute with as many threads as torch has; how many does not change a bit.

    Args:
        pcm: the clips.
        spectrogram: on the CPU, in the type to compute in.
        put: takes the features, in any order, in the thread that has computed them.

    Raises:
        CacheError: a clip is not what was written.
    """
    keep_memory()
    threads, clips = torch.get_num_threads(), len(pcm.clips)
    band_power = _band_power(spectrogram)

    def compute(start: int) -> None:
        rows = pcm.read(start, min(start + CLIPS_AT_ONCE, clips))
        with torch.no_grad():  # clip by clip, so that what is worked on stays in the cache
            for number, row in enumerate(rows, start):
                power = band_power(row)[None]
                put(number, np.asarray(spectrogram.picture(power).half().numpy()))

    try:
        with ThreadPoolExecutor(threads, "features", torch.set_num_threads, (1,)) as pool:
            tasks = [pool.submit(compute, start) for start in range(0, clips, CLIPS_AT_ONCE)]
            try:
                for task in tasks:
                    task.result()
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        torch.set_num_threads(threads)  # setting it in one thread sets it for later threads


def _band_power(spectrogram: Spectrogram) -> Callable[[npt.NDArray[np.int16]], Tensor]:
    """One clip to its band power: by compiled loops where the window's length allows it."""
    from fourier.features.kernels import BandPower

    if BandPower.takes(spectrogram):
        compiled = BandPower(spectrogram)
        return lambda clip: torch.from_numpy(compiled(clip))

    def by_operations(clip: npt.NDArray[np.int16]) -> Tensor:
        waveform = _waveform(torch.from_numpy(clip)[None], spectrogram)
        return spectrogram.band_power_in_blocks(spectrogram.cut(waveform))[0]

    return by_operations


@torch.no_grad()  # and not inference mode, whose tensors no training may save
def features_on_device(pcm: PcmStore, audio: Tensor | None, spectrogram: Spectrogram) -> Tensor:
    """Compute on a device and leave the result there; the host waits for nothing.

    Args:
        pcm: the clips.
        audio: all of them on the device, int16 [clips, samples]; None to bring them there now.
        spectrogram: on the device, in the type to compute in.

    Returns:
        [clips, bands, frames] float16.

    Raises:
        CacheError: a clip is not what was written.
    """
    clips, frames = len(pcm.clips), spectrogram.frames(pcm.samples)
    device, number = spectrogram.window.device, spectrogram.window.element_size()
    shape = (clips, spectrogram.config.bands, frames)
    features = torch.empty(shape, dtype=torch.float16, device=device)
    bytes_of_clip = frames * spectrogram.config.n_fft * number * ARRAYS_AT_ONCE
    batch = max(1, BYTES_AT_ONCE // bytes_of_clip)
    for start in range(0, clips, batch):
        part = _read(pcm, start, batch) if audio is None else audio[start : start + batch]
        features[start : start + batch] = spectrogram(_waveform(part.to(device), spectrogram))
    return features


def audio_on_device(pcm: PcmStore, device: torch.device) -> Tensor:
    """All clips on a device, int16 [clips, samples], each checked on the way.

    Raises:
        CacheError: a clip is not what was written.
    """
    audio = torch.empty((len(pcm.clips), pcm.samples), dtype=torch.int16, device=device)
    batch = max(1, len(audio) // (4 * READERS))

    def bring(start: int) -> None:
        audio[start : start + batch].copy_(_read(pcm, start, batch))

    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(bring, range(0, len(audio), batch)))
    return audio


def _read(pcm: PcmStore, start: int, count: int) -> Tensor:
    return torch.from_numpy(pcm.read(start, min(start + count, len(pcm.clips))))


def _waveform(audio: Tensor, spectrogram: Spectrogram) -> Tensor:
    """16-bit samples to [-1, 1]; exact, for the scale is a power of two."""
    return audio.to(spectrogram.window.dtype).mul_(1 / FULL_SCALE)
