"""Dropout that costs a CPU little."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Masks that one random number of 64 bits decides about, with 16 bits for each.
_MASKS = 4


class Dropout(nn.Dropout):
    """`nn.Dropout`, with masks that a CPU draws four at a time.

    PyTorch draws them one by one on one thread, which took a sixth of a training step of SynSP++.
    The probability is rounded to 1/65,536.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Zero elements by chance in training, and scale the others up by 1 / (1 - p)."""
        return dropout(x, self.p, self.training)


def dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """As `torch.nn.functional.dropout`; see `Dropout`."""
    if not training or probability in (0, 1) or x.device.type != "cpu":
        return functional.dropout(x, probability, training)
    if torch.compiler.is_compiling():
        return functional.dropout(x, probability)
    drawn = torch.empty(-(-x.numel() // _MASKS), dtype=torch.int64).random_(-(2**63), None)
    bits = drawn.view(torch.int16)[: x.numel()].view(x.shape)
    keep = (bits >= round(probability * 2**16) - 2**15).to(x.dtype)
    return x * keep.mul_(1 / (1 - probability))
