"""The weights that come with the package."""

from pathlib import Path

import pytest
import torch
from tests.support.small_refiners import sequence

from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError
from poise_models.general.joints import JOINTS
from poise_models.general.shipped import folder

MOST_BYTES = 6 * 2**20
#: Somebody who stands, in metres: across, down as in images, and towards the viewer.
_STANDING = """0 -.95 0, -.1 -.93 0, -.11 -.5 .02, -.11 -.08 0, .1 -.93 0, .11 -.5 .02, .11 -.08 0,
0 -1.15 0, 0 -1.42 0, 0 -1.52 .03, 0 -1.7 0, .17 -1.4 0, .25 -1.13 0, .27 -.9 .05, -.17 -1.4 0,
-.25 -1.13 0, -.27 -.9 .05"""
STANDING_JD = torch.tensor([[*map(float, joint.split())] for joint in _STANDING.split(",")])


@pytest.mark.parametrize("dims", [2, 3])
def test_it_takes_off_noise_without_any_training(dims: int) -> None:
    spec = PoseSpec(len(JOINTS), dims, names=JOINTS)
    built = catalogue.build("poise:general", spec)
    assert not built.learns
    still_FC = STANDING_JD[:, :dims].flatten().expand(90, -1)
    noisy_FC = still_FC + 0.02 * sequence(90, spec, seed=1)
    [clean] = built.eval().refine([Clip(noisy_FC)])
    before, after = ((one - still_FC).norm(dim=-1).mean() for one in (noisy_FC, clean.poses_FC))
    assert after < 0.5 * before
    assert clean.error_FJ is not None
    assert torch.all(clean.error_FJ > 0)


def test_other_weights_than_these_are_refused() -> None:
    spec = PoseSpec(len(JOINTS), 3, names=JOINTS)
    settings = catalogue.build("poise:general", spec).settings()
    assert catalogue.build("poise:general", spec, settings).settings() == settings
    with pytest.raises(ConfigError, match="another version's"):
        catalogue.build("poise:general", spec, {"weights": "0123456789abcdef"})


def test_rotations_have_none() -> None:
    with pytest.raises(ConfigError, match="2D and 3D"):
        catalogue.build("poise:general", PoseSpec(24, 6))


def test_they_are_small() -> None:
    place = folder(3)
    assert place is not None
    assert sum(_size(file) for file in place.parent.rglob("*")) < MOST_BYTES
    assert (place.parent / "README.md").is_file()


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
