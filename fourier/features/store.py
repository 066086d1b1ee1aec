"""The feature store: spectrograms of all clips, computed once per machine and kept near the device.

``<cache>/features/<samples' digest>/<settings' digest>.npy``, float16. Asked for again, features
come from the device's memory, else from the disk, else they are computed, by one process while
the others wait. On a CPU they are mapped from the disk: all workers share one copy, and what does
not fit into memory is slow instead of fatal. On a GPU the clips' samples are kept there too, where
there is room, and what was computed is written to the disk while the network trains on it already.
Normalisation is no part of an entry (`fourier.features.normalization`).

float16 holds decibels to 0.03 dB (spacing 0.0625 dB between -64 and -128), a tenth of what anybody
hears; an MFCC's first coefficient, up to about 1,000, to 0.25.
"""

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fourier.config import SpectrogramConfig
from fourier.features.cache import CacheWarning, DamagedEntryError, cache_errors, locked
from fourier.features.compute import (
    audio_on_device,
    compute_on_processor,
    features_on_device,
)
from fourier.features.entries import (
    Put,
    Shape,
    evict_entries,
    load_entry,
    map_entry,
    touch_entry,
    write_entry,
)
from fourier.features.pcm import PcmStore
from fourier.features.spectrogram import Spectrogram, storage_type

DISK_BUDGET = 20 * 2**30
SHARE_OF_FREE_MEMORY = 0.4
BYTES_AT_ONCE_HOST = 2**26


class FeatureStore:
    """Features of one PCM store on one device.

    Attributes:
        pcm: the clips.
        device: where tensors are returned.
        computed: how many times this object computed features instead of finding them.
    """

    def __init__(
        self,
        pcm: PcmStore,
        cache: Path,
        device: torch.device,
        *,
        disk_budget: int = DISK_BUDGET,
        device_budget: int | None = None,
        resident: bool | None = None,
    ) -> None:
        """Open the store; nothing is read yet.

        Args:
            pcm: the clips.
            cache: the cache's folder, shared with other processes.
            device: where features are computed and returned.
            disk_budget: bytes that the features of all corpora may take on the disk; the newest
                entry stays in any case.
            device_budget: bytes of features that this object keeps at hand; None is 40 % of the
                device's memory that is free now. The newest stay in any case.
            resident: whether features, and the clips where there is room, live in the device's
                own memory and are written to the disk meanwhile; None is on all but a CPU.
        """
        self.pcm = pcm
        self.device = device
        self.computed = 0
        self._cache = cache
        self._folder = cache / "features"
        self._disk_budget = disk_budget
        if device_budget is None:
            device_budget = int(_free_memory(device) * SHARE_OF_FREE_MEMORY)
        self._device_budget = device_budget
        self._resident = device.type != "cpu" if resident is None else resident
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._audio: Tensor | None = None
        self._writer = ThreadPoolExecutor(1, "feature-writer")
        self._writing: Future[None] | None = None

    def get(self, config: SpectrogramConfig) -> Tensor:
        """The features of all clips.

        Args:
            config: the settings; ``normalization`` does not matter.

        Returns:
            [clips, bands, frames] float16 on the device, before normalisation, row i for clip i.
            Shared with later callers: not to be changed.

        Raises:
            CacheError: the cache cannot be read or written.
            ValueError: ``fmax`` is above half the sample rate.
        """
        key = config.feature_digest
        path = self._folder / self.pcm.digest / f"{key}.npy"
        with cache_errors(self._cache):
            features = self._kept.pop(key, None)
            if features is None:
                features = self._find_or_compute(config, path)
            touch_entry(path)
        self._kept[key] = features
        return features

    def precision(self, config: SpectrogramConfig) -> torch.dtype:
        """In which type this store computes features: float64 where a device has its own memory.

        A GPU has the time for it, and its programs, which run on processors, then hear the same.
        """
        return torch.float64 if self._resident else storage_type(config)

    def settle(self) -> None:
        """Wait until everything that was computed is on the disk.

        Raises:
            CacheError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            with cache_errors(self._cache):
                writing.result()

    def release(self) -> None:
        """Let go of everything in memory; it is found on the disk again.

        Raises:
            CacheError: something was not there yet, and could not be written.
        """
        self.settle()
        self._kept.clear()
        if self._audio is not None:
            self._device_budget += self._audio.nbytes
            self._audio = None

    def _find_or_compute(self, config: SpectrogramConfig, path: Path) -> Tensor:
        spectrogram = Spectrogram(config, self.pcm.sample_rate)
        shape = (len(self.pcm.clips), config.bands, spectrogram.frames(self.pcm.samples))
        self.settle()
        self._make_room(2 * math.prod(shape))
        try:
            features = load_entry(path, shape, self.device)
        except DamagedEntryError:
            features = None  # somebody may be making it anew; look again when they are done
        if features is not None:
            evict_entries(self._folder, self._disk_budget, keep=path)
            return features
        found: Future[Tensor] = Future()
        spectrogram = spectrogram.to(self.device, self.precision(config))
        if not self._resident:
            self._make_entry(spectrogram, path, shape, found)
            return found.result()
        writing = self._writer.submit(self._make_entry, spectrogram, path, shape, found)
        either: list[Future[Any]] = [writing, found]
        wait(either, return_when=FIRST_COMPLETED)
        if not found.done():
            writing.result()  # raises what went wrong
        self._writing = writing
        return found.result()

    def _make_entry(
        self, spectrogram: Spectrogram, path: Path, shape: Shape, found: Future[Tensor]
    ) -> None:
        """Compute and write an entry, unless somebody else did; hand out the features early.

        On a device of its own memory the features are ready long before they are written.
        """
        with locked(path):
            features = _load_or_warn(path, shape, self.device)
            if features is None:
                self.computed += 1
                config = spectrogram.config
                if self._resident:
                    features = features_on_device(self.pcm, self._all_audio(), spectrogram)
                    copy = _copier_to_host(features)
                    found.set_result(features)
                    write_entry(path, shape, copy, config)
                else:
                    compute = partial(compute_on_processor, self.pcm, spectrogram)
                    write_entry(path, shape, compute, config)
                    features = map_entry(path, shape)
        if not found.done():
            found.set_result(features)
        evict_entries(self._folder, self._disk_budget, keep=path)

    def _make_room(self, needed: int) -> None:
        """Let go of the least recently used tensors; whoever still trains on one keeps it."""
        used = sum(features.nbytes for features in self._kept.values())
        while self._kept and used + needed > self._device_budget:
            used -= self._kept.popitem(last=False)[1].nbytes

    def _all_audio(self) -> Tensor | None:
        """The clips in the device's memory, from the first time on, where they take half of it."""
        size = 2 * len(self.pcm.clips) * self.pcm.samples
        if self._audio is None and 2 * size <= self._device_budget:
            self._audio = audio_on_device(self.pcm, self.device)
            self._device_budget -= size
        return self._audio


def _load_or_warn(path: Path, shape: Shape, device: torch.device) -> Tensor | None:
    try:
        return load_entry(path, shape, device)
    except DamagedEntryError as damage:
        message = f"computing anew: {path} is damaged ({damage})"
        warnings.warn(message, CacheWarning, stacklevel=4)
        return None


def _copier_to_host(features: Tensor) -> Callable[[Put], None]:
    """Hands features out in blocks, on a stream of its own, so that training goes on meanwhile."""
    stream = None
    if features.device.type == "cuda":
        stream = torch.cuda.Stream(features.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(features.device))

    def copy(put: Put) -> None:
        count = max(1, BYTES_AT_ONCE_HOST // features[0].nbytes)
        for start in range(0, len(features), count):
            with torch.cuda.stream(stream):  # None changes nothing
                put(start, features[start : start + count].cpu().numpy())

    return copy


def _free_memory(device: torch.device) -> int:
    """Bytes that could still be used on it, by this and other processes; 0 where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return 0
    lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return int(lines["MemAvailable"].removesuffix("kB")) * 1024
