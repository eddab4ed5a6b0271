"""Networks compiled for refining long sequences."""

from collections.abc import Callable

import torch
from torch import Tensor

from poise_models.base.batch import Prediction
from poise_models.base.clip import Clip
from poise_models.base.window_refiner import MOST_CALLS, WindowRefiner
from poise_models.errors import ConfigError
from poise_models.fast.window_refiner import FastWindowRefiner

#: What a `Prediction` is made of: what is compiled returns tensors.
_Parts = tuple[Tensor, Tensor | None, Tensor | None]


def compile_refine(network: WindowRefiner) -> None:
    """Compile a network for `refine`, with the weights it has now; takes up to a minute.

    Whole chunks of windows (`WindowRefiner.chunk_size`) run compiled from then on, what is left
    over at the end of the clips as before; results agree to rounding. Training the network or
    loading other weights ends it. Wants a C++ compiler, on a GPU Triton.

    Raises:
        ConfigError: see `check_compilable`; or nothing here can compile it.
    """
    # It takes a second, which whoever compiles nothing need not wait for.
    from torch._inductor import config
    from torch._inductor.exc import InductorError

    check_compilable(network)
    assert isinstance(network, FastWindowRefiner)  # noqa: S101  (checked)
    compiled = torch.compile(_tensors(network), dynamic=False)

    def run(*columns: Tensor) -> Prediction:
        return Prediction(*compiled(*columns))

    network.eval()
    network.compiled = run
    # Through `refine`, two chunks: whatever it hands over later must look as it did when compiled.
    frames = network.window + (2 * network.chunk_size - 1) * network.stride
    try:
        # Frozen weights can be folded and packed. As an option of `torch.compile`, freezing does
        # nothing in PyTorch 2.13.
        with config.patch(freezing=True):
            network.refine([Clip(torch.randn(frames, network.spec.channels))])
    except InductorError as error:
        network.compiled = None
        raise ConfigError(
            f"{network.name} cannot be compiled here ({str(error).splitlines()[0]}); is there a "
            "C++ compiler (g++)? Leave compile out to go on without"
        ) from error


def check_compilable(network: WindowRefiner) -> None:
    """Refuse what `compile_refine` cannot compile, without compiling.

    Raises:
        ConfigError: the network is a long walk of calls, refines several views of a moment, or is
            no `FastWindowRefiner`.
    """
    if not isinstance(network, FastWindowRefiner):
        raise ConfigError(f"{network.name} does not run compiled: leave compile out")
    if network.calls > MOST_CALLS:
        raise ConfigError(
            f"{network.name} calls its network {network.calls} times a frame, and compiling would "
            f"unroll every call: leave compile out, or build it with at most {MOST_CALLS} steps"
        )
    if network.views > 1:
        raise ConfigError(f"{network.name} of {network.views} views is not compiled: leave it out")


def _tensors(network: WindowRefiner) -> Callable[..., _Parts]:
    def call(*columns: Tensor) -> _Parts:
        prediction: Prediction = network(*columns)
        return prediction.poses_BTC, prediction.quality_BT, prediction.error_BTJ

    return call
