"""The training loop: deterministic, resumable, and honest about what is not finite."""

from typing import Any

import pytest
import torch
from torch import Tensor

from poise_models import catalogue
from poise_models.base.augmentation import augmented
from poise_models.base.batch import Batch
from poise_models.base.budget import Budget, Schedule
from poise_models.base.optimiser import learning_rate
from poise_models.base.pose_spec import LeftRightFlip, PoseSpec
from poise_models.base.trainer import Trainer
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import ConfigError, NonFiniteLossError

SPEC = PoseSpec(3, 3, flip=LeftRightFlip((0, 2, 1), 1))
#: The least of the networks that draw by chance (dropout).
SETTINGS = {"window": 8, "hidden": 32, "residual": 16, "blocks": 1}


class Windows:
    """100 windows of a random walk, detected with an offset and noise drawn anew."""

    def __init__(self) -> None:
        self.truth = torch.randn(100, 8, 9, generator=torch.Generator().manual_seed(1)).cumsum(1)

    def __len__(self) -> int:
        return len(self.truth)

    def order(self, generator: torch.Generator) -> Tensor:
        return torch.randperm(len(self), generator=generator)

    def batch(self, index_B: Tensor, generator: torch.Generator) -> Batch:
        truth = self.truth[index_B]
        detected = truth + 0.2 + 0.05 * torch.randn(truth.shape, generator=generator)
        return Batch.without_neighbours(detected, truth)


def trainer(budget: Budget, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    network = catalogue.build("smoothnet", SPEC, SETTINGS)
    assert isinstance(network, WindowRefiner)
    return Trainer(network, Windows(), budget, seed)


BUDGET = Budget(epochs=4, batch=20, learning_rate=1e-3)


def test_loss_falls_and_budget_ends() -> None:
    run = trainer(Budget(epochs=20, batch=20))
    losses = [run.epoch() for _ in range(20)]
    assert run.done
    assert losses[-1] < 0.7 * losses[0]


def test_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    first, second, third = trainer(BUDGET), trainer(BUDGET), trainer(BUDGET, seed=1)
    losses = [[run.epoch() for _ in range(3)] for run in (first, second, third)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_a_resumed_training_ends_in_the_very_same_weights(schedule: Schedule) -> None:
    budget = Budget(epochs=4, batch=20, schedule=schedule, scale=0.1, mirror=True)
    whole = trainer(budget)
    for _ in range(4):
        whole.epoch()
    cut = trainer(budget)
    cut.epoch()
    cut.epoch()
    resumed = trainer(budget, seed=0)
    resumed.load_state({name: value.clone() for name, value in cut.state().items()})
    while not resumed.done:
        resumed.epoch()
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, resumed.network.state_dict()[name]), name


def test_a_training_cut_after_any_step_ends_in_the_very_same_weights() -> None:
    budget = Budget(epochs=3, batch=20, clip=0.5, ema=0.9, optimiser="amsgrad", scale=0.1)
    whole = trainer(budget)
    losses = [whole.epoch() for _ in range(3)]
    run, resumed_losses = trainer(budget), []
    while not run.done:
        loss = run.advance(seconds=0.0)
        resumed_losses += [] if loss is None else [loss]
        state = {name: value.clone() for name, value in run.state().items()}
        torch.rand(7)  # someone else draws in between
        run = trainer(budget)
        run.load_state(state)
    assert resumed_losses == losses
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, run.network.state_dict()[name]), name


def test_the_averaged_weights_are_the_mean_over_the_last_steps() -> None:
    """With decay 0.5 the average is half the newest weights, a quarter of those before, ..."""
    run = trainer(Budget(epochs=1, batch=20, ema=0.5))
    name, weight = next(iter(run.network.named_parameters()))
    expected, seen = weight.detach().clone(), []
    while run.advance(seconds=0.0) is None:
        seen.append(weight.detach().clone())
    last = run.state()["other.0"]
    for trained in (*seen, last):
        expected = 0.5 * expected + 0.5 * trained
    torch.testing.assert_close(run.network.state_dict()[name], expected)
    assert not torch.equal(last, expected)


@pytest.mark.parametrize("change", [{"bf16": True}, {"optimiser": "adamw"}, {"clip": 0.1}])
def test_every_way_to_train_learns(change: dict[str, Any]) -> None:
    run = trainer(Budget(epochs=15, batch=20, **change))
    losses = [run.epoch() for _ in range(15)]
    assert losses[-1] < 0.8 * losses[0]
    assert all(p.dtype == torch.float32 for p in run.network.parameters())


def test_clipping_bounds_what_a_wild_batch_does() -> None:
    moved = []
    for clip in (None, 1e-6):
        run = trainer(Budget(epochs=1, batch=100, clip=clip))
        run.optimiser = torch.optim.SGD(run.network.parameters(), lr=1.0)
        before = [p.detach().clone() for p in run.network.parameters()]
        run.epoch()
        steps = zip(run.network.parameters(), before, strict=True)
        moved.append(sum(float((p - old).detach().square().sum()) for p, old in steps) ** 0.5)
    assert moved[0] > 1e-4
    assert moved[1] < 1.01e-9


def test_every_step_has_its_rate_and_its_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(epochs=2, batch=20, schedule="cosine", warm_up=0.2, mirror=True)
    run, shown, rates = trainer(budget), list[Batch](), list[float]()
    loss = run.network.loss

    def watched(batch: Batch) -> Tensor:
        shown.append(batch)
        rates.append(run.optimiser.param_groups[0]["lr"])
        return loss(batch)

    monkeypatch.setattr(run.network, "loss", watched)
    run.epoch()
    assert rates == [learning_rate(budget, 0, step / 5) for step in range(5)]
    generator = torch.Generator().manual_seed(torch.initial_seed())
    order = run.source.order(generator)
    for step, batch in enumerate(shown):
        plain = run.source.batch(order[20 * step : 20 * step + 20], generator)
        expected = augmented(plain, budget, SPEC, generator)
        assert torch.equal(batch.truth_BTC, expected.truth_BTC)
        assert not torch.equal(batch.truth_BTC, plain.truth_BTC)


@pytest.mark.slow
def test_a_compiled_loss_is_the_same_loss() -> None:
    losses = []
    for fused in (False, True):
        torch.manual_seed(0)
        network = catalogue.build("smoothnet", SPEC, SETTINGS | {"dropout": 0.0})
        assert isinstance(network, WindowRefiner)
        budget = Budget(epochs=2, batch=20, compile=fused)
        run = Trainer(network, Windows(), budget, 0)
        losses.append([run.epoch(), run.epoch()])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    run = trainer(Budget(epochs=50, batch=20, learning_rate=1e30))
    with pytest.raises(NonFiniteLossError, match="learning_rate"):
        _all_epochs(run)


def _all_epochs(run: Trainer) -> None:
    while not run.done:
        run.epoch()


def test_budgets_that_make_no_sense_are_refused() -> None:
    for bad in ({"epochs": 0}, {"batch": 0}, {"decay": 0.0}, {"schedule": "x"}, {"scale": 1.0}):
        with pytest.raises(ConfigError):
            Budget(**bad)


def test_a_flip_needs_a_lateral_axis() -> None:
    network = catalogue.build("smoothnet", PoseSpec(3, 3), SETTINGS)
    assert isinstance(network, WindowRefiner)
    with pytest.raises(ConfigError, match="lateral"):
        Trainer(network, Windows(), Budget(mirror=True), 0)
