"""The training loop of every network, an epoch at a time, without any I/O.

Whoever trains calls `Trainer.epoch` as long as it likes and keeps `Trainer.state` wherever it
likes. Randomness is seeded anew every epoch from (seed, epoch), so a training that was cut off and
resumed ends in the very weights of one that was not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from poise_models.errors import ConfigError, NonFiniteLossError
from poise_models.refiner import Batch, WindowRefiner

#: Share of a cosine schedule in which the learning rate rises from zero.
WARM_UP = 0.1


class WindowSource(Protocol):
    """Training windows on the device, gathered by index."""

    def __len__(self) -> int:
        """Number of windows."""

    def order(self, generator: torch.Generator) -> Tensor:
        """Numbers of all windows in the order of an epoch: every one once, shuffled."""

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        """Windows by number; random choices (neighbour, noise) draw from ``generator``."""


@dataclass(frozen=True)
class Budget:
    """How long and how fast to train; the defaults are the paper's.

    Attributes:
        epochs: passes over the data (or over ``steps_per_epoch`` batches).
        batch: windows a step.
        steps_per_epoch: None takes every window once an epoch.
        learning_rate: Adam's; decayed by ``decay`` after every epoch.
        schedule: ``step`` is the paper's decay; ``cosine`` goes to zero over all steps after a
            short warm-up, which short budgets want.
        scale: windows are scaled by a factor from [1 - scale, 1 + scale] (0 = off).
        mirror: every other window, by chance, has left and right swapped.
    """

    epochs: int = 30
    batch: int = 6000
    steps_per_epoch: int | None = None
    learning_rate: float = 1e-3
    decay: float = 0.9
    schedule: str = "step"
    scale: float = 0.0
    mirror: bool = False

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch) < 1 or (self.steps_per_epoch or 1) < 1:
            raise ConfigError("epochs, batch and steps_per_epoch must be at least 1")
        if self.learning_rate <= 0 or not 0 < self.decay <= 1:
            raise ConfigError("learning_rate must be positive and decay lie in (0, 1]")
        if self.schedule not in ("step", "cosine"):
            raise ConfigError(f"schedule must be step or cosine, not {self.schedule!r}")
        if not 0 <= self.scale < 1:
            raise ConfigError("scale must lie in [0, 1)")


class Trainer:
    """One network, its optimiser, and where they are in the budget."""

    def __init__(
        self, network: WindowRefiner, source: WindowSource, budget: Budget, seed: int
    ) -> None:
        if budget.mirror and network.spec.mirror is None:
            raise ConfigError(
                "mirror: nobody has said which axis of these poses runs from right to left; say "
                "`lateral` in the data set's file, or leave mirror out of the budget"
            )
        self.network = network
        self.source = source
        self.budget = budget
        self.seed = seed
        self.epochs_done = 0
        self.optimiser = torch.optim.Adam(network.parameters(), lr=budget.learning_rate)
        whole = max(len(source) // budget.batch, 1)
        self.steps = min(budget.steps_per_epoch or whole, whole)

    @property
    def done(self) -> bool:
        """Whether the budget's epochs are used up."""
        return self.epochs_done >= self.budget.epochs

    def epoch(self) -> float:
        """Train one epoch and return its mean loss.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite; the weights are worthless.
        """
        device = next(self.network.parameters()).device
        torch.manual_seed(self.seed * 1_000_003 + self.epochs_done)
        generator = torch.Generator(device).manual_seed(torch.initial_seed())
        order = self.source.order(generator)
        total = torch.zeros((), device=device)
        self.network.train()
        for step in range(self.steps):
            self._set_learning_rate(step)
            index_B = order[step * self.budget.batch : (step + 1) * self.budget.batch]
            batch = self._augmented(self.source.batch(index_B, generator), generator)
            loss = self.network.loss(batch)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            total += loss.detach()
        mean = float(total) / self.steps
        if not math.isfinite(mean):
            raise NonFiniteLossError(
                f"{self.network.name}: loss is {mean} in epoch {self.epochs_done + 1}; "
                f"lower learning_rate ({self.budget.learning_rate:g})"
            )
        self.epochs_done += 1
        return mean

    def state(self) -> dict[str, Tensor]:
        """All tensors needed to go on: weights, Adam's moments, epochs done."""
        state = {f"weights.{k}": v for k, v in self.network.state_dict().items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{number}.{key}": value for key, value in moments.items()}
        state["epochs_done"] = torch.tensor(self.epochs_done)
        return state

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned for the same network and budget."""
        prefix = "weights."
        self.network.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in state.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".")
                moments.setdefault(int(number), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.epochs_done = int(state["epochs_done"])

    def _augmented(self, batch: Batch, generator: torch.Generator) -> Batch:
        if not self.budget.scale and not self.budget.mirror:
            return batch
        poses_PBTC = torch.stack([batch.detected_BTC, batch.truth_BTC, batch.neighbour_BTC])
        if self.budget.scale:
            factor_B11 = 1 + self.budget.scale * (2 * self._draw(batch, generator) - 1)
            poses_PBTC = poses_PBTC * factor_B11
        if self.budget.mirror and (mirror := self.network.spec.mirror) is not None:
            swapped_B11 = self._draw(batch, generator) < 0.5
            poses_PBTC = torch.where(swapped_B11, mirror(poses_PBTC), poses_PBTC)
        detected_BTC, truth_BTC, neighbour_BTC = poses_PBTC
        return Batch(detected_BTC, truth_BTC, neighbour_BTC, batch.distance_B)

    @staticmethod
    def _draw(batch: Batch, generator: torch.Generator) -> Tensor:
        size = (len(batch.distance_B), 1, 1)
        return torch.rand(size, generator=generator, device=batch.distance_B.device)

    def _set_learning_rate(self, step: int) -> None:
        budget = self.budget
        if budget.schedule == "step":
            rate = budget.learning_rate * budget.decay**self.epochs_done
        else:
            progress = (self.epochs_done + step / self.steps) / budget.epochs
            warm_up = min(max(progress, 1e-3) / WARM_UP, 1.0)
            rate = budget.learning_rate * warm_up * (1 + math.cos(math.pi * progress)) / 2
        for group in self.optimiser.param_groups:
            group["lr"] = rate
