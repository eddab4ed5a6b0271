"""Two workers that train a network together beside one process: how fast, and how alike.

python -m benchmarks.ddp [--turns N]

All train the same steps on the same windows, turn by turn on this machine: one process on one
thread, one on two, and two workers on a thread each; the median turn counts, after a first one to
warm up. The gap is the largest difference of a refined coordinate between the first and the last
after that, beside how far training moved them. Dropout is off: each worker draws its own.
"""

import argparse
import statistics
import tempfile
import time
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from poise_models import catalogue
from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.team import ALONE, Team
from poise_models.base.trainer import Trainer
from poise_models.base.window_refiner import WindowRefiner

SPEC = PoseSpec(17, 3)
#: Name, settings and steps a turn: a small network, and two of full size.
NETWORKS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("poise", {"width": 32, "blocks": 1}, 20),
    ("smoothnet", {}, 4),
    ("synspp", {}, 4),
)
BATCH = 128
_WAIT = timedelta(minutes=10)


class Windows:
    """Random walks about a metre wide, with a neighbour each; noise is drawn anew."""

    def __init__(self, length: int, count: int) -> None:
        generator = torch.Generator().manual_seed(0)
        steps = torch.randn(count, length, SPEC.channels, generator=generator)
        self.truth_NTC = 0.01 * steps.cumsum(1)

    def __len__(self) -> int:
        return len(self.truth_NTC)

    def order(self, generator: torch.Generator) -> Tensor:
        """All windows, shuffled."""
        return torch.randperm(len(self), generator=generator)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Gather windows; the next one's truth is the neighbour."""
        truth_BTC = self.truth_NTC[index_B]
        noise_BTC = 0.02 * torch.randn(truth_BTC.shape, generator=generator)
        near_B1TC = self.truth_NTC[(index_B + 1) % len(self), None]
        return Batch(truth_BTC + noise_BTC, truth_BTC, near_B1TC, torch.ones(len(index_B), 1))


def trainer(name: str, settings: dict[str, Any], steps: int, team: Team) -> Trainer:
    """A fresh network without dropout before its windows."""
    torch.manual_seed(0)
    network = catalogue.build(name, SPEC, settings)
    assert isinstance(network, WindowRefiner)  # noqa: S101  (all are)
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    budget = Budget(epochs=1000, batch=BATCH, learning_rate=1e-4, scale=0.1)
    return Trainer(network, Windows(network.window, BATCH * steps), budget, 0, team)


def follow(place: str, turns: int) -> None:
    """Be the second worker of all trainings."""
    torch.set_num_threads(1)
    _join(place, 1)
    for network in NETWORKS:
        run = trainer(*network, Team(1, 2))
        for _ in range(turns + 1):
            distributed.barrier()  # waits without work while the others have their turn
            run.epoch()


def _join(place: str, rank: int) -> None:
    distributed.init_process_group("gloo", place, _WAIT, rank=rank, world_size=2)


def _turn(run: Trainer, threads: int) -> float:
    """Train an epoch; return its steps a second."""
    torch.set_num_threads(threads)
    if run.team.size > 1:
        distributed.barrier()
    start = time.perf_counter()
    run.epoch()
    return run.steps / (time.perf_counter() - start)


@torch.inference_mode()
def _refined(run: Trainer) -> Tensor:
    batch = run.source.batch(torch.arange(BATCH), torch.Generator().manual_seed(9))
    columns = batch.detected_BTC, batch.neighbours_BKTC, batch.distances_BK
    return run.network.eval().predict(*columns).poses_BTC


def compare(network: tuple[str, dict[str, Any], int], turns: int) -> str:
    """Train one network all three ways; return what to say of it."""
    name = network[0]
    teams = (ALONE, ALONE, Team(0, 2))
    runs = [trainer(*network, team) for team in teams]
    weights = sum(weight.numel() for weight in runs[0].network.parameters())
    fresh = _refined(runs[0])
    rates: list[list[float]] = []
    for turn in range(turns + 1):
        one = [_turn(run, threads) for run, threads in zip(runs, (1, 2, 1), strict=True)]
        print(f"{name} {turn}/{turns}: {', '.join(f'{rate:.2f}' for rate in one)} steps/s")
        rates += [one] if turn else []
    one, threads, two = (statistics.median(column) for column in zip(*rates, strict=True))
    seen = [_refined(run) for run in (runs[0], runs[2])]
    gap, moved = ((seen[0] - other).abs().max().item() for other in (seen[1], fresh))
    return (
        f"{name} ({weights:,} weights): one process {one:.2f} steps/s, on two threads "
        f"{threads:.2f} ({threads / one:.2f} x), two workers {two:.2f} ({two / one:.2f} x); "
        f"refined coordinates differ by at most {gap / moved:.1g} of what training moved them"
    )


def main() -> None:
    """Print a line for each turn, and one for each network at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    print(f"batches of {BATCH} windows; each line: one process, on two threads, two workers")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "meeting").as_uri()
        other = get_context("spawn").Process(target=follow, args=(place, turns), daemon=True)
        other.start()
        _join(place, 0)
        for said in [compare(network, turns) for network in NETWORKS]:
            print(said)
        other.kill()
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
