"""Which network, and its size. One class for each architecture, told apart by ``name``.

Not here: the networks (`fourier.models`), and what depends on the data (input shape, outputs).
"""

from dataclasses import dataclass
from typing import Literal

from fourier.config.plain import check_types, require_between

MOST_LAYERS = 16


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """A multilayer perceptron on the flattened picture; the defaults are the genre notebook's.

    Attributes:
        hidden: units of each hidden layer, 1 to 4096; 1 to 16 layers.
        dropout: share of units dropped after each hidden layer, 0 to 0.9.
    """

    name: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (512, 256, 64)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        if not self.hidden:
            raise ValueError("`hidden` must name at least one layer, but got ()")
        if len(self.hidden) > MOST_LAYERS:
            got = len(self.hidden)
            raise ValueError(f"`hidden` must name at most {MOST_LAYERS} layers, but got {got}")
        for units in self.hidden:
            require_between("hidden", units, 1, 4096)
        require_between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, kw_only=True)
class TwoConvConfig:
    """The first DEAM network: two 3 x 3 convolutions with max-pooling, flattened into one layer.

    Attributes:
        width: channels of the first convolution, 1 to 256; the second has twice as many.
        dropout: share dropped before the linear layer, 0 to 0.9.
    """

    name: Literal["two_conv"] = "two_conv"
    width: int = 16
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_types(self)
        require_between("width", self.width, 1, 256)
        require_between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, kw_only=True)
class CNNConfig:
    """VGG-like blocks of 3 x 3 convolutions, each halving the picture, then mean and max pooling.

    Attributes:
        width: channels of the first block, 4 to 256; they double per block up to eight times.
        depth: blocks, 1 to 6.
        convs: convolutions in each block, 1 to 3.
        dropout: share dropped before the last layer, 0 to 0.9.
    """

    name: Literal["cnn"] = "cnn"
    width: int = 32
    depth: int = 4
    convs: int = 1
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_types(self)
        require_between("width", self.width, 4, 256)
        require_between("depth", self.depth, 1, 6)
        require_between("convs", self.convs, 1, 3)
        require_between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """Residual stages of pre-activation blocks (He et al. 2016).

    Attributes:
        width: channels of the first stage, 4 to 256; they double with every stage.
        stages: stages, 1 to 5, each after the first halving the picture.
        blocks: residual blocks in each stage, 1 to 4.
        dropout: share dropped before the last layer, 0 to 0.9.
    """

    name: Literal["resnet"] = "resnet"
    width: int = 32
    stages: int = 3
    blocks: int = 1
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_types(self)
        require_between("width", self.width, 4, 256)
        require_between("stages", self.stages, 1, 5)
        require_between("blocks", self.blocks, 1, 4)
        require_between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, kw_only=True)
class CRNNConfig:
    """Convolutions that fold the bands, then a bidirectional GRU over time (Choi et al. 2017).

    Attributes:
        width: channels of the first block, 4 to 256; they double per block up to four times.
        depth: convolution blocks, 1 to 5.
        hidden: GRU units in each direction, 4 to 512.
        dropout: share dropped before the last layer, 0 to 0.9.
    """

    name: Literal["crnn"] = "crnn"
    width: int = 32
    depth: int = 3
    hidden: int = 64
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_types(self)
        require_between("width", self.width, 4, 256)
        require_between("depth", self.depth, 1, 5)
        require_between("hidden", self.hidden, 4, 512)
        require_between("dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True, kw_only=True)
class TDNNConfig:
    """Convolutions over time, then statistics over time (Snyder et al. 2018).

    Attributes:
        layers: convolutions over time, 0 to 6; with 0 the bands' own statistics are all it sees.
        width: channels of each, 4 to 1024.
        hidden: units of the layer after the statistics, 4 to 4096.
        dropout: share dropped before the last layer, 0 to 0.9.
    """

    name: Literal["tdnn"] = "tdnn"
    layers: int = 2
    width: int = 64
    hidden: int = 256
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_types(self)
        require_between("layers", self.layers, 0, 6)
        require_between("width", self.width, 4, 1024)
        require_between("hidden", self.hidden, 4, 4096)
        require_between("dropout", self.dropout, 0, 0.9)


ModelConfig = MLPConfig | TwoConvConfig | CNNConfig | ResNetConfig | CRNNConfig | TDNNConfig
