"""Linear layers on a CPU in one call with what comes after them, by oneDNN.

PyTorch gives float32 products to MKL, which is half as fast on processors that are not Intel's. The
numbers are the same to rounding.
"""

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

#: What they are called where a graph is compiled; there is no public name.
_FUSED: Final = "_linear_pointwise"


def fuses(x: Tensor) -> bool:
    """Say whether `linear` takes a call of oneDNN: in use on a CPU, not in training or export."""
    return (
        torch.is_inference_mode_enabled()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and _has_onednn()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
    )


def linear(layer: nn.Linear, x: Tensor, gelu: bool = False) -> Tensor:
    """Apply a layer, and GELU after it."""
    if fuses(x):
        then = "gelu" if gelu else "none"
        fused = getattr(torch.ops.mkldnn, _FUSED)
        out: Tensor = fused(x, layer.weight, layer.bias, then, [], "none" if gelu else "")
        return out
    out = layer(x)
    return functional.gelu(out) if gelu else out


def added(layer: nn.Linear, x: Tensor, to: Tensor) -> Tensor:
    """Apply a layer, and add what it gives to another tensor."""
    if fuses(x):
        fused = getattr(torch.ops.mkldnn, _FUSED)
        out: Tensor = fused.binary(x, to, layer.weight, layer.bias, "add")
        return out
    out = to + layer(x)
    return out


def usual_rows(rows: int) -> int:
    """The next of few numbers of rows, within a quarter.

    oneDNN keeps code and buffers for every number that it meets: megabytes for each of a network.
    """
    step = 1 << max((rows - 1).bit_length() - 3, 0)
    return -(-rows // step) * step


@lru_cache(maxsize=1)
def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, _FUSED)
