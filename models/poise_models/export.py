"""Networks as files that run without Poise: programs of torch.export (.pt2), and ONNX.

A file holds the network alone: windows in, windows out, as `WindowRefiner.forward` maps them, in
float32 and for any number of windows. Whoever runs it cuts a sequence into windows, and averages
what comes out (SWAA); `about` says so in the file's own metadata.
"""

import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from poise_models.base.batch import Prediction
from poise_models.base.window_refiner import MOST_CALLS, WindowRefiner
from poise_models.errors import RefinerError

#: Where a .pt2 file keeps what ONNX calls metadata.
ABOUT = "poise.json"
_USE = (
    "Cut a sequence (F, C) into windows of `window` frames, one from every `stride` frames on and "
    "one that ends with the sequence (a shorter sequence: repeat its last frame). Run them as a "
    "batch. Every refined frame is the mean of all windows that cover it. C = joints x dims, in "
    "the units of the track. Without retrieval a window is its own neighbour, at distance 1."
)


class ExportError(RefinerError):
    """A network cannot be exported, or what would do it is not installed."""


class _Tensors(nn.Module):
    """The network with the types that export knows: tensors in, tensors out."""

    def __init__(self, network: WindowRefiner) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, detected: Tensor, neighbour: Tensor | None = None, distance: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        return tuple(self.predict(detected, neighbour, distance).known().values())

    def predict(
        self, detected: Tensor, neighbour: Tensor | None = None, distance: Tensor | None = None
    ) -> Prediction:
        if neighbour is None or distance is None:
            neighbour, distance = detected, detected.new_ones(detected.shape[0])
        if distance.dim() == 1:  # a file of one neighbour has no axis for several
            neighbour, distance = neighbour.unsqueeze(1), distance.unsqueeze(1)
        prediction: Prediction = self.network(detected, neighbour, distance)
        return replace(prediction, poses_BTC=prediction.poses_BTC - self.network.constant_C)


def trace(network: WindowRefiner) -> torch.export.ExportedProgram:
    """Trace a network in evaluation mode, on its device.

    Inputs are ``detected`` (B, T, C), and where the network reads neighbours ``neighbour``
    (B, T, C) and ``distance`` (B,); (B, K, T, C) and (B, K) for several. Outputs are poses
    (B, T, C), and where the network knows them quality (B, T) and error (B, T, J), how far off a
    joint is expected to be. SynSP on V views has (B, V, T, C).

    Raises:
        ExportError: the network is a walk of more than `MOST_CALLS` calls.
    """
    if network.calls > MOST_CALLS:
        raise ExportError(
            f"{network.name} calls its network {network.calls} times a frame, and a file would "
            f"hold every call: build it with steps of at most {MOST_CALLS} (the weights do not "
            "depend on them), or export `network.score`, which is one call, and walk outside of it"
        )
    inputs = random_windows(network.eval(), 2)
    batch = torch.export.Dim("batch")
    shapes = {name: {0: batch} for name in inputs}
    with torch.no_grad():
        return torch.export.export(
            _Tensors(network), (), inputs, dynamic_shapes=shapes, strict=False
        )


def write_program(
    network: WindowRefiner, path: Path, extra: Mapping[str, str] | None = None
) -> None:
    """Write a .pt2 file, for `torch.export.load`; ``extra`` joins what `about` says.

    Raises:
        ExportError: the network cannot be exported.
    """
    text = json.dumps(about(network) | dict(extra or {}), indent=2)
    with _quiet():
        torch.export.save(trace(network), path, extra_files={ABOUT: text})


def write_onnx(network: WindowRefiner, path: Path, extra: Mapping[str, str] | None = None) -> None:
    """Write a network as one ONNX file; ``extra`` joins what `about` says in its metadata.

    Raises:
        ExportError: the network cannot be exported, or the ONNX packages are missing.
    """
    _need_onnx()
    windows = random_windows(network, 1)
    inputs = list(windows)
    with _quiet(), torch.no_grad():
        program = trace(network)
        outputs = list(_Tensors(network).predict(**windows).known())
        converted = torch.onnx.export(
            program,
            dynamo=True,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes={name: {0: "batch"} for name in inputs},
            verbose=False,
        )
    assert converted is not None  # noqa: S101  (dynamo=True always returns the program)
    metadata = about(network) | dict(extra or {})
    converted.model.metadata_props.update({f"poise.{k}": v for k, v in metadata.items()})
    converted.save(path)


def about(network: WindowRefiner) -> dict[str, str]:
    """What somebody who has nothing but the file must know of it, as text by name."""
    spec = network.spec
    return {
        "refiner": network.name,
        "settings": json.dumps(network.settings()),
        "window": str(network.window),
        "stride": str(network.stride),
        "joints": str(spec.joints),
        "dims": str(spec.dims),
        "neighbours": str(network.neighbours if network.uses_neighbours else 0),
        "use": _USE,
    }


def random_windows(network: WindowRefiner, windows: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs of a network by name: poses from N(0, 1), distances from [0, 1), on its device."""
    generator = torch.Generator().manual_seed(seed)
    frames = (network.window, network.spec.channels)
    views = (network.views,) if network.views > 1 else ()
    drawn = {"detected": torch.randn(windows, *views, *frames, generator=generator)}
    if network.uses_neighbours:
        several = (network.neighbours,) if network.neighbours > 1 else ()
        drawn["neighbour"] = torch.randn(windows, *several, *frames, generator=generator)
        drawn["distance"] = torch.rand(windows, *several, generator=generator)
    return {name: value.to(network.device) for name, value in drawn.items()}


@torch.no_grad()
def largest_difference(network: WindowRefiner, path: Path) -> float:
    """Run a written file, and compare all it returns with the network, on 1 and on 7 windows.

    Raises:
        ExportError: the file is ONNX, and the packages that run it are missing.
    """
    runs, largest = _runner(path), 0.0
    for windows in (1, 7):
        inputs = random_windows(network, windows, seed=windows)
        expected = _Tensors(network.eval())(**inputs)
        for value, wanted in zip(runs(inputs), expected, strict=True):
            difference = float((value.to(wanted) - wanted).abs().max())
            largest = math.inf if math.isnan(difference) else max(largest, difference)
    return largest


def _runner(path: Path) -> Callable[[Mapping[str, Tensor]], Sequence[Tensor]]:
    if path.suffix == ".pt2":
        program = torch.export.load(path).module()
        return lambda inputs: program(**inputs)
    _need_onnx()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> list[Tensor]:
        arrays = {name: value.numpy(force=True) for name, value in inputs.items()}
        return [torch.from_numpy(value) for value in session.run(None, arrays)]

    return run


def _need_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ExportError(f"{', '.join(missing)} not installed: pip install 'poise[onnx]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' notes on what they skip to themselves; errors are raised anyway."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
