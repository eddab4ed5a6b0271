"""Two processes that share every batch end in the weights of one."""

from multiprocessing import get_context

import pytest
import torch
from tests.support.small_refiners import NETWORKS, SPECS
from tests.support.small_refiners import network as network_of
from tests.support.team import Trained, follow, join, train, trainer_of
from torch import distributed

from poise_models.base.batch import Batch
from poise_models.base.team import Team
from poise_models.errors import ConfigError

SINGLE = [name for name in NETWORKS if network_of(name, SPECS["3D"]).views == 1]
#: Their losses draw something, or choose the worst channels, for each share by itself.
BY_SHARE = ("gfpose", "hanet", "general")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """All networks, trained by this process and another."""
    place = (tmp_path_factory.mktemp("team") / "meeting").as_uri()
    other = get_context("spawn").Process(target=follow, args=(place, SINGLE), daemon=True)
    other.start()
    join(place, 0)
    found = {name: train(name, Team(0, 2)) for name in SINGLE}
    other.kill()
    distributed.destroy_process_group()
    return found


@pytest.mark.parametrize("name", SINGLE)
def test_two_processes_end_in_the_weights_of_one(together: dict[str, Trained], name: str) -> None:
    two = together[name]
    assert two.apart < 1e-12
    if name not in BY_SHARE:
        one = train(name)
        assert two.losses == pytest.approx(one.losses, rel=1e-6)
        torch.testing.assert_close(two.weights, one.weights, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_shares_are_all_of_a_batch_and_weigh_what_they_hold(size: int) -> None:
    truth = torch.arange(20.0).view(20, 1, 1)
    whole = Batch.without_neighbours(truth, truth)
    shares = [Team(rank, size).share(whole) for rank in range(size)]
    assert torch.equal(torch.cat([part.truth_BTC for part, _ in shares]), truth)
    mean = sum(weight * float(part.truth_BTC.mean()) for part, weight in shares) / size
    assert mean == pytest.approx(float(truth.mean()))


def test_what_a_worker_draws_is_its_own_and_the_same_each_time() -> None:
    drawn = []
    for rank, step in ((1, 0), (1, 1), (2, 0), (1, 0)):
        Team(rank, 3).seed_own(7, step)
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == 3
    assert drawn[0] == drawn[3]


def test_a_batch_that_leaves_somebody_without_a_window_is_refused() -> None:
    with pytest.raises(ConfigError, match="a batch of 33 windows cannot be shared by 34 workers"):
        trainer_of("smoothnet", Team(0, 34))
