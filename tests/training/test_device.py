"""Which device a name means, and where bf16 pays."""

import pytest
import torch
from torch import nn

from fourier.errors import DeviceError
from fourier.training.device import (
    autocast_dtype,
    bf16_is_faster,
    describe_device,
    memory_format,
    pick_device,
)

CPU = torch.device("cpu")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


def test_cpu_is_always_there():
    assert pick_device("cpu") == CPU


def test_auto_is_the_gpu_where_there_is_one():
    expected = torch.device("cuda", 0) if torch.cuda.is_available() else CPU
    assert pick_device("auto") == expected
    assert pick_device() == expected


@without_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_an_absent_gpu_is_one_line_that_ends_in_what_to_type(name):
    with pytest.raises(DeviceError, match=r"use --device cpu$") as error:
        pick_device(name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "tpu:0"])
def test_a_name_that_is_no_device_is_refused_with_the_legal_ones(name):
    with pytest.raises(DeviceError, match="use --device auto, cpu, cuda or cuda:1$"):
        pick_device(name)


def test_a_device_is_described_in_one_phrase():
    assert describe_device(CPU).startswith(f"cpu ({torch.get_num_threads()} thread")


@pytest.mark.parametrize(
    ("model", "gains"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), False),
        (nn.GRU(4, 2), False),
        (nn.Sequential(nn.Sequential(nn.Conv2d(1, 16, 3))), True),
        (nn.Sequential(nn.Conv2d(1, 16, 3), nn.Conv2d(16, 4, 3)), False),
    ],
    ids=["mlp", "gru", "cnn", "narrow cnn"],
)
def test_auto_takes_bf16_for_convolutions_on_amx_alone(model, gains):
    expected = gains and torch.cpu._is_amx_tile_supported()
    assert bf16_is_faster(CPU, model) is expected
    assert autocast_dtype("auto", CPU, model) is (torch.bfloat16 if expected else None)


def test_narrow_convolutions_are_not_laid_out_channels_last_on_a_cpu():
    wide, narrow = nn.Conv2d(1, 16, 3), nn.Sequential(nn.Conv2d(1, 16, 3), nn.Conv2d(16, 8, 3))
    assert memory_format(CPU, wide) is torch.channels_last
    assert memory_format(CPU, narrow) is torch.contiguous_format
    assert memory_format(CPU, nn.Linear(2, 2)) is torch.channels_last


def test_a_named_precision_is_taken_at_its_word():
    model = nn.Linear(2, 2)
    assert autocast_dtype("bf16", CPU, model) is torch.bfloat16
    assert autocast_dtype("fp32", CPU, nn.Conv2d(1, 1, 3)) is None
