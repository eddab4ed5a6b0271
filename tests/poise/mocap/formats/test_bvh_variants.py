"""BVH as other programs write it: what means nothing is read over, and what does is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.takes import real_takes, write_bvh

from poise.mocap.formats import cgspeed
from poise.mocap.formats.bvh import read_bvh


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HIERARCHY", "\ufeffHIERARCHY"),
        ("HIERARCHY", "\n\nHIERARCHY"),
        ("HIERARCHY", "# made by hand\nHIERARCHY"),
        ("MOTION", "\n// the motion\nMOTION\n"),
        ("Frames:", "Frames"),
        ("\n", "\r\n"),
    ],
)
def test_what_means_nothing_is_read_over(tmp_path: Path, old: str, new: str) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole, text = read_bvh(file), file.read_text()
    file.write_bytes(text.replace(old, new).encode())
    take = read_bvh(file)
    assert take.notes == ()
    np.testing.assert_array_equal(take.values_FC, whole.values_FC)


def test_one_row_more_than_told_is_taken_with_a_note(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole = read_bvh(file)
    file.write_text(file.read_text().replace("Frames:\t24", "Frames:\t23"))
    take = read_bvh(file)
    np.testing.assert_array_equal(take.values_FC, whole.values_FC)
    assert "24 frames, where its header says 23" in take.notes[0]


def test_positions_of_a_joint_replace_its_offset(tmp_path: Path) -> None:
    file = write_bvh(tmp_path / "take.bvh")
    whole = read_bvh(file)
    knee = whole.joints[1]
    moving = replace(
        knee,
        offset_3=np.array([9.0, 9.0, 9.0]),
        channels=("xposition", "yposition", "zposition", *knee.channels),
    )
    frames = len(whole.values_FC)
    values_FC = np.hstack(
        [whole.values_FC[:, :6], np.tile(knee.offset_3, (frames, 1)), whole.values_FC[:, 6:]]
    )
    take = replace(whole, joints=(whole.joints[0], moving, *whole.joints[2:]), values_FC=values_FC)
    np.testing.assert_allclose(take.positions(), whole.positions(), atol=1e-12)
    step = {knee.name: np.array([1.0, 2.0, 3.0])}
    np.testing.assert_allclose(
        take.shifted(step).positions(), whole.shifted(step).positions(), atol=1e-12
    )


@pytest.mark.parametrize("prefix", ["Anna:", "Anna:Body:", "Character1_", "set|"])
def test_prefixes_of_names_are_ignored(prefix: str) -> None:
    take = read_bvh(real_takes() / "daz_02_01.bvh")
    joints = tuple(replace(joint, name=prefix + joint.name) for joint in take.joints)
    named = replace(take, joints=joints)
    assert cgspeed.dialect_of(named).prefix == "daz"
    np.testing.assert_array_equal(cgspeed.joints_of(named, None), cgspeed.joints_of(take, None))
