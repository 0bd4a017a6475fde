"""A knob from a trained network to a random one, to test whether explanations follow the weights."""

from math import sqrt

import torch

from pipeline.errors import UserError
from pipeline.noise import stream


@torch.no_grad()
def perturb_weights(network: torch.nn.Module, share: float, seed: int, name: str = "network") -> torch.nn.Module:
    """Add noise N(0, (share * s)^2) to every weight in place, s being the standard deviation of all weights together.

    The `classifier_perturbation` r of Vaeth et al. 2023, as in their code. share: r in [0, 1]; 0 changes nothing. The
    noise depends on the seed and on a parameter's own name; buffers stay. Raises UserError if there are no weights.
    """
    if share == 0:
        return network
    weights = dict(network.named_parameters())
    if not weights:
        raise UserError(
            f"classifier '{name}' has no weights that classifier_perturbation could change (it is a black box or"
            " frozen); leave classifier_perturbation out."
        )
    scale = share * standard_deviation(weights.values())
    for parameter_name, weight in weights.items():
        draws = stream(seed, "weights", f"classifier-perturbation {parameter_name}")
        noise = torch.from_numpy(draws.standard_normal(tuple(weight.shape), dtype="float32"))
        weight.add_((scale * noise).to(weight))
    return network


def standard_deviation(tensors) -> float:
    """The (unbiased) standard deviation of all numbers in the tensors, as if concatenated."""
    tensors = [tensor.double() for tensor in tensors]
    count = sum(tensor.numel() for tensor in tensors)
    mean = sum(float(tensor.sum()) for tensor in tensors) / count
    squares = sum(float((tensor - mean).square().sum()) for tensor in tensors)
    return sqrt(squares / (count - 1))
