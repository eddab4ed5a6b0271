"""How a refiner runs where it is used: how far apart its windows start, and compiled or not."""

from poise.errors import CheckpointError
from poise_models.compiling import compile_refine
from poise_models.errors import ConfigError
from poise_models.memory import keep_freed_memory
from poise_models.refiner import Refiner, WindowRefiner
from poise_models.windows import fade


def prepare(refiner: Refiner, stride: int | None = None, compiled: bool = False) -> None:
    """Make a refiner and this process ready to refine.

    Args:
        refiner: on the device where it will run.
        stride: see `set_stride`.
        compiled: compile a network first (`compile_refine`), for long work.

    Raises:
        CheckpointError: the stride does not fit, or the refiner cannot be compiled here.
    """
    keep_freed_memory()
    set_stride(refiner, stride)
    if not compiled:
        return
    if not isinstance(refiner, WindowRefiner):
        raise CheckpointError(f"{refiner.name} is no network: leave compile out")
    try:
        compile_refine(refiner)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error


def set_stride(refiner: Refiner, stride: int | None) -> None:
    """Start a network's windows every so many frames in `refine`; None leaves its own stride.

    Where windows start less often than the network has it, they fade in and out in the average:
    frames beside each other would otherwise be means of different windows, a jump at every start.

    Raises:
        CheckpointError: the refiner has no windows, or they would not cover every frame.
    """
    if stride is None:
        return
    if not isinstance(refiner, WindowRefiner):
        raise CheckpointError(f"{refiner.name} has no windows: leave the stride out")
    if not 1 <= stride <= refiner.window:
        raise CheckpointError(
            f"stride {stride}: windows of {refiner.window} frames cover every frame where the "
            f"stride lies in 1 .. {refiner.window}"
        )
    if stride > refiner.stride and refiner.weights_T is None:
        refiner.weights_T = fade(refiner.window)
    refiner.stride = stride
