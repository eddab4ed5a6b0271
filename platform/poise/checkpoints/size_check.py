"""Whether a checkpoint's weights are of the network that its card describes, before it is built.

A card of a few bytes may describe a network of any size. Its numbers are held against the weights
beside it, which are as large as the file is; then the network is built without memory for its
weights, and counted on the way.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from poise_models import catalogue
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError

#: No setting of a network is larger than its largest matrix is long, or than this.
_LARGEST: Final = 4096
#: Modules for each tensor: some have none. Numbers for each number: masks and tables are not kept.
_MODULES_A_TENSOR: Final = 8
_NUMBERS_A_NUMBER: Final = 4
_FREE_NUMBERS: Final = 2**26


def check_fits(
    name: str, spec: PoseSpec, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Raise `ConfigError` where weights are not those of a refiner with these settings.

    Args:
        name: of the refiner.
        spec: what a frame is.
        settings: of the refiner.
        tensors: the weights.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    largest = max((length for shape in shapes.values() for length in shape), default=0)
    for key, value in settings.items():
        if isinstance(value, int | float) and not abs(value) <= max(largest, _LARGEST):
            raise ConfigError(f"{key} is {value!r:.40}, in weights that are {largest} wide at most")
    numbers = sum(tensor.numel() for tensor in tensors.values())
    with torch.device("meta"), _counted(len(tensors), numbers):
        declared = catalogue.build(name, spec, settings).state_dict()
    wanted = {key: tuple(tensor.shape) for key, tensor in declared.items()}
    for key in (*wanted, *shapes):
        if shapes.get(key) != wanted.get(key):
            raise ConfigError(
                f"{key:.80} is {shapes.get(key, 'missing')}, where the card makes it "
                f"{wanted.get(key, 'nothing')}"
            )
    for key, tensor in tensors.items():
        if tensor.dtype != declared[key].dtype:
            raise ConfigError(f"{key:.80} holds {tensor.dtype}, not {declared[key].dtype}")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ConfigError(f"{key:.80} holds numbers that are not finite")


@contextmanager
def _counted(tensors: int, numbers: int) -> Iterator[None]:
    """Stop what is built in this thread once it is more than weights of such a size can be of."""
    most_modules = _MODULES_A_TENSOR * (tensors + 1)
    most_numbers = _NUMBERS_A_NUMBER * numbers + _FREE_NUMBERS
    here, spent = threading.get_ident(), {"modules": 0, "numbers": 0}

    def count(_: nn.Module, __: str, part: nn.Module | Tensor | None) -> None:
        if threading.get_ident() != here or part is None:
            return
        if isinstance(part, Tensor):
            spent["numbers"] += part.numel()
        else:
            spent["modules"] += 1
        if spent["modules"] > most_modules or spent["numbers"] > most_numbers:
            raise ConfigError(f"its settings make a network larger than {tensors} tensors are")

    handles = [
        hooks.register_module_module_registration_hook(count),
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
