"""Processes that train one network together, each on its share of every batch.

They take the same steps: all draw the whole batch, and its augmentation, from the same random
numbers, each runs the network on its share, and the gradients are averaged as those of the whole
batch would be. So the weights are those of one process, up to rounding, and they are the same in
all. What a network draws or chooses within its loss (dropout, GFPose's noise, the joint that the
general network looks at, SynSP's random partners, HANet's worst channels) is of each share by
itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from poise_models.base.batch import Batch
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError


@dataclass(frozen=True)
class Team:
    """One process among ``size``; the default process group of torch holds them all.

    Attributes:
        rank: of this process. The first decides for all.
    """

    rank: int = 0
    size: int = 1

    def check(self, windows: int) -> None:
        """Raise `ConfigError` where a batch of so many windows leaves somebody without one."""
        if windows < self.size:
            raise ConfigError(
                f"a batch of {windows} windows cannot be shared by {self.size} workers: make the "
                "batch larger, or take fewer"
            )

    def loss_of(self, network: WindowRefiner) -> Callable[[Batch], Tensor]:
        """Return the network's loss of a share; its gradients are averaged over all shares."""
        if self.size == 1:
            return network.loss
        # One machine's GPUs are told apart by the environment, so each process knows one device.
        return DistributedDataParallel(_LossOf(network), forward_sync_buffers=False)

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """Return this process's windows of a batch, and what its mean loss counts for.

        That is 1 where all shares are alike: the plain mean over processes of losses so weighted
        is the mean over the windows.
        """
        if self.size == 1:
            return batch, 1.0
        windows = len(batch.detected_BTC)
        first = windows * self.rank // self.size
        end = windows * (self.rank + 1) // self.size
        columns = {one.name: getattr(batch, one.name)[first:end] for one in fields(batch)}
        return Batch(**columns), (end - first) * self.size / windows

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.size == 1:
            return value
        total = value.clone()
        distributed.all_reduce(total)
        return total / self.size

    def decided(self, wish: bool, device: torch.device) -> bool:
        """Return what the first process wishes."""
        if self.size == 1:
            return wish
        flag = torch.tensor(int(wish), device=device)
        distributed.broadcast(flag, 0)
        return bool(flag)

    def seed_own(self, seed: int, step: int) -> None:
        """Let what a network draws by itself in a step differ from the other processes'."""
        if self.rank:
            torch.manual_seed(hash((seed, step, self.rank)))


class _LossOf(nn.Module):
    """A network whose forward pass is its loss, as data-parallel training wants it."""

    def __init__(self, network: WindowRefiner) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        """Return the training loss of a batch."""
        return self.network.loss(batch)


#: One process alone.
ALONE = Team()
