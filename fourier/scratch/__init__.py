"""How it works underneath: a neuron, a network and the mel scale in plain NumPy, to be read.

Nothing else of the project imports this room, and it imports nothing but NumPy. Read `neuron`,
then `network`, then `mel`. Not here: anything fast; what trains in earnest is `fourier.training`.
"""

from fourier.scratch.mel import htk_hz, htk_mel, slaney_hz, slaney_mel
from fourier.scratch.network import Gradients, Network, mean_squared_error, train
from fourier.scratch.neuron import activate, sigmoid

__all__ = [
    "Gradients",
    "Network",
    "activate",
    "htk_hz",
    "htk_mel",
    "mean_squared_error",
    "sigmoid",
    "slaney_hz",
    "slaney_mel",
    "train",
]
