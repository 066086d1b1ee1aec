"""Where a network trains, and in which precision.

Not here: threads and memory limits, which belong to whoever starts the process.
"""

import gc

import torch
from torch import nn

from fourier.config.training import Precision
from fourier.errors import DeviceError

# On a CPU, channels-last training of narrower convolutions can corrupt torch 2.13's memory (seen
# for residual networks of 4 and 8 channels in fp32; none of 12 and more).
NARROW = 16
AMPERE = 8  # the first compute capability with bf16 arithmetic


def pick_device(name: str = "auto") -> torch.device:
    """The device that a person named.

    Args:
        name: ``auto`` (the first CUDA device, else the CPU), ``cpu``, ``cuda``, ``cuda:1``, ….

    Raises:
        DeviceError: there is no such device here.
    """
    cuda_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda", 0) if cuda_devices else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise DeviceError(f"{name!r} is no device: use --device auto, cpu, cuda or cuda:1")
    if device.type == "cpu":
        return torch.device("cpu")
    index = device.index or 0
    if index >= cuda_devices:
        raise DeviceError(
            f"there is no device {name!r}: torch {torch.__version__} sees {cuda_devices} CUDA "
            "devices here; use --device cpu"
        )
    return torch.device("cuda", index)


def describe_device(device: torch.device) -> str:
    """One phrase for people: the GPU's name and memory, or the threads that torch uses."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    threads = torch.get_num_threads()
    return f"{device} ({threads} thread{'s' if threads > 1 else ''})"


def free_memory(device: torch.device) -> None:
    """Give a device back what a failed training left: networks hang in cycles of references."""
    gc.collect()
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.empty_cache()


def bf16_is_faster(device: torch.device, model: nn.Module) -> bool:
    """Whether bf16 autocast pays on this device for this network.

    Only networks with convolutions gain. Measured on one core (training, channels-last, 128 x 216
    picture): with AMX tiles a CNN is 3.0 times as fast and a CRNN twice; with AVX-512 BF16 alone
    0.9 and 1.1 times; emulated 0.4 times. The notebook's multilayer perceptron becomes 15 %
    slower, since casting costs more than its small products save. CUDA devices before Ampere
    emulate bf16.
    """
    widths = _conv_widths(model)
    if not widths:
        return False
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= AMPERE
    return device.type == "cpu" and _has_amx() and min(widths) >= NARROW


def memory_format(device: torch.device, model: nn.Module) -> torch.memory_format:
    """How weights are laid out: channels last, but for narrow convolutions on a CPU."""
    narrow = min(_conv_widths(model), default=NARROW) < NARROW
    return torch.contiguous_format if narrow and device.type == "cpu" else torch.channels_last


def _conv_widths(model: nn.Module) -> list[int]:
    return [m.out_channels for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)]


def autocast_dtype(
    precision: Precision, device: torch.device, model: nn.Module
) -> torch.dtype | None:
    """The type to autocast to, or None for plain float32."""
    if precision == "auto":
        precision = "bf16" if bf16_is_faster(device, model) else "fp32"
    return torch.bfloat16 if precision == "bf16" else None


def _has_amx() -> bool:
    """Whether this processor multiplies bf16 tiles."""
    # Newer torch says so publicly; the private name is what the versions before have.
    if hasattr(torch.cpu, "get_capabilities"):
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return bool(torch.cpu._is_amx_tile_supported())
