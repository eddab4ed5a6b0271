"""Forward and training step of every network, in windows a second and as a share of the peak.

python -m benchmarks.refiners [--cpu-time] [--large] [--compile] [--networks synspp smoothnet ...]
python -m benchmarks.refiners --epoch [--windows N] [--bf16] [--compile]

On the CPU always, and on a GPU where there is one. The peak is a large square product of the same
type, measured before and after every turn. Work is counted in multiply-accumulates (MACs) of the
published formulation; a training step is taken for three forward passes. `ours` is what our
formulation executes: attention that never makes keys and values needs fewer. `synspp-code` is
SynSP++ with the branches of its official code, which applies two layers more than the paper (56.6
MMAC). GFPose is one call of its score network; a refinement takes as many as it has steps.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from benchmarks.peak import Machine, Speed
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW
from poise.lake.schemas import NEIGHBOURS
from poise.lake.split_index import SplitIndex
from poise.training_data.split import TrackSplit
from poise.training_data.training_windows import TrainingWindows
from poise_models import catalogue
from poise_models.base.attention import Attention
from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.trainer import Trainer
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.compiling import compile_refine
from poise_models.fast.memory import keep_freed_memory
from poise_models.networks.gfpose import GFPose
from poise_models.networks.synsp import SynSP
from poise_models.networks.synspp import SynSPP
from poise_retrieval.neighbours import Neighbours

SPEC = PoseSpec(17, 3)
FORWARD, STEP, LARGE = 1416, 512, 6000
#: Windows whose activations are in memory at once in a training step: all of them on a GPU.
AT_ONCE = {"cpu": 256, "cuda": LARGE}
FRAMES = 811
#: SynSP++ as its code has it, which applies a layer twice more than the paper: 56.6 MMAC.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "synspp-code": ("synspp", {"branches": "shared"})
}


@dataclass(frozen=True)
class Work:
    """A network, its windows, and the MACs of a window.

    Attributes:
        published: of a forward pass.
        ours: the same, as we execute it.
        learning: published, of the forward pass in training.
    """

    network: WindowRefiner
    batch: Batch
    published: float
    ours: float
    learning: float

    @classmethod
    def of(cls, name: str, device: str) -> "Work":
        """Build a network at its published size, with windows of noise."""
        network = build(name, device)
        frames = (network.window, SPEC.channels)
        truth_BTC = 0.3 * torch.randn(LARGE, *frames, device=device)
        near_BKTC = 0.3 * torch.randn(LARGE, network.neighbours, *frames, device=device)
        detected_BTC = truth_BTC + 0.03 * torch.randn_like(truth_BTC)
        far_BK = torch.rand(LARGE, network.neighbours, device=device)
        batch = Batch(detected_BTC, truth_BTC, near_BKTC, far_BK)
        ours = macs(network, batch, _forward)
        textbook = as_published(network)
        published, learning = macs(textbook, batch, _forward), macs(textbook, batch, _loss)
        return cls(network, batch, published, ours, learning)

    def forward(self, windows: int, compiled: bool) -> Callable[[], object]:
        """The forward pass of so many windows, as `refine` has it; of GFPose one step of it."""
        network = self.network.eval()
        if compiled and not isinstance(network, GFPose):
            compile_refine(network)
        with torch.inference_mode():  # a network is compiled for tensors made there
            (seen,) = _parts(self.batch, windows, windows)
            given = (seen.detected_BTC, seen.neighbours_BKTC, seen.distances_BK)
            columns = [column.clone() for column in given]

        @torch.inference_mode()
        def call() -> None:
            if isinstance(network, GFPose):
                for part in _parts(self.batch, windows, network.chunk_size):
                    _forward(network, part)
            else:
                network.predict(*columns)

        return call

    def step(self, windows: int, compiled: bool) -> Callable[[], object]:
        """A training step of so many windows: forward, backward, Adam in one pass."""
        network = self.network
        parts = list(_parts(self.batch, windows, AT_ONCE[self.batch.detected_BTC.device.type]))
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        loss = torch.compile(network.loss) if compiled else network.loss

        def call() -> None:
            network.train()
            optimiser.zero_grad(set_to_none=True)
            for part in parts:
                share: Tensor = loss(part) * (len(part.truth_BTC) / windows)
                share.backward()
            optimiser.step()

        return call


def build(name: str, device: str) -> WindowRefiner:
    """A network of the catalogue, or of `VARIANTS`, on a device."""
    torch.manual_seed(0)
    kind, settings = VARIANTS.get(name, (name, {}))
    built = catalogue.build(kind, SPEC, settings)
    assert isinstance(built, WindowRefiner)  # noqa: S101  (networks only)
    return built.to(device)


def as_published(network: WindowRefiner) -> WindowRefiner:
    """The network with attention as it is published, which has more work for the same result."""
    if isinstance(network, SynSP):
        return SynSP(network.spec, network.config, attention=Attention).to(network.device)
    if isinstance(network, SynSPP):
        return SynSPP(network.spec, network.config, attention=Attention).to(network.device)
    return network


def macs(
    network: WindowRefiner, batch: Batch, call: Callable[[WindowRefiner, Batch], object]
) -> float:
    """MACs a window of a call; what does not grow with the windows does not count."""
    counts = []
    for windows in (1, 2):
        (part,) = _parts(batch, windows, windows)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            call(network.train(), part)
        counts.append(counter.get_total_flops() / 2)
    return float(counts[1] - counts[0])


def _forward(network: WindowRefiner, part: Batch) -> None:
    if isinstance(network, GFPose):
        pose_BC = part.detected_BTC.flatten(0, 1)
        network.score(pose_BC, network.times_S[:1], torch.zeros_like(pose_BC[:1]))
    else:
        network(part.detected_BTC, part.neighbours_BKTC, part.distances_BK)


def _loss(network: WindowRefiner, part: Batch) -> Tensor:
    return network.loss(part)


def _parts(batch: Batch, windows: int, size: int) -> Iterator[Batch]:
    for start in range(0, windows, size):
        here = slice(start, min(start + size, windows))
        yield Batch(
            batch.detected_BTC[here],
            batch.truth_BTC[here],
            batch.neighbours_BKTC[here],
            batch.distances_BK[here],
        )


def measure(given: argparse.Namespace, device: str) -> None:
    """Print the table of one device."""
    dtype = torch.bfloat16 if given.bf16 else torch.float32
    machine = Machine(device, given.cpu_time and device == "cpu", dtype)
    print(f"\n{_heading(given, device)}")
    print(
        "| network | T | MMAC a window | ours | forward of 1416, ms | windows/s | share of peak "
        "| step of 512, ms | windows/s | share | step of 6000, s | windows/s | share |"
    )
    print("|---|" + "---:|" * 12)
    peaks = []
    for name in given.networks:
        work = Work.of(name, device)
        work.network.dtype = dtype
        with torch.autocast(device, dtype, enabled=given.bf16):
            call = work.forward(FORWARD, given.compile)
            forward = machine.speed(call, FORWARD * work.published, given.turns)
            steps: dict[int, Speed | None] = {STEP: None, LARGE: None}
            for windows in steps:
                if windows == STEP or given.large or device == "cuda":
                    step = work.step(windows, given.compile)
                    cost = 3 * windows * work.learning
                    steps[windows] = machine.speed(step, cost, given.turns)
        peaks.append(forward.peak)
        cells = (
            f"{1e-6 * work.published:.1f} | {1e-6 * work.ours:.1f}",
            _cells(forward, FORWARD, 1e3),
            _cells(steps[STEP], STEP, 1e3),
            _cells(steps[LARGE], LARGE, 1),
        )
        print(f"| {name} | {work.network.window} | {' | '.join(cells)} |", flush=True)
    print(
        f"\npeak: {2e-9 * statistics.median(peaks):,.0f} GFLOP/s ({2e-9 * min(peaks):,.0f} to "
        f"{2e-9 * max(peaks):,.0f}); load at the end {os.getloadavg()[0]:.1f}"
    )


def epoch(given: argparse.Namespace, device: str) -> None:
    """Print the time of a training epoch: windows gathered and aligned as in a sweep."""
    small = device == "cpu"
    wanted = given.windows or (4096 if small else 1_500_000)
    batch = STEP if small else LARGE
    split = made_up(wanted)
    print(f"\n{_heading(given, device)}: an epoch of {wanted:,} windows in batches of {batch}")
    for name in given.networks:
        network = build(name, device)
        bank = split.bank() if network.uses_neighbours else None
        windows = TrainingWindows(split, network.window, bank, device)
        budget = replace(
            Budget(), epochs=2, batch=batch, bf16=given.bf16, compile=given.compile, clip=1.0
        )
        trainer = Trainer(network, windows, budget, 0)
        machine = Machine(device, given.cpu_time and small)
        first, second = machine.seconds(trainer.epoch), machine.seconds(trainer.epoch)
        done = trainer.steps * batch
        print(
            f"  {name}: {second:.1f} s, {done / second:,.0f} windows/s "
            f"(the first epoch: {first:.1f} s)",
            flush=True,
        )


def made_up(windows: int) -> TrackSplit:
    """A split of noise with so many windows of 8 frames, each with neighbours drawn by chance."""
    track = Track.parse("uiprmd/kinect/3D")
    sequences = -(-windows // (FRAMES - WINDOW + 1))
    index = SplitIndex(
        track=track,
        split="train",
        width=SPEC.channels,
        truth=True,
        ids_S=np.arange(sequences),
        frames_S=np.full(sequences, FRAMES),
        names=[str(number) for number in range(sequences)],
        subjects=["S1"] * sequences,
        cameras=[None] * sequences,
        actions=[None] * sequences,
        takes=[None] * sequences,
    )
    draw = torch.Generator().manual_seed(0)
    truth_FC = 0.3 * torch.randn(sequences * FRAMES, SPEC.channels, generator=draw)
    _, id_N = index.every_window()
    near_NK = id_N[torch.randint(len(id_N), (len(id_N), NEIGHBOURS), generator=draw).numpy()]
    detected_FC = truth_FC + 0.03 * torch.randn(truth_FC.shape, generator=draw)
    distances_NK = torch.rand(near_NK.shape, generator=draw).numpy()
    return TrackSplit.of(index, detected_FC, truth_FC, Neighbours(near_NK, distances_NK))


def _heading(given: argparse.Namespace, device: str) -> str:
    what = torch.cuda.get_device_name() if device == "cuda" else f"{os.cpu_count()} CPUs"
    kind = "bfloat16" if given.bf16 else "float32"
    clock = ", CPU time of one thread" if given.cpu_time and device == "cpu" else ""
    compiled = ", compiled" if given.compile else ""
    return (
        f"{what}, {kind}{compiled}{clock}, {torch.get_num_threads()} threads, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _cells(speed: Speed | None, windows: int, unit: float) -> str:
    if speed is None:
        return "| | "
    digits = 0 if unit * speed.seconds >= 100 else 2
    rate = windows / speed.seconds
    return f"{unit * speed.seconds:,.{digits}f} | {rate:,.0f} | {speed.share:.2f}"


@contextmanager
def _threads(wanted: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    yield
    torch.set_num_threads(before)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = [name for name in catalogue.names() if catalogue.trains(name)] + list(VARIANTS)
    add = parser.add_argument
    add("--networks", nargs="+", choices=known, default=known)
    add("--turns", type=int, default=5)
    add("--cpu-time", action="store_true", help="one thread, its CPU time: for a busy machine")
    add("--large", action="store_true", help="steps of 6000 windows on the CPU too")
    add("--epoch", action="store_true", help="a training epoch, data included, instead")
    add("--windows", type=int, help="of the epoch (1.5 M on a GPU, 4096 on a CPU)")
    add("--bf16", action="store_true", help="autocast to bfloat16, and its peak")
    add("--compile", action="store_true", help="compile the loss, and refining")
    given = parser.parse_args()
    keep_freed_memory()
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    with _threads(1 if given.cpu_time else torch.get_num_threads()):
        for device in devices:
            (epoch if given.epoch else measure)(given, device)


if __name__ == "__main__":
    main()
