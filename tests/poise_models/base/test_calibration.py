"""A person's constant: by hand, without any clip, with very many, and what it leaves alone."""

import pytest
import torch
from torch import Tensor

from poise_models.base.calibration import USUAL, Calibration, Spread, mean_error
from poise_models.base.pose_spec import PoseSpec

ROOTED = PoseSpec(joints=3, dims=1, roots=(0,))
FREE = PoseSpec(joints=2, dims=2, roots=(), centre=False)
HIPS = PoseSpec(joints=4, dims=3, roots=(0, 1))
SPECS = {"one root": ROOTED, "no root": FREE, "two roots": HIPS}
every_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def relative(poses_XC: Tensor, spec: PoseSpec) -> Tensor:
    """Poses as they are scored."""
    poses_XJD: Tensor = poses_XC.unflatten(-1, (spec.joints, spec.dims))
    if spec.roots:
        poses_XJD = poses_XJD - poses_XJD[..., list(spec.roots), :].mean(-2, keepdim=True)
    return poses_XJD


def test_shares_by_hand() -> None:
    assert Spread(people=2.0, clips=6.0).share(3) == 0.5
    assert Spread(people=2.0, clips=6.0).share(0) == 0
    assert Spread(people=0.0, clips=0.0).share(4) == 0
    assert Spread(people=1.0, clips=0.0).share(1) == 1


def test_a_root_is_moved_and_joints_are_drawn_by_hand() -> None:
    """The others are off by 3 on average: half of it moves the root; a quarter of +-1 is left."""
    by_halves = Calibration(shift=Spread(1.0, 2.0), joints=Spread(1.0, 6.0))
    errors_KC = torch.tensor([[0.0, 1.0, 3.0], [0.0, 3.0, 5.0]])
    constant_C = by_halves.constant(errors_KC, ROOTED)
    torch.testing.assert_close(constant_C, torch.tensor([-1.5, -0.25, 0.25]))


def test_without_a_root_all_joints_move_by_hand() -> None:
    by_halves = Calibration(shift=Spread(1.0, 1.0), joints=Spread(1.0, 3.0))
    errors_KC = torch.tensor([[1.0, 10.0, 3.0, 30.0]])
    constant_C = by_halves.constant(errors_KC, FREE)
    torch.testing.assert_close(constant_C, torch.tensor([0.75, 7.5, 1.25, 12.5]))


def test_constants_are_drawn_to_the_training_people_by_hand() -> None:
    """Seen from the root: half of 7 is the training people's 6, half is what this person has."""
    drawn = Calibration(Spread(1.0, 1.0), Spread(0.0, 1.0), mean_C=torch.tensor([0.0, 6.0, 6.0]))
    constant_C = drawn.constant(torch.tensor([[0.0, 7.0, 9.0]]), ROOTED)
    torch.testing.assert_close(relative(constant_C, ROOTED)[:, 0], torch.tensor([0.0, 7.0, 7.0]))


@every_spec
def test_no_clip_changes_nothing_and_many_give_the_mean(spec: PoseSpec) -> None:
    errors_KC = relative(torch.randn(4, spec.channels), spec).flatten(1)
    drawn = Calibration(USUAL.shift, USUAL.joints, mean_C=torch.randn(spec.channels))
    assert not drawn.constant(errors_KC[:0], spec).any()
    many = drawn.constant(errors_KC.repeat(100_000, 1), spec)
    torch.testing.assert_close(
        relative(many, spec).flatten(), errors_KC.mean(0), atol=1e-3, rtol=1e-3
    )


@every_spec
def test_learns_how_far_people_and_their_clips_lie_apart(spec: PoseSpec) -> None:
    torch.manual_seed(0)
    people = {}
    for person in range(300):
        own_JD = 2.0 * torch.randn(spec.dims) + 0.5 * torch.randn(spec.joints, spec.dims)
        each_KJD = torch.randn(6, 1, spec.dims) + 3.0 * torch.randn(6, spec.joints, spec.dims)
        own_JD[list(spec.roots)] = 0
        each_KJD[:, list(spec.roots)] = 0
        people[str(person)] = list((own_JD + each_KJD).flatten(1))
    learnt = Calibration.of(people, spec)
    others = spec.joints - len(spec.roots)
    rest = 1 - 1 / others  # of the joints' own variance, without what their mean takes along
    assert learnt.shift.people == pytest.approx(4 + 0.25 / others, rel=0.2)
    assert learnt.shift.clips == pytest.approx(1 + 9 / others, rel=0.1)
    assert learnt.joints.people == pytest.approx(0.25 * rest, abs=0.15)
    assert learnt.joints.clips == pytest.approx(9 * rest, rel=0.1)


@pytest.mark.parametrize("people", [{"S1": 5}, {"S1": 1, "S2": 1}])
def test_where_nothing_can_be_learnt_spreads_are_the_usual(people: dict[str, int]) -> None:
    errors = {name: list(torch.randn(count, 3)) for name, count in people.items()}
    learnt = Calibration.of(errors, ROOTED)
    assert (learnt.shift, learnt.joints) == (USUAL.shift, USUAL.joints)


def test_a_mean_error_is_relative_to_the_root_and_passes_by_what_is_not_known() -> None:
    truth_FC = torch.randn(40, 3)
    wandering_F1 = torch.randn(40, 1)
    refined_FC = truth_FC + torch.tensor([0.0, 2.0, -1.0]) + wandering_F1
    truth_FC[5:, 1] = torch.nan
    wanted_C = torch.tensor([0.0, 2.0, -1.0])
    torch.testing.assert_close(mean_error(refined_FC, truth_FC, ROOTED), wanted_C)
    truth_FC[:, 2] = torch.nan
    unknown_C = mean_error(refined_FC, truth_FC, ROOTED)
    assert unknown_C.isnan().tolist() == [False, False, True]
    assert USUAL.constant(unknown_C[None], ROOTED).isfinite().all()
