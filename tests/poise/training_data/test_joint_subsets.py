"""What detectors lack of the 17 joints, left out of training windows."""

import pytest
import torch

from poise.catalog.joint_sets import joint_sets
from poise.mocap.joints import enough, joint_map, pick
from poise.readers.simulated.body import Body
from poise.training_data import joint_subsets
from poise.training_data.joint_subsets import DETECTORS, JointSubsets
from poise_retrieval.geometry.skeletons import SKELETONS

SKELETON = SKELETONS["h36m17"]
LACKS = {
    "coco17": "spine neck head",
    "body_25": "spine neck head",
    "halpe26": "spine neck",
    "mediapipe33": "spine neck head",
    "smpl24": "",
    "lsp14": "spine neck",
}
MIDDLES = {"coco17": "pelvis thorax", "mediapipe33": "pelvis thorax", "lsp14": "pelvis"}


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_lack_joints(name: str) -> None:
    points = joint_map(joint_sets()[name].joints)
    assert set(SKELETON.joints) - set(points) == {*LACKS[name].split()}
    assert enough(points)


def test_a_neck_is_the_thorax_unless_there_is_one() -> None:
    assert joint_map(SKELETON.joints) == {joint: (joint,) for joint in SKELETON.joints}
    assert joint_map(joint_sets()["mpii16"].joints)["neck"] == ("neck",)


def test_windows_lack_what_detectors_and_limbs_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_subsets, "_DETECTORS", 0.8)
    seen = torch.randn(900, 4, 17, 3, generator=torch.Generator().manual_seed(0))
    left = JointSubsets(SKELETON)(seen, torch.Generator().manual_seed(1))
    again = JointSubsets(SKELETON)(seen, torch.Generator().manual_seed(1))
    torch.testing.assert_close(left, again, rtol=0, atol=0, equal_nan=True)
    lacks_BTJ = left.isnan().any(-1)
    assert torch.equal(lacks_BTJ, lacks_BTJ[:, :1].expand_as(lacks_BTJ))
    limbs_LJ = Body(SKELETON).limbs_LJ > 0
    allowed = {
        frozenset(f"{lacks} {middles}".split())
        for name, lacks in LACKS.items()
        for middles in ("", MIDDLES.get(name, ""))
    }
    found = set()
    for lacks_J in lacks_BTJ[:, 0]:
        limbs = [limb_J for limb_J in limbs_LJ if bool(lacks_J[limb_J].all())]
        rest_J = lacks_J & ~torch.stack([*limbs, torch.zeros_like(lacks_J)]).any(0)
        found.add(
            frozenset(name for name, lost in zip(SKELETON.joints, rest_J, strict=True) if lost)
        )
    assert found == allowed
    whole_B = ~lacks_BTJ.any(-1).any(-1)
    assert 0.2 < float(whole_B.float().mean()) < 0.5


def test_a_middle_is_what_the_map_of_the_detector_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file of that detector would be read: `pick` knows the same table."""
    monkeypatch.setattr(joint_subsets, "DETECTORS", ("coco17",))
    monkeypatch.setattr(joint_subsets, "_DETECTORS", 1.0)
    for name in ("_NO_MIDDLES", "_LIMB"):
        monkeypatch.setattr(joint_subsets, name, 0.0)
    seen = torch.randn(3, 5, 17, 3, generator=torch.Generator().manual_seed(0)).double()
    left = JointSubsets(SKELETON)(seen, torch.Generator().manual_seed(1))
    limbs = [name for name in SKELETON.joints if "_" in name]
    points = seen[0][:, [SKELETON.joints.index(name) for name in limbs]]
    wanted = torch.from_numpy(pick(points.numpy(), limbs, joint_map(joint_sets()["coco17"].joints)))
    torch.testing.assert_close(left[0], wanted, equal_nan=True)
