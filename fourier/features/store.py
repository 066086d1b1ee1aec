"""The feature store: spectrograms of all clips, computed once per machine and kept near the device.

``<cache>/features/<samples' digest>/<settings' digest>.npy``, float16. Asked for again, features
come from the device's memory, else from the disk, else they are computed, by one process while
the others wait. On a CPU they are mapped from the disk: all workers share one copy, and what does
not fit into memory is slow instead of fatal. Normalisation is no part of an entry
(`fourier.features.normalization`).

float16 holds decibels to 0.03 dB (spacing 0.0625 dB between -64 and -128), a tenth of what anybody
hears; an MFCC's first coefficient, up to about 1,000, to 0.25.
"""

import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from fourier.config import SpectrogramConfig
from fourier.features.cache import CacheWarning, DamagedEntryError, cache_errors, locked
from fourier.features.clips import FULL_SCALE
from fourier.features.entries import (
    Features,
    Shape,
    evict_entries,
    load_entry,
    map_entry,
    touch_entry,
    write_entry,
)
from fourier.features.pcm import PcmStore
from fourier.features.spectrogram import Spectrogram

DISK_BUDGET = 20 * 2**30
SHARE_OF_FREE_MEMORY = 0.4
# A processor is fastest when a batch stays in its caches, a GPU when it is busy.
FRAMES_AT_ONCE_PER_THREAD = 128
BYTES_AT_ONCE_GPU = 2**30


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
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

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

    def _find_or_compute(self, config: SpectrogramConfig, path: Path) -> Tensor:
        spectrogram = Spectrogram(config, self.pcm.sample_rate)
        frames = spectrogram.frames(self.pcm.samples)
        shape = (len(self.pcm.clips), config.bands, frames)
        self._make_room(2 * math.prod(shape))
        try:
            features = load_entry(path, shape, self.device)
        except DamagedEntryError:
            features = None  # somebody may be making it anew; look again when they are done
        if features is None:
            with locked(path):
                features = _load_or_warn(path, shape, self.device)
                if features is None:
                    features = self._compute(spectrogram, path, shape)
            evict_entries(self._folder, self._disk_budget, keep=path)
        return features

    def _make_room(self, needed: int) -> None:
        """Let go of the least recently used tensors; whoever still trains on one keeps it."""
        used = sum(features.nbytes for features in self._kept.values())
        while self._kept and used + needed > self._device_budget:
            used -= self._kept.popitem(last=False)[1].nbytes

    def _compute(self, spectrogram: Spectrogram, path: Path, shape: Shape) -> Tensor:
        self.computed += 1
        target = None
        if self.device.type != "cpu":
            target = torch.empty(shape, dtype=torch.float16, device=self.device)
        parts = self._parts(spectrogram.to(self.device), shape, target)
        write_entry(path, shape, parts, spectrogram.config)
        return map_entry(path, shape) if target is None else target

    @torch.no_grad()
    def _parts(
        self, spectrogram: Spectrogram, shape: Shape, target: Tensor | None
    ) -> Iterator[Features]:
        """The features in batches, for the disk; the target, where there is one, is filled."""
        clips, _, frames = shape
        batch = _clips_at_once(self.device, frames, spectrogram.config.n_fft)
        for start in range(0, clips, batch):
            stop = min(start + batch, clips)
            audio = torch.from_numpy(self.pcm.read(start, stop)).to(self.device)
            part = spectrogram(audio.float() / FULL_SCALE).half()
            if target is not None:
                target[start:stop] = part
            yield part.cpu().numpy()


def _load_or_warn(path: Path, shape: Shape, device: torch.device) -> Tensor | None:
    try:
        return load_entry(path, shape, device)
    except DamagedEntryError as damage:
        message = f"computing anew: {path} is damaged ({damage})"
        warnings.warn(message, CacheWarning, stacklevel=4)
        return None


def _clips_at_once(device: torch.device, frames: int, n_fft: int) -> int:
    if device.type == "cpu":
        return max(1, FRAMES_AT_ONCE_PER_THREAD * torch.get_num_threads() // frames)
    return max(1, BYTES_AT_ONCE_GPU // (frames * n_fft * 32))  # four float64 for each sample


def _free_memory(device: torch.device) -> int:
    """Bytes that could still be used on it, by this and other processes; 0 where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return 0
    lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return int(lines["MemAvailable"].removesuffix("kB")) * 1024
