"""How the learning rate goes from the first step of a budget to the last."""

import pytest

from poise_models.base.budget import Budget
from poise_models.base.optimiser import learning_rate

STEPS = 5


def rates(budget: Budget) -> list[float]:
    return [
        learning_rate(budget, epoch, step / STEPS)
        for epoch in range(budget.epochs)
        for step in range(STEPS)
    ]


def test_a_cosine_rises_and_falls_to_its_floor() -> None:
    found = rates(Budget(epochs=10, schedule="cosine", warm_up=0.2, floor=0.1))
    assert found[0] < 0.05e-3
    assert max(found) == max(found[8:12])
    assert 0.1e-3 < found[-1] < 0.11e-3


def test_steps_fall_by_the_decay_after_every_epoch() -> None:
    found = rates(Budget(epochs=3, learning_rate=0.01, decay=0.5))
    assert found == pytest.approx([0.01] * STEPS + [0.005] * STEPS + [0.0025] * STEPS)
