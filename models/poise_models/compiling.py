"""Networks compiled for refining long sequences."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._inductor import config
from torch._inductor.exc import InductorError

from poise_models.errors import ConfigError
from poise_models.export import MOST_STEPS, random_windows
from poise_models.gfpose import GFPose
from poise_models.refiner import Prediction, WindowRefiner


def compile_refine(network: WindowRefiner) -> None:
    """Compile a network for `refine`, with the weights it has now; takes up to a minute.

    Whole chunks of windows (`WindowRefiner.chunk_size`) run compiled from then on, what is left
    over at the end of the clips as before; results agree to rounding. Training the network or
    loading other weights ends it. Wants a C++ compiler, on a GPU Triton.

    Raises:
        ConfigError: the network is a long walk of calls, or nothing here can compile it.
    """
    if isinstance(network, GFPose) and network.config.steps > MOST_STEPS:
        raise ConfigError(
            f"gfpose calls its network {network.config.steps} times a frame, and compiling would "
            f"unroll every call: leave compile out, or build it with at most {MOST_STEPS} steps"
        )
    network.eval()
    device = next(network.parameters()).device
    inputs = random_windows(network, network.chunk_size)
    detected_BTC = inputs["detected"]
    neighbour = inputs.get("neighbour", detected_BTC)
    distance = inputs.get("distance", detected_BTC.new_ones(len(detected_BTC)))
    compiled = torch.compile(_tensors(network), dynamic=False)

    def run(*columns: Tensor) -> Prediction:
        return Prediction(*compiled(*columns))

    try:
        # Frozen weights can be folded and packed. As an option of `torch.compile`, freezing does
        # nothing in PyTorch 2.13.
        frozen = config.patch(freezing=True)
        with frozen, torch.inference_mode(), network.products(device):
            run(detected_BTC, neighbour, distance)
    except InductorError as error:
        raise ConfigError(
            f"{network.name} cannot be compiled here ({str(error).splitlines()[0]}); is there a "
            "C++ compiler (g++)? Leave compile out to go on without"
        ) from error
    network.compiled = run
    network.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]


def _tensors(network: WindowRefiner) -> Callable[..., tuple[Tensor, Tensor | None]]:
    def call(*columns: Tensor) -> tuple[Tensor, Tensor | None]:
        prediction: Prediction = network(*columns)
        return prediction.poses_BTC, prediction.quality_BT

    return call


def _forget(network: torch.nn.Module, _: object) -> None:
    if isinstance(network, WindowRefiner):
        network.compiled = None
