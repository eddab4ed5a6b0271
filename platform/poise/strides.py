"""How far apart the windows of a refiner start: smoothness against cost."""

from poise.errors import CheckpointError
from poise_models.refiner import Refiner, WindowRefiner


def set_stride(refiner: Refiner, stride: int | None) -> None:
    """Start a network's windows every so many frames in `refine`; None leaves its own stride.

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
    refiner.stride = stride
