"""How a refiner runs where it is used: how far apart its windows start, and compiled or not."""

import numpy as np
from numpy.typing import NDArray

from poise.readers.missing import Bools, with_gaps
from poise.runtime.errors import CheckpointError
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.base.windows import fade
from poise_models.errors import ConfigError
from poise_models.fast.compiling import check_compilable, compile_refine
from poise_models.fast.memory import keep_freed_memory


def prepare(refiner: Refiner, stride: int | None = None, compiled: bool = False) -> None:
    """Make a refiner and this process ready to refine.

    Where windows start less often than the network has it, they fade in and out in the average:
    frames beside each other would otherwise be means of different windows, a jump at every start.

    Args:
        refiner: on the device where it will run.
        stride: start a network's windows every so many frames; None leaves its own stride.
        compiled: compile a network first (`compile_refine`), for long work.

    Raises:
        CheckpointError: see `check`; or nothing here can compile the network.
    """
    check(refiner, stride, compiled)
    keep_freed_memory()
    if not isinstance(refiner, WindowRefiner):
        return
    if stride is not None:
        if stride > refiner.stride and refiner.weights_T is None:
            refiner.weights_T = fade(refiner.window)
        refiner.stride = stride
    if compiled:
        try:
            compile_refine(refiner)
        except ConfigError as error:
            raise CheckpointError(str(error)) from error


def as_taken(
    refiner: Refiner, poses_FC: NDArray[np.float32], unseen_FJ: Bools | None
) -> NDArray[np.float32]:
    """Return filled poses as a refiner takes them: with gaps as NaN again, or as they are."""
    if unseen_FJ is None or not refiner.takes_missing:
        return poses_FC
    return with_gaps(poses_FC, unseen_FJ)


def check(refiner: Refiner, stride: int | None = None, compiled: bool = False) -> None:
    """Refuse at once what `prepare` would refuse later; the arguments are the same.

    Raises:
        CheckpointError: no network, windows that would not cover every frame, or a network that
            is not compiled.
    """
    if stride is None and not compiled:
        return
    if not isinstance(refiner, WindowRefiner):
        raise CheckpointError(
            f"{refiner.name} is no network and has no windows: leave stride and compile out"
        )
    if stride is not None and not 1 <= stride <= refiner.window:
        raise CheckpointError(
            f"stride {stride}: windows of {refiner.window} frames cover every frame where the "
            f"stride lies in 1 .. {refiner.window}"
        )
    try:
        if compiled:
            check_compilable(refiner)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
