import numpy as np
import pytest

from poise_retrieval.errors import SkeletonError
from poise_retrieval.geometry.skeletons import (
    SKELETONS,
    TEMPLATE_2D,
    TEMPLATE_3D,
    Skeleton,
    skeleton,
)

_LEG, _ARM = ["ankle", "knee", "hip"], ["wrist", "elbow", "shoulder"]
PARTS = [*_LEG, *reversed(_LEG), *_ARM, *reversed(_ARM), "neck", "head"]


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_a_skeleton_maps_onto_the_template(name: str) -> None:
    body = SKELETONS[name]
    mapped = [body.joints[joint] for joint in body.pvd_joints]
    assert len(set(body.joints)) == len(body.joints)
    assert len(set(mapped)) == len(PARTS)
    for joint, part in zip(mapped[:12], PARTS[:12], strict=True):
        assert joint.endswith(part)
    sides = [joint.split("_")[0] for joint in mapped[:12]]
    assert sides[:3] == sides[6:9]
    assert sides[3:6] == sides[9:12]
    assert sides[0] != sides[3]


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_bones_join_all_joints(name: str) -> None:
    body = SKELETONS[name]
    reached = {0}
    for _ in body.joints:
        reached |= {b for a, b in body.edges if a in reached}
        reached |= {a for a, b in body.edges if b in reached}
    assert reached == set(range(len(body.joints)))


def test_the_template_is_a_flat_symmetric_person() -> None:
    other_side = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]
    assert np.array_equal(TEMPLATE_3D[other_side] * [-1, 1, 1], TEMPLATE_3D)
    assert np.ptp(TEMPLATE_3D[:, 1]) == pytest.approx(1.6)
    assert (TEMPLATE_3D[:, 2] == 0).all()
    assert np.square(TEMPLATE_3D).sum() == pytest.approx(3.49, abs=0.005)
    assert np.array_equal(TEMPLATE_2D, TEMPLATE_3D[:, :2] * [1, -1])


def test_an_unknown_skeleton_names_the_known() -> None:
    with pytest.raises(SkeletonError, match="h36m17, j14"):
        skeleton("coco")


def test_a_skeleton_of_ones_own_is_taken_as_it_is() -> None:
    own = Skeleton("mine", tuple("abcdefghijklmno"), tuple(range(14, 0, -1)))
    assert skeleton(own) is own


@pytest.mark.parametrize("places", [(0, 1, 2), (0,) * 14, tuple(range(1, 15))])
def test_a_map_that_does_not_fit_is_refused(places: tuple[int, ...]) -> None:
    with pytest.raises(SkeletonError, match="skeleton mine"):
        Skeleton("mine", tuple("abcdefghijklmn"), places)
