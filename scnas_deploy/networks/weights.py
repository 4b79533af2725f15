"""A network's weights as named tensors, each once."""

from collections.abc import Mapping

from torch import Tensor, nn


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights by name; one that a network holds under several names comes under its first.

    The networks here have no buffers: their norms keep no running statistics.
    """
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load what :func:`weights_of` gave.

    Raises:
        RuntimeError: If they are another network's.
    """
    own = weights_of(network)
    if own.keys() != weights.keys():
        differing = sorted(own.keys() ^ weights.keys())
        raise RuntimeError(f"{len(differing)} weights are missing or foreign, the first is {differing[0]}")
    network.load_state_dict(dict(weights), strict=False)
