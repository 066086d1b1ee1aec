"""What each network is: its layers, its size, and how it was published."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fourier.config import (
    CNNConfig,
    CRNNConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    TDNNConfig,
    TwoConvConfig,
)
from fourier.models import build_model
from fourier.models.blocks import MeanMaxPool
from fourier.models.crnn import BidirectionalGRU
from fourier.models.resnet import PreActivationBlock
from fourier.models.tdnn import StatisticsNorm, StatisticsPool


def build(config: ModelConfig, bands: int = 128, frames: int = 130) -> nn.Module:
    torch.manual_seed(0)
    return build_model(config, bands=bands, frames=frames, outputs=10)


def conv_channels(model: nn.Module) -> list[int]:
    """Output channels of each 3 x 3 convolution, in order."""
    convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return [conv.out_channels for conv in convs if conv.kernel_size == (3, 3)]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_mlp_is_the_genre_notebooks() -> None:
    model = build(MLPConfig(), bands=13, frames=130)
    assert parameters(model) == 1_014_218
    units = [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert units == [512, 256, 64, 10]


def test_many_mlps_train_at_once_under_vmap() -> None:
    models = [build(MLPConfig(hidden=(16, 8)), 8, 8) for _ in range(3)]
    for model in models:
        nn.init.normal_(next(model.parameters()))
    stacked, buffers = torch.func.stack_module_state(models)
    assert not buffers
    batch = torch.rand(5, 8, 8)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        prediction: Tensor = torch.func.functional_call(models[0], weights, (batch,))
        return prediction.pow(2).mean()

    gradients = torch.vmap(torch.func.grad(loss))(stacked)
    for index, model in enumerate(models):
        model(batch).pow(2).mean().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][index], parameter.grad)


def test_two_conv_is_the_first_deam_documents_network() -> None:
    model = build(TwoConvConfig(width=16), bands=30, frames=45)
    state = model.state_dict()
    shapes = [tuple(value.shape) for value in state.values()]
    assert shapes == [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (10, 32 * 7 * 11), (10,)]
    kernel_1, bias_1, kernel_2, bias_2, weight, bias = state.values()
    picture = torch.rand(2, 30, 45)
    maps = nn.functional.conv2d(picture[:, None], kernel_1, bias_1, padding=1)
    maps = nn.functional.max_pool2d(maps.relu(), 2)
    maps = nn.functional.conv2d(maps, kernel_2, bias_2, padding=1)
    maps = nn.functional.max_pool2d(maps.relu(), 2)
    expected = nn.functional.linear(maps.flatten(1), weight, bias)
    torch.testing.assert_close(model(picture), expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CNNConfig(width=4, depth=6), [4, 8, 16, 32, 32, 32]),
        (CNNConfig(width=4, depth=2, convs=3), [4, 4, 4, 8, 8, 8]),
        (CRNNConfig(width=4, depth=5), [4, 8, 16, 16, 16]),
        (ResNetConfig(width=4, stages=3, blocks=1), [4, 4, 4, 8, 8, 16, 16]),
        (ResNetConfig(width=4, stages=2, blocks=2), [4, 4, 4, 4, 4, 8, 8, 8, 8]),
    ],
    ids=str,
)
def test_channels_double_from_block_to_block(config: ModelConfig, expected: list[int]) -> None:
    assert conv_channels(build(config)) == expected


@pytest.mark.parametrize(
    ("config", "part", "picture", "maps"),
    [
        # wide axes lose a factor of 4 in the first block, then 2 in each
        (CNNConfig(width=4, depth=1), "blocks", (128, 431), (32, 108)),
        (CNNConfig(width=4, depth=4), "blocks", (128, 431), (4, 13)),
        (CNNConfig(width=4, depth=4), "blocks", (95, 96), (5, 3)),
        # narrow ones stop at two or three
        (CNNConfig(width=4, depth=6), "blocks", (8, 8), (2, 2)),
        (CNNConfig(width=4, depth=6), "blocks", (13, 130), (3, 2)),
        (ResNetConfig(width=4, stages=1), "stages", (128, 431), (32, 108)),
        (ResNetConfig(width=4, stages=3), "stages", (128, 431), (8, 27)),
        (ResNetConfig(width=4, stages=3), "stages", (13, 130), (4, 8)),
        (ResNetConfig(width=4, stages=5), "stages", (8, 8), (2, 2)),
        # the recurrent layer keeps its steps: two blocks pool time, the others bands alone
        (CRNNConfig(width=4, depth=5), "blocks", (128, 431), (54,)),
        (CRNNConfig(width=4, depth=1), "blocks", (13, 130), (32,)),
        (CRNNConfig(width=4, depth=3), "blocks", (13, 130), (16,)),
        # a long clip is halved in time once, and bands are channels from the start
        (TDNNConfig(layers=6, width=4), "layers", (128, 431), (216,)),
        (TDNNConfig(layers=1, width=4), "layers", (13, 96), (48,)),
        (TDNNConfig(layers=6, width=4), "layers", (13, 95), (95,)),
    ],
    ids=str,
)
def test_the_picture_is_halved_as_far_as_it_goes(
    config: ModelConfig, part: str, picture: tuple[int, int], maps: tuple[int, ...]
) -> None:
    model = build(config, *picture).eval()
    seen: list[tuple[int, ...]] = []

    def see(_: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(tuple(output.shape[2:]))

    model.get_submodule(part).register_forward_hook(see)
    with torch.no_grad():
        model(torch.rand(1, *picture))
    assert seen == [maps]


@pytest.mark.parametrize("axes", [(2,), (2, 3)], ids=str)
def test_pooling_gives_the_means_and_then_the_maxima(axes: tuple[int, ...]) -> None:
    maps = torch.randn(2, 5, 4, 3)
    mean, maximum = MeanMaxPool(*axes)(maps).split(5, dim=1)
    assert np.allclose(mean, maps.numpy().mean(axis=axes), atol=1e-6)
    assert np.array_equal(maximum, maps.numpy().max(axis=axes))


def test_a_residual_block_that_changes_nothing_is_the_identity() -> None:
    block = PreActivationBlock(6, 6)
    nn.init.zeros_(block.convs[-1].weight)
    maps = torch.randn(2, 6, 5, 7)
    assert torch.equal(block(maps), maps)


def test_the_gru_is_torchs_own() -> None:
    torch.manual_seed(0)
    layer, sequence = BidirectionalGRU(6, 5), torch.randn(3, 11, 6)
    torch.testing.assert_close(layer(sequence), layer.gru(sequence)[0], rtol=0, atol=0)


def test_the_gru_hears_both_directions() -> None:
    torch.manual_seed(0)
    layer, sequence = BidirectionalGRU(6, 5), torch.randn(1, 11, 6)
    changed = sequence.clone()
    changed[:, 5] += 1
    moved = (layer(sequence) != layer(changed))[0]  # [frames, 2 x hidden]
    assert moved[5:, :5].all()
    assert not moved[:5, :5].any()
    assert moved[:6, 5:].all()
    assert not moved[6:, 5:].any()


def test_statistics_are_means_maxima_and_logarithms_of_spread_and_change() -> None:
    sequence = torch.randn(2, 5, 40)
    mean, maximum, spread, change = StatisticsPool()(sequence).split(5, dim=1)
    values = sequence.numpy().astype(np.float64)
    assert np.allclose(mean, values.mean(2), atol=1e-6)
    assert np.array_equal(maximum, sequence.numpy().max(2))
    assert np.allclose(spread, np.log(values.std(2)), atol=1e-5)
    assert np.allclose(change, np.log(np.diff(values).std(2)), atol=1e-5)
    silence = StatisticsPool()(torch.zeros(1, 5, 40, requires_grad=True))
    assert silence.isfinite().all()
    silence.sum().backward()


def test_without_layers_only_statistics_of_the_bands_matter() -> None:
    alone, with_layers = (build(TDNNConfig(layers=n), 16, 64).eval() for n in (0, 2))
    picture = torch.rand(1, 16, 64)
    with torch.no_grad():
        assert torch.allclose(alone(picture), alone(picture.flip(2)), atol=1e-6)
        shuffled = picture[..., torch.randperm(64)]
        assert (alone(picture) - alone(shuffled)).abs().max() > 1e-4
        assert (with_layers(picture) - with_layers(picture.flip(2))).abs().max() > 1e-4


def test_each_time_delay_layer_looks_twice_as_far_as_the_one_before() -> None:
    layers = build(TDNNConfig(layers=5, width=8), 16, 90).get_submodule("layers")
    picture = torch.rand(1, 16, 90, requires_grad=True)
    layers.eval()(picture)[0, :, 45].sum().backward()
    heard = picture.grad.abs().sum((0, 1)).nonzero().flatten()  # type: ignore[union-attr]
    assert (heard.min().item(), heard.max().item()) == (45 - 16, 45 + 16)


def test_a_single_clip_in_training_is_normalised_by_what_was_seen_before() -> None:
    norm, batch = StatisticsNorm(6), 3 * torch.randn(64, 6) + 1
    for _ in range(200):
        norm(batch)
    together = norm(batch)
    assert torch.allclose(together.mean(0), torch.zeros(6), atol=1e-5)
    assert torch.allclose(norm(batch[:1]), norm.eval()(batch[:1]), atol=1e-5)


@pytest.mark.parametrize(
    "config", [CNNConfig(depth=2), ResNetConfig(), CRNNConfig(), TDNNConfig()], ids=str
)
def test_the_order_of_frames_matters_to_the_networks_that_see_time(config: ModelConfig) -> None:
    model = build(config, 16, 64).eval()
    picture = torch.rand(1, 16, 64)
    with torch.no_grad():
        assert (model(picture) - model(picture.flip(2))).abs().max() > 1e-4
