"""Frames a second on one core against error, at strides 1, 2, 4 and 8, on real data.

python -m benchmarks.cost --model A --model B [--peers synspp smoothnet] --track uiprmd/kinect/3D

Models are trained, and have errors; peers have their published size and weights of chance, and
only a cost, as Linear has at the one stride it knows. All are timed in turn on the same clips, by
the CPU time of one thread, and compared turn by turn with the first peer's stride 1. Nothing is
retrieved.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.checkpoints.inference import prepare
from poise.checkpoints.models import load_model
from poise.evaluation.raw_data import RawRequest, evaluate_raw
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.runtime.settings import Settings
from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.memory import keep_freed_memory


@dataclass(frozen=True)
class Entry:
    """A refiner at a stride; ``model`` is the checkpoint whose errors are measured, if any."""

    name: str
    stride: int
    refine: Callable[[], object]
    model: str | None = None


def entries(given: argparse.Namespace, settings: Settings, track: Track) -> list[Entry]:
    """The first peer at stride 1, then everything else."""
    clips = _clips(settings, track, given.frames)
    found = []
    for name in given.peers:
        peer = catalogue.build(name, pose_spec(track))
        found += _strided(f"{peer.title}, published size", peer, given.strides, clips)
    for model in given.model:
        refiner, _ = load_model(model, settings.tracking_uri)
        name = f"{refiner.title}, {refiner.parameter_count() / 1000:,.0f} k weights"
        found += _strided(name, refiner, given.strides, clips, model)
    return [*found, *_strided("Linear", catalogue.build("linear", pose_spec(track)), [1], clips)]


def _strided(
    name: str,
    refiner: Refiner,
    strides: Sequence[int],
    clips: Sequence[Clip],
    model: str | None = None,
) -> list[Entry]:
    own_T = refiner.weights_T if isinstance(refiner, WindowRefiner) else None

    def entry(stride: int) -> Entry:
        def refine() -> None:
            if isinstance(refiner, WindowRefiner):
                refiner.weights_T, refiner.stride = own_T, 1
                prepare(refiner, stride, compiled=False)
            refiner.eval().refine(clips)

        return Entry(name, stride, refine, model)

    most = refiner.window if isinstance(refiner, WindowRefiner) else 1
    return [entry(stride) for stride in strides if stride <= most]


def _clips(settings: Settings, track: Track, frames: int) -> list[Clip]:
    clips: list[Clip] = []
    for one in open_split(settings.data, track, "test"):
        if isinstance(one, PoseSequence) and sum(len(c.detected_FC) for c in clips) < frames:
            clips.append(Clip(torch.from_numpy(one.detected_FC)))
    return clips


def shares(found: Sequence[Entry], turns: int) -> list[float]:
    """How many times as fast as the first each is: the median over turns."""
    seconds: list[list[float]] = [[] for _ in found]
    for entry in found:
        entry.refine()
    for _ in range(turns):
        for entry, of_entry in zip(found, seconds, strict=True):
            start = time.process_time()
            entry.refine()
            of_entry.append(time.process_time() - start)
    return [
        statistics.median(a / b for a, b in zip(seconds[0], of_entry, strict=True))
        for of_entry in seconds
    ]


def main() -> None:
    """Print a row for every refiner and stride."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", action="append", default=[], help="a registered model or checkpoint folder")
    add("--peers", nargs="*", default=["synspp", "smoothnet"], help="the first is the measure")
    add("--track", required=True)
    add("--data", type=Path, default=os.environ.get("POISE_DATA"), help="default: $POISE_DATA")
    add("--home", type=Path, help="lake, PVD and registry: $POISE_HOME or .poise")
    add("--strides", type=int, nargs="+", default=[1, 2, 4, 8])
    add("--frames", type=int, default=2000, help="of the test split that are timed, about")
    add("--turns", type=int, default=7)
    given = parser.parse_args()
    settings, track = Settings.use(home=given.home, data=given.data), Track.parse(given.track)
    keep_freed_memory()
    torch.set_num_threads(1)
    found = entries(given, settings, track)
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| refiner | stride | times as fast | MPJPE | PA-MPJPE | Accel |\n|---|" + "---:|" * 5)
    for entry, share in zip(found, shares(found, given.turns), strict=True):
        cells = "| | |"
        if entry.model is not None:
            request = RawRequest(
                track, settings, entry.model, stride=entry.stride, without_retrieval=True
            )
            row = evaluate_raw(request).row
            cells = f"| {row.mpjpe:.2f} | {row.pa_mpjpe:.2f} | {row.accel:.2f} |"
        print(f"| {entry.name} | {entry.stride} | {share:.2f} {cells}", flush=True)


if __name__ == "__main__":
    main()
