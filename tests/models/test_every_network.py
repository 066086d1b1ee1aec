"""What every network promises, whatever its architecture, size and input."""

import io
import json
from dataclasses import replace
from typing import get_args

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
    TrialConfig,
    TwoConvConfig,
)
from fourier.models import NETWORKS, build_model

DEFAULTS: dict[str, ModelConfig] = {
    "mlp": MLPConfig(),
    "two_conv": TwoConvConfig(),
    "cnn": CNNConfig(),
    "resnet": ResNetConfig(),
    "crnn": CRNNConfig(),
    "tdnn": TDNNConfig(),
}
EXTREMES: dict[str, ModelConfig] = {
    "mlp-tiny": MLPConfig(hidden=(1,)),
    "mlp-deep": MLPConfig(hidden=(32,) * 5, dropout=0.3),
    "two_conv-tiny": TwoConvConfig(width=1),
    "cnn-shallow": CNNConfig(depth=1, width=4),
    "cnn-deep": CNNConfig(depth=6, convs=3, width=4),
    "resnet-shallow": ResNetConfig(stages=1, width=4),
    "resnet-deep": ResNetConfig(stages=5, blocks=4, width=4),
    "crnn-shallow": CRNNConfig(depth=1, width=4, hidden=4),
    "crnn-deep": CRNNConfig(depth=5, width=4, hidden=8),
    "tdnn-statistics": TDNNConfig(layers=0, hidden=16),
    "tdnn-deep": TDNNConfig(layers=6, width=4, hidden=8),
}
EVERY = DEFAULTS | EXTREMES
ALIVE = {name: config for name, config in EVERY.items() if name != "mlp-tiny"}
"""A single hidden unit may be dead from the start, by chance."""

SHAPES = [(8, 8), (13, 130), (9, 97), (97, 9), (128, 130)]

every_network = pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
every_default = pytest.mark.parametrize("config", DEFAULTS.values(), ids=DEFAULTS)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=[f"{b}x{f}" for b, f in SHAPES])


def build(
    config: ModelConfig, shape: tuple[int, int] = (13, 40), outputs: int = 3, seed: int = 0
) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(config, bands=shape[0], frames=shape[1], outputs=outputs)


def clips(count: int, shape: tuple[int, int] = (13, 40), seed: int = 1) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def build_used(config: ModelConfig, shape: tuple[int, int] = (13, 40)) -> nn.Module:
    """In evaluation, after some training batches, so that running statistics are not 0 and 1."""
    model = build(config, shape).train()
    with torch.no_grad():
        for seed in range(3):
            model(3 * clips(4, shape, seed) - 1)
    return model.eval()


def test_every_configuration_has_its_network_and_its_place_in_this_suite() -> None:
    configs = set(get_args(ModelConfig))
    assert set(NETWORKS) == configs
    assert {type(config) for config in DEFAULTS.values()} == configs
    assert {type(config) for config in EXTREMES.values()} == configs
    assert all(config.name == name for name, config in DEFAULTS.items())
    for config in EVERY.values():
        assert type(build(config)) is NETWORKS[type(config)]


@every_shape
@every_network
def test_any_legal_picture_gives_outputs_for_each_clip(
    config: ModelConfig, shape: tuple[int, int]
) -> None:
    model = build(config, shape, outputs=7)
    assert model(clips(2, shape)).shape == (2, 7)
    assert model(clips(1, shape)).shape == (1, 7)  # a last batch of one clip trains too
    with torch.no_grad():
        prediction = model.eval()(clips(1, shape))
    assert prediction.shape == (1, 7)
    assert prediction.dtype == torch.float32
    assert prediction.isfinite().all()


@pytest.mark.parametrize("shape", [(8, 8), (13, 130), (128, 130)], ids=str)
@pytest.mark.parametrize("config", ALIVE.values(), ids=ALIVE)
def test_the_gradient_reaches_every_parameter(config: ModelConfig, shape: tuple[int, int]) -> None:
    model = build(config, shape)
    model(3 * clips(4, shape) - 1).pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@every_network
def test_evaluation_does_not_depend_on_batch_mates(config: ModelConfig) -> None:
    model = build_used(config)
    batch = clips(5)
    louder = torch.cat([batch[:1], 10 * batch[1:]])
    with torch.no_grad():
        together, alone = model(batch), torch.cat([model(clip[None]) for clip in batch])
        assert (together - alone).abs().max() < 1e-5
        assert (model(louder)[0] - together[0]).abs().max() < 1e-5


@every_network
def test_evaluation_leaves_the_network_as_it_was(config: ModelConfig) -> None:
    model = build_used(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model(clips(4))
    assert_same_weights(before, model.state_dict())


@every_default
def test_eight_clips_are_learned_by_heart(config: ModelConfig) -> None:
    model = build(config, (16, 32), outputs=4)
    pictures, labels = clips(8, (16, 32)), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(pictures), labels).backward()
        optimizer.step()
    with torch.no_grad():
        logits = model.eval()(pictures)
    assert logits.argmax(1).tolist() == labels.tolist()
    assert nn.functional.cross_entropy(logits, labels) < 0.2


@every_network
def test_a_stored_configuration_builds_the_same_network(config: ModelConfig) -> None:
    trial = TrialConfig(model=config)
    again = TrialConfig.from_dict(json.loads(json.dumps(trial.to_dict())))
    assert again.model == config
    assert_same_weights(build(config).state_dict(), build(again.model).state_dict())


@every_network
def test_the_seed_decides_the_weights(config: ModelConfig) -> None:
    assert_same_weights(build(config).state_dict(), build(config).state_dict())
    first, other = build(config).state_dict(), build(config, seed=1).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


@every_default
def test_dropout_acts_in_training_only(config: ModelConfig) -> None:
    model = build(replace(config, dropout=0.5))
    batch = clips(4)
    with torch.no_grad():
        assert not torch.equal(model(batch), model(batch))
        model.eval()
        assert torch.equal(model(batch), model(batch))
        never = build(replace(config, dropout=0.0))
        assert torch.equal(never(batch), never(batch))


@pytest.mark.parametrize(
    ("config", "shape"),
    [(config, (13, 40)) for config in DEFAULTS.values()]
    + [
        (EXTREMES["cnn-deep"], (8, 8)),
        (EXTREMES["crnn-deep"], (128, 130)),
        (EXTREMES["tdnn-statistics"], (8, 8)),
        (EXTREMES["tdnn-deep"], (128, 130)),
    ],
    ids=[*DEFAULTS, "cnn-deep", "crnn-deep", "tdnn-statistics", "tdnn-deep"],
)
def test_the_exported_program_takes_any_batch_and_agrees(
    config: ModelConfig, shape: tuple[int, int]
) -> None:
    model = build_used(config, shape)
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (clips(3, shape),), dynamic_shapes=({0: batch},))
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    loaded = torch.export.load(stored).module()
    for count in (1, 2, 5):
        with torch.no_grad():
            assert (loaded(clips(count, shape)) - model(clips(count, shape))).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["two_conv", "cnn", "resnet", "crnn"])
def test_channels_last_goes_through_and_changes_nothing(name: str) -> None:
    plain = build_used(DEFAULTS[name], (32, 40))
    model = build_used(DEFAULTS[name], (32, 40)).to(memory_format=torch.channels_last)
    layouts: list[bool] = []

    def see(module: nn.Module, inputs: object, output: Tensor) -> None:
        if output.dim() == 4:
            layouts.append(output.is_contiguous(memory_format=torch.channels_last))

    for module in model.modules():
        module.register_forward_hook(see)
    with torch.no_grad():
        difference = model(clips(4, (32, 40))) - plain(clips(4, (32, 40)))
    assert difference.abs().max() < 1e-5
    assert len(layouts) > 5
    assert all(layouts)


@every_default
def test_bf16_autocast_trains_and_stays_close(config: ModelConfig) -> None:
    model = build(replace(config, dropout=0.0))
    batch = clips(4)
    exact = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(batch)
    rough.float().pow(2).sum().backward()
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(
    ("bands", "frames", "outputs", "message"),
    [
        (7, 130, 2, "`bands >= 8` must hold, but got 7"),
        (128, 7, 2, "`frames >= 8` must hold, but got 7"),
        (128, 130, 0, "`outputs >= 1` must hold, but got 0"),
    ],
)
@every_default
def test_an_illegal_size_is_refused(
    config: ModelConfig, bands: int, frames: int, outputs: int, message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        build_model(config, bands=bands, frames=frames, outputs=outputs)
    assert str(caught.value) == message


def assert_same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert list(first) == list(second)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
