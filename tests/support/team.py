"""Networks trained by one process, or by a team of two, on the same windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from tests.support.small_refiners import SMALL, SPECS
from torch import Tensor, distributed, nn

from poise_models import catalogue
from poise_models.base.batch import Batch
from poise_models.base.budget import Budget
from poise_models.base.team import ALONE, Team
from poise_models.base.trainer import Trainer
from poise_models.base.window_refiner import WindowRefiner

SPEC = SPECS["3D"]
#: 33 windows are shared as 16 and 17; the whole source has 70.
BUDGET = Budget(epochs=2, batch=33, learning_rate=1e-3, clip=1.0, ema=0.9, scale=0.1)


class Windows:
    """70 windows of a random walk with neighbours; noise is drawn anew."""

    def __init__(self, length: int) -> None:
        size, channels = 70, SPEC.channels
        generator = torch.Generator().manual_seed(1)
        walk = torch.randn(size, length, channels, generator=generator, dtype=torch.float64)
        self.truth = walk.cumsum(1) / length
        self.near = self.truth.roll(1, 0)[:, None]
        self.distance = torch.rand(size, 1, generator=generator, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.truth)

    def order(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(self), generator=generator)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        truth = self.truth[index_B]
        noise = torch.randn(truth.shape, generator=generator, dtype=torch.float64)
        return Batch(truth + 0.1 * noise, truth, self.near[index_B], self.distance[index_B])


@dataclass(frozen=True)
class Trained:
    """What became of a network; ``apart``: how far its weights are from the team's mean."""

    losses: list[float]
    weights: dict[str, Tensor]
    apart: float


def trainer_of(name: str, team: Team = ALONE) -> Trainer:
    """A network without dropout, in double precision."""
    torch.manual_seed(0)
    network = catalogue.build(name, SPEC, SMALL.get(name, {}))
    assert isinstance(network, WindowRefiner)
    for part in network.double().modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        elif isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    return Trainer(network, Windows(network.window), BUDGET, 0, team)


def train(name: str, team: Team = ALONE) -> Trained:
    """Train a network to the end of its budget."""
    run = trainer_of(name, team)
    losses = [run.epoch() for _ in range(BUDGET.epochs)]
    weights = {key: weight.detach() for key, weight in run.network.state_dict().items()}
    apart = max(float((team.mean(weight) - weight).abs().max()) for weight in weights.values())
    return Trained(losses, weights, apart)


def follow(place: str, names: Sequence[str]) -> None:
    """Be the second of two processes that train some networks, one after another."""
    torch.set_num_threads(1)
    join(place, 1)
    for name in names:
        train(name, Team(1, 2))


def join(place: str, rank: int) -> None:
    """Join the process group of two."""
    wait = timedelta(minutes=4)
    distributed.init_process_group("gloo", place, wait, rank=rank, world_size=2)
