"""Neighbours to look at: numbers that are right, people that stand upright and face the viewer."""

import io
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW, encode
from poise.lake.split_index import SplitIndex
from poise.pvd.show.examples import Example, Shown
from poise.pvd.show.plots import distances_plot, gallery
from poise.pvd.show.statistics import NeighbourTable, in_words, rank_stats
from poise.pvd.show.stick_figures import Side, View, bones, up_of
from poise.readers.synthetic.sequences import Size, sequences
from poise_retrieval.geometry.skeletons import SKELETONS, Skeleton
from poise_retrieval.neighbours import Neighbours

H36M = SKELETONS["h36m17"]
#: From (right, up, back) of a body facing the viewer to the axes of a data set.
AXES = {
    "y up": np.eye(3),
    "y down": np.diag([1.0, -1, -1]),
    "z up": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "x down": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
}


def body() -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Eight frames of a person, y up, facing +z, with his left at +x."""
    left_ankle, left_hip, left_shoulder = (0.1, 0.1, 0.0), (0.1, 0.9, 0.0), (0.2, 1.4, 0.0)
    points = {
        "ankle": left_ankle, "knee": (0.1, 0.5, 0.1), "hip": left_hip,
        "shoulder": left_shoulder, "elbow": (0.25, 1.1, 0.0), "wrist": (0.25, 0.9, 0.2),
        "pelvis": (0, 0.9, 0), "spine": (0, 1.1, 0), "thorax": (0, 1.4, 0), "neck": (0, 1.5, 0),
        "head": (0, 1.7, 0),
    }  # fmt: skip
    pose = []
    for joint in H36M.joints:
        x, y, z = points[joint.removeprefix("left_").removeprefix("right_")]
        pose.append((-x if joint.startswith("right_") else x, y, z))
    return np.repeat(np.array([pose], np.float32), 8, axis=0)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("turn", [0.0, 1.0, 2.5, 4.0])
def test_people_stand_upright_and_face_the_viewer(axes: str, turn: float) -> None:
    about = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    poses = (body() @ about.T @ AXES[axes].T).astype(np.float32)
    up = up_of([poses], H36M)
    np.testing.assert_allclose(up, AXES[axes] @ [0, 1, 0], atol=1e-6)
    flat = View.of(poses, H36M, up).project(poses)[0]
    place = {joint: flat[number] for number, joint in enumerate(H36M.joints)}
    assert place["head"][1] > place["pelvis"][1] > place["left_ankle"][1] + 0.5
    # Face to face, his left is on the viewer's right.
    assert place["left_shoulder"][0] > place["right_shoulder"][0] + 0.2


def test_real_looking_motion_stands_upright() -> None:
    walks = [one.detected_FC.reshape(-1, 17, 3) for one in sequences("train", Size(2, 3, 40))]
    up = up_of(walks, H36M)
    heights = [View.of(walk, H36M, up).project(walk)[..., 1] for walk in walks]
    upright = [flat[:, 10].mean() > flat[:, [3, 6]].mean() for flat in heights]
    assert np.mean(upright) > 0.9


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_skeleton_has_bones_on_both_sides(name: str) -> None:
    sides = [bone.side for bone in bones(SKELETONS[name])]
    assert set(sides) == set(get_args(Side))
    assert sides.count("left") == sides.count("right") >= 4


def test_an_unknown_order_is_drawn_between_its_template_joints() -> None:
    own = Skeleton("own", tuple(f"rib{n}" for n in range(20)), tuple(range(3, 17)))
    lines = bones(own)
    assert len(lines) == len(SKELETONS["j14"].edges)
    assert {bone.side for bone in lines} == {"middle"}
    assert min(bone.first for bone in lines) == 3


@pytest.mark.parametrize("dims", [2, 3])
def test_the_gallery_is_not_blank(dims: int) -> None:
    pose = body()[..., :dims] * np.array([1, -1, 1][:dims], np.float32)
    query = Shown("S1", "a rather long name of an action, that wraps", 0.0, pose)
    near = [Shown("S2", "squat", 0.1 * rank, pose + 0.02 * rank) for rank in (1, 2, 3)]
    png = gallery([Example(query, near), Example(query, near[:1])], H36M, "two queries")
    assert len(png) < 200_000
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red, _, blue = np.moveaxis(picture, -1, 0)
    assert (red > blue + 100).sum() > 300
    assert (blue > red + 80).sum() > 300


Found = list[list[int]]


def _table(
    split: Split, subjects: list[str], actions: list[str], windows: list[int], found: Found
) -> NeighbourTable:
    """Sequences 2, 4 ... whose windows all find those of the sequences in their row."""
    count = len(subjects)
    index = SplitIndex(
        track=Track.parse("uiprmd/kinect/3D"),
        split=split,
        width=51,
        truth=True,
        ids_S=np.arange(1, count + 1) * 2,
        frames_S=np.array(windows) + WINDOW - 1,
        names=[str(number) for number in range(count)],
        subjects=subjects,
        cameras=[None] * count,
        actions=list(actions),
        takes=[None] * count,
    )
    rows = np.repeat(np.array(found), windows, axis=0)
    ids = np.where(rows < 0, -1, encode(rows, np.zeros_like(rows)))
    order = np.repeat(np.arange(3 * count).reshape(count, 3), windows, axis=0)
    distances = np.where(rows < 0, np.inf, order).astype(np.float32)
    return NeighbourTable(index, Neighbours(ids, distances), np.array(actions, np.str_))


def test_shares_of_the_same_action() -> None:
    # A runs, A sits (nobody else does), B runs, C lies (nobody else does).
    found = [[6, 6, 8], [8, -1, -1], [2, 4, 8], [2, 6, -1]]
    train = _table(
        "train", ["A", "A", "B", "C"], ["run", "sit", "run", "lie"], [10, 10, 30, 50], found
    )
    first, second, third = rank_stats(train, train, True)
    assert (first.windows, second.windows, third.windows) == (100, 90, 40)
    assert (first.comparable, first.same_action) == (40, 1.0)
    assert (second.comparable, second.same_action) == (40, 0.25)
    # A may find 80 windows, of which 30 are of running; B 70, of which 10.
    assert first.by_chance == pytest.approx((10 * 30 / 80 + 30 * 10 / 70) / 40)
    assert first.same_sequence == 1.0
    assert second.same_sequence == pytest.approx(10 / 90)
    assert first.mean == pytest.approx(np.average([0, 3, 6, 9], weights=[10, 10, 30, 50]))


def test_test_subjects_may_find_everybody() -> None:
    train = _table("train", ["A", "B"], ["run", "sit"], [30, 10], [[4, -1, -1], [2, -1, -1]])
    own = _table("test", ["Z", "Z"], ["sit", "fly"], [1, 1], [[4, -1, -1], [2, -1, -1]])
    (only, *_) = rank_stats(own, train, False)
    assert (only.comparable, only.same_action, only.by_chance) == (1, 1.0, 0.25)


def test_without_actions_there_is_no_share() -> None:
    train = _table("train", ["A", "B"], ["", ""], [30, 10], [[4, -1, -1], [2, -1, -1]])
    stats = rank_stats(train, train, True)
    assert [one.same_action for one in stats] == [None]
    assert in_words(stats).splitlines()[-1].split()[-3:] == ["-", "-", "100.0%"]


@pytest.mark.parametrize("found", [[[-1, -1, -1]], [[2, 1, -1], [1, 2, 2]]])
def test_histograms_of_any_table(found: Found) -> None:
    names = ["A"] * len(found)
    png = distances_plot([_table("train", names, names, [1] * len(found), found)], "a track")
    assert Image.open(io.BytesIO(png)).width > 500
