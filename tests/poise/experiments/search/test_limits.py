"""The hours of a search are counted over all its submissions."""

from pathlib import Path

import pytest

from poise.experiments.records import SweepFolder
from poise.experiments.search.limits import Limits
from poise.experiments.space import SearchPart

SPACE = {"budget": {"learning_rate": {"choice": [0.1, 0.2]}}}


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("limit", "gpus", "said"),
    [("hours", 0.0, "2 hours are over"), ("gpu_hours", 0.5, "2 GPU hours are over")],
)
def test_hours_end_a_search_also_in_its_second_submission(
    tmp_path: Path, limit: str, gpus: float, said: str
) -> None:
    search = SearchPart.model_validate({limit: 2, "space": SPACE})
    sweep, clock = SweepFolder(str(tmp_path)), Clock()
    hours = 2.0 if limit == "hours" else 4.0
    first = Limits(sweep, search, clock)
    first.begin()
    clock.now += 3600 * hours * 0.75
    first.tick(gpus)
    assert not first.stop_all()

    clock.now += 3600 * 50  # nobody searches
    second = Limits(sweep, search, clock)
    second.begin()
    assert not second.spent
    clock.now += 3600 * hours * 0.25
    second.tick(gpus)
    assert second.stop_all()
    assert said in second.spent
    assert said in Limits(sweep, search, clock).spent
    raised = SearchPart.model_validate({limit: 3, "space": SPACE})
    assert not Limits(sweep, raised, clock).spent
