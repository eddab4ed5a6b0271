"""Left and right: the reflection of poses that swaps people's sides."""

import torch

from poise_models.base.pose_spec import LeftRightFlip

FLIP = LeftRightFlip((0, 2, 1), 1)


def test_a_flip_undoes_itself_and_keeps_every_distance() -> None:
    poses = torch.randn(5, 8, 9, generator=torch.Generator().manual_seed(0))
    flipped = FLIP(poses)
    assert torch.equal(FLIP(flipped), poses)
    joints, other = poses.unflatten(-1, (3, 3)), flipped.unflatten(-1, (3, 3))[..., [0, 2, 1], :]
    torch.testing.assert_close(torch.cdist(joints, joints), torch.cdist(other, other))


def test_a_flip_turns_its_axis_only() -> None:
    pose = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 9])
    assert FLIP(pose).tolist() == [1, -2, 3, 7, -8, 9, 4, -5, 6]
