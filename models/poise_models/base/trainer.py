"""The training loop of every network, resumable to the exact step, without any I/O.

The caller runs `Trainer.epoch` (or `Trainer.advance`, which pauses) until `Trainer.done`, and keeps
`Trainer.state` wherever it likes. Randomness is seeded anew every epoch from (seed, epoch)
and its state is part of the trainer's, so a training that was cut off and resumed ends in the very
weights of one that was not.
"""

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from poise_models.base.augmentation import augmented
from poise_models.base.batch import Batch, WindowSource
from poise_models.base.budget import Budget
from poise_models.base.optimiser import learning_rate, optimiser
from poise_models.base.team import ALONE, Team
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError, NonFiniteLossError

#: Steps between two checks of the loss: every check waits for a GPU to catch up.
_CHECK_EVERY = 50


class Trainer:
    """One network, its optimiser, and where they are in the budget.

    The processes of a team each have one, with the same arguments, and call the same methods.
    """

    def __init__(
        self,
        network: WindowRefiner,
        source: WindowSource,
        budget: Budget,
        seed: int,
        team: Team = ALONE,
    ) -> None:
        team.check(min(budget.batch, len(source)))
        if budget.mirror and network.spec.flip is None:
            raise ConfigError(
                "mirror: nobody has said which axis of these poses runs from right to left; say "
                "`lateral` in the data set's file, or leave mirror out of the budget"
            )
        if budget.heading and network.spec.up is None:
            raise ConfigError(
                "heading: nobody has said which axis of these poses is vertical; say `up` in the "
                "data set's file, or leave heading out of the budget"
            )
        self.network = network
        self.source = source
        self.budget = budget
        self.seed = seed
        self.team = team
        self.device = network.device
        self.epochs_done = 0
        self.steps_done = 0  # of the epoch under way
        self.optimiser = optimiser(network, budget)
        whole = max(len(source) // budget.batch, 1)
        self.steps = min(budget.steps_per_epoch or whole, whole)
        self._loss: Callable[[Batch], Tensor] | None = None
        self._generator = torch.Generator(self.device)
        self._order: Tensor | None = None
        self._total = torch.zeros((), device=self.device)
        # The other weights: the average while training, the trained ones between epochs.
        self._other = [p.detach().clone() for p in network.parameters()] if budget.ema else []

    @property
    def done(self) -> bool:
        """Whether the budget's epochs are used up."""
        return self.epochs_done >= self.budget.epochs

    def epoch(self) -> float:
        """Train to the end of the epoch and return its mean loss.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite; the weights are worthless.
        """
        mean = self.advance()
        assert mean is not None  # noqa: S101  (nothing paused it)
        return mean

    def advance(self, seconds: float = math.inf) -> float | None:
        """Train for some time; return the epoch's mean loss where it ended, else None.

        Raises:
            NonFiniteLossError: the loss became NaN or infinite; the weights are worthless.
        """
        end = time.monotonic() + seconds
        if self.steps_done == 0:
            self._begin()
        order = self._shuffled()
        self.network.train()
        while self.steps_done < self.steps:
            start = self.steps_done * self.budget.batch
            self._step(order[start : start + self.budget.batch])
            self.steps_done += 1
            if self.steps_done % _CHECK_EVERY == 0:
                self._check_loss()
            elif self.team.size > 1:  # to agree on a pause takes time
                continue
            over = self.team.decided(time.monotonic() >= end, self.device)
            if over and self.steps_done < self.steps:
                self._total = self.team.mean(self._total)
                return None
        return self._finish()

    def state(self) -> dict[str, Tensor]:
        """All tensors needed to go on: weights, moments, random states, epochs and steps done."""
        state = {f"weights.{k}": v for k, v in self.network.state_dict().items()}
        state |= {f"other.{number}": weight for number, weight in enumerate(self._other)}
        for which, moments in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{which}.{key}": value for key, value in moments.items()}
        state["epochs_done"] = torch.tensor(self.epochs_done)
        state["steps_done"] = torch.tensor(self.steps_done)
        if self.steps_done:
            state["total"] = self._total
            state["random.generator"] = self._generator.get_state()
            state["random.cpu"] = torch.get_rng_state()
            if self.device.type == "cuda":
                state["random.cuda"] = torch.cuda.get_rng_state(self.device)
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
        for place, weight in enumerate(self._other):
            weight.copy_(state[f"other.{place}"])
        self.epochs_done = int(state["epochs_done"])
        self.steps_done = int(state["steps_done"])
        if self.steps_done:
            self._resume(state)

    @property
    def _epoch_seed(self) -> int:
        return self.seed * 1_000_003 + self.epochs_done

    def _begin(self) -> None:
        self._seed()
        self._order = self.source.order(self._generator)
        self._total.zero_()
        if self.epochs_done:
            self._swap()

    def _resume(self, state: Mapping[str, Tensor]) -> None:
        self._seed()
        self._order = self.source.order(self._generator)
        self._total = state["total"].to(self.device)
        self._generator.set_state(state["random.generator"].cpu())
        torch.set_rng_state(state["random.cpu"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random.cuda"].cpu(), self.device)

    def _seed(self) -> None:
        torch.manual_seed(self._epoch_seed)
        self._generator.manual_seed(self._epoch_seed)

    def _shuffled(self) -> Tensor:
        assert self._order is not None  # noqa: S101  (drawn when the epoch began)
        return self._order

    def _step(self, index_B: Tensor) -> None:
        budget = self.budget
        rate = learning_rate(budget, self.epochs_done, self.steps_done / self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = self.source.batch(index_B, self._generator)
        batch = augmented(batch, budget, self.network.spec, self._generator)
        batch, weight = self.team.share(batch)
        self.team.seed_own(self._epoch_seed, self.steps_done)
        if self._loss is None:  # not before weights were loaded, which the team has from its first
            loss_of = self.team.loss_of(self.network)
            self._loss = torch.compile(loss_of) if budget.compile else loss_of
        with torch.autocast(self.device.type, torch.bfloat16, enabled=budget.bf16):
            loss = self._loss(batch) * weight
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if budget.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), budget.clip)
        self.optimiser.step()
        if self._other:
            with torch.no_grad():
                weights: list[Tensor] = list(self.network.parameters())
                torch._foreach_lerp_(self._other, weights, 1 - budget.ema)
        self._total += loss.detach()

    def _finish(self) -> float:
        self._check_loss()
        mean = float(self.team.mean(self._total)) / self.steps
        self._swap()
        self.epochs_done += 1
        self.steps_done = 0
        return mean

    def _check_loss(self) -> None:
        total = float(self.team.mean(self._total))
        if not math.isfinite(total):
            raise NonFiniteLossError(
                f"{self.network.name}: loss is {total} in epoch {self.epochs_done + 1}; "
                f"lower learning_rate ({self.budget.learning_rate:g}), or set clip"
            )

    def _swap(self) -> None:
        with torch.no_grad():
            for weight, other in zip(self.network.parameters(), self._other, strict=False):
                held = weight.clone()
                weight.copy_(other)
                other.copy_(held)
