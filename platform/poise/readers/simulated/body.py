"""What an estimator's errors know of a body: sides, limbs, and what is far from the root."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from poise.catalog.tracks import SIMULATED_SKELETON
from poise.runtime.errors import TrackError
from poise_retrieval.geometry.skeletons import Skeleton

#: How much further off than a knee each joint is, either side.
_REACH = {
    "pelvis": 0.3,
    "hip": 0.3,
    "knee": 1.0,
    "ankle": 1.4,
    "spine": 0.5,
    "thorax": 0.7,
    "neck": 0.8,
    "head": 0.9,
    "shoulder": 0.8,
    "elbow": 1.2,
    "wrist": 1.6,
}
_SIDES = ("left_", "right_")
_LEG, _ARM = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")


class Body:
    """A skeleton's joints by what goes wrong together.

    Shape letters: J joints, P parts that swap sides, L limbs.

    Attributes:
        reach_J: how much further off a joint is than a knee.
        other_J: each joint's counterpart on the other side, or itself.
        parts_PJ: legs, arms, and all joints.
        limbs_LJ: of each limb, the joints that move about its first one.
        base_J: the first joint of a joint's limb; the joint itself where it is of none.
        parents_J: towards the root, which is its own.
        chain_JJ: 1 where the bone to a column's joint is on the way from the root to a row's.
        apart_JJ: bones from a column's joint out to a row's; infinite where it is not on the way.
        is_limb_J: 1 for the joints of limbs but their first ones.
        side_J: of a joint's offsets along left-right, 1 on the left, -1 on the right, 0 between.
    """

    def __init__(self, skeleton: Skeleton, device: torch.device | str = "cpu") -> None:
        """Sort a skeleton's joints; raise `TrackError` for another than h36m17."""
        if skeleton.name != SIMULATED_SKELETON:
            raise TrackError(
                f"errors are simulated for the skeleton {SIMULATED_SKELETON}, not {skeleton.name}"
            )
        names = skeleton.joints
        kinds = [_kind(name) for name in names]
        limbs = [
            [names.index(side + kind) for kind in limb] for limb in (_LEG, _ARM) for side in _SIDES
        ]
        parents, base = list(range(len(names))), list(range(len(names)))
        for parent, child in skeleton.edges:
            parents[child] = parent
        for first, *others in limbs:
            for joint in others:
                base[joint] = first
        every = list(range(len(names)))
        self.reach_J = torch.tensor([_REACH[kind] for kind in kinds], device=device)
        self.other_J = torch.tensor([names.index(_other(name)) for name in names], device=device)
        parts = [limbs[0] + limbs[1], limbs[2] + limbs[3], every]
        self.parts_PJ = _members(parts, len(names)).to(device)
        self.limbs_LJ = _members([limb[1:] for limb in limbs], len(names)).to(device)
        self.is_limb_J = self.limbs_LJ.sum(0)
        self.base_J = torch.tensor(base, device=device)
        self.parents_J = torch.tensor(parents, device=device)
        chain_JJ = _chains(parents)
        self.chain_JJ = chain_JJ.to(device)
        self.apart_JJ = _apart(chain_JJ).to(device)
        self.side_J = torch.tensor([_side(name) for name in names], device=device)
        self._hips = [names.index(side + "hip") for side in _SIDES]
        self._spine = [names.index(name) for name in ("pelvis", "thorax")]

    def axes(self, poses_BTJD: Tensor) -> Tensor:
        """The body's own directions as rows (B, T, 3, 3): to its left, up the trunk, forwards."""
        left, right = (poses_BTJD[:, :, joint] for joint in self._hips)
        pelvis, thorax = (poses_BTJD[:, :, joint] for joint in self._spine)
        up_BTD = functional.normalize(thorax - pelvis, dim=-1)
        ahead_BTD = functional.normalize(torch.linalg.cross(left - right, up_BTD), dim=-1)
        return torch.stack([torch.linalg.cross(up_BTD, ahead_BTD), up_BTD, ahead_BTD], dim=-2)

    def trunk(self, poses_BTJD: Tensor) -> Tensor:
        """The middle of the trunk, (B, T, 1, D)."""
        return poses_BTJD[:, :, self._spine].mean(2, keepdim=True)

    def passed_on(self, share_B: Tensor) -> Tensor:
        """Weights (B, J, J) of what a joint has of its own and of those on the way to the root.

        A joint has ``share_B`` of what the one before it has.
        """
        weight_BJJ: Tensor = share_B[:, None, None] ** self.apart_JJ
        return weight_BJJ


def _kind(name: str) -> str:
    for side in _SIDES:
        name = name.removeprefix(side)
    return name


def _other(name: str) -> str:
    for side, other in (_SIDES, _SIDES[::-1]):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def _side(name: str) -> float:
    return float(name.startswith(_SIDES[0])) - float(name.startswith(_SIDES[1]))


def _members(groups: Sequence[Sequence[int]], joints: int) -> Tensor:
    members = torch.zeros(len(groups), joints)
    for row, group in enumerate(groups):
        members[row, list(group)] = 1.0
    return members


def _chains(parents: Sequence[int]) -> Tensor:
    chain = torch.zeros(len(parents), len(parents))
    for joint in range(len(parents)):
        at = joint
        while parents[at] != at:
            chain[joint, at] = 1.0
            at = parents[at]
    return chain


def _apart(chain_JJ: Tensor) -> Tensor:
    """Bones between joints: a joint that is on the way has the rest of the way fewer."""
    depth_J = chain_JJ.sum(1)
    on_the_way_JJ = (chain_JJ @ chain_JJ.T) == depth_J
    apart_JJ: Tensor = (depth_J[:, None] - depth_J).where(on_the_way_JJ, torch.inf)
    return apart_JJ
