"""What detectors lack of the 17 joints, left out of training windows."""

import pytest
import torch

from poise.readers.simulated.body import Body
from poise.training_data import joint_subsets
from poise.training_data.joint_subsets import DETECTORS, JointSubsets
from poise_models.general.joints import JOINTS
from poise_retrieval.geometry.skeletons import SKELETONS

SKELETON = SKELETONS["h36m17"]
LACKS = {
    "coco17": "pelvis spine thorax neck head",
    "body_25": "spine neck head",
    "halpe26": "spine neck",
    "mediapipe33": "pelvis spine thorax neck head",
    "smpl24": "neck",
    "lsp14": "pelvis spine neck",
}


def drawn(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    seen = torch.randn(batch, 4, 17, 3, generator=torch.Generator().manual_seed(0))
    return seen, JointSubsets(SKELETON)(seen, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_lack_joints(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_subsets, "DETECTORS", (name,))
    monkeypatch.setattr(joint_subsets, "_DETECTORS", 1.0)
    monkeypatch.setattr(joint_subsets, "_LIMB", 0.0)
    assert SKELETON.joints == JOINTS
    seen, left = drawn(3)
    lacks_BTJ = left.isnan().any(-1)
    wanted_J = torch.tensor([joint in LACKS[name].split() for joint in JOINTS])
    assert torch.equal(lacks_BTJ, wanted_J.expand_as(lacks_BTJ))
    assert torch.equal(left[~lacks_BTJ], seen[~lacks_BTJ])


def test_windows_lack_what_detectors_and_limbs_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_subsets, "_DETECTORS", 0.8)
    left, again = (drawn(900)[1] for _ in range(2))
    torch.testing.assert_close(left, again, rtol=0, atol=0, equal_nan=True)
    lacks_BTJ = left.isnan().any(-1)
    assert torch.equal(lacks_BTJ, lacks_BTJ[:, :1].expand_as(lacks_BTJ))
    limbs_LJ = Body(SKELETON).limbs_LJ > 0
    found = set()
    for lacks_J in lacks_BTJ[:, 0]:
        limbs = [limb_J for limb_J in limbs_LJ if bool(lacks_J[limb_J].all())]
        rest_J = lacks_J & ~torch.stack([*limbs, torch.zeros_like(lacks_J)]).any(0)
        found.add(frozenset(name for name, lost in zip(JOINTS, rest_J, strict=True) if lost))
    assert found == {frozenset(lacks.split()) for lacks in (*LACKS.values(), "")}
    whole_B = ~lacks_BTJ.any(-1).any(-1)
    assert 0.1 < float(whole_B.float().mean()) < 0.3
    assert bool((lacks_BTJ[:, 0] & limbs_LJ.any(0)).any())
