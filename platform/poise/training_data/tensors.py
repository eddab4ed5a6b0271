"""Arrays that many processes read as tensors."""

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def read_only(array: NDArray[Any]) -> Tensor:
    """Return a tensor over an array, which may be one of Ray's object store: never write to it.

    Torch knows no read-only tensors, and warns where it is given such an array.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
