"""BVH files, against an independent reader, a recursion, and damage."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pybvh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.takes import real_takes

from poise.mocap.formats.bvh import Bvh, read_bvh
from poise.runtime.errors import DataError

REAL = ["daz_02_01", "daz_07_01", "max_131_01", "mb_12_01", "mb_14_08"]


@pytest.mark.parametrize("take", REAL)
def test_real_takes_agree_with_another_reader(take: str) -> None:
    file = real_takes() / f"{take}.bvh"
    ours = read_bvh(file)
    theirs = pybvh.read_bvh_file(str(file))
    np.testing.assert_allclose(ours.positions(), theirs.node_positions(), atol=1e-9)
    assert ours.fps == 120


@dataclass
class Node:
    """A made-up joint, for writing and for the recursion."""

    name: str
    offset: tuple[float, float, float]
    order: str
    children: list["Node"]


LENGTHS = st.sampled_from([0.0, 0.0, 1.5, -2.25, 7.125, 0.001])
ORDERS = st.permutations("XYZ").map("".join)


@st.composite
def trees(draw: st.DrawFn) -> Node:
    counter = iter(range(100))

    def node(depth: int) -> Node:
        name = f"joint{next(counter)}"
        offset = draw(st.tuples(LENGTHS, LENGTHS, LENGTHS))
        width = draw(st.integers(0, 2)) if depth < 3 else 0
        return Node(name, offset, draw(ORDERS), [node(depth + 1) for _ in range(width)])

    root = node(0)
    root.offset = (0.0, 0.0, 0.0)
    return root


def text_of(root: Node, frames: int, values: NDArray[np.float64]) -> str:
    def lines(node: Node, kind: str) -> list[str]:
        places = "Xposition Yposition Zposition " if kind == "ROOT" else ""
        turns = " ".join(f"{axis}rotation" for axis in node.order)
        inner = [line for child in node.children for line in lines(child, "JOINT")]
        inner = inner or ["End Site", "{", "OFFSET 0 1 0", "}"]
        offset = " ".join(map(str, node.offset))
        count = 6 if places else 3
        head = [f"{kind} {node.name}", "{", f"OFFSET {offset}"]
        return [*head, f"CHANNELS {count} {places}{turns}", *inner, "}"]

    motion = "\n".join(" ".join(map(repr, row)) for row in values.tolist())
    tree = "\n".join(lines(root, "ROOT"))
    return f"HIERARCHY\n{tree}\nMOTION\nFrames:\t{frames}\nFrame Time: .0083333\n{motion}\n"


def turn(axis: str, degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    if axis == "X":
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    if axis == "Y":
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def recursion(root: Node, row: list[float]) -> dict[str, NDArray[np.float64]]:
    """Return the joints of one frame, joint by joint."""
    rest = iter(row)
    found: dict[str, NDArray[np.float64]] = {}

    def walk(node: Node, at: NDArray[np.float64], frame: NDArray[np.float64]) -> None:
        at = at + frame @ np.array(node.offset)
        if node is root:  # Rokoko, LaFAN1 and Blender: where it stands, whatever its offset
            at = np.array([next(rest) for _ in range(3)])
        for axis in node.order:
            frame = frame @ turn(axis, next(rest))
        found[node.name] = at
        for child in node.children:
            walk(child, at, frame)

    walk(root, np.zeros(3), np.eye(3))
    return found


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=trees(), frames=st.integers(1, 4), seed=st.integers(0, 999))
def test_any_skeleton_is_where_a_recursion_puts_it(
    tmp_path: Path, tree: Node, frames: int, seed: int
) -> None:
    width = text_of(tree, 0, np.zeros((0, 0))).count("rotation") + 3
    values = np.random.default_rng(seed).uniform(-200, 200, (frames, width)).round(4)
    file = tmp_path / "take.bvh"
    file.write_text(text_of(tree, frames, values))
    take = read_bvh(file)
    positions = take.positions()
    for frame in range(frames):
        for name, place in recursion(tree, values[frame].tolist()).items():
            np.testing.assert_allclose(positions[frame, take.names.index(name)], place, atol=1e-9)


SMALL = """HIERARCHY
ROOT hip {
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT upper leg
  {
    OFFSET 0 -1 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 -2 0
    }
  }
}
MOTION
Frames:\t2
Frame Time:\t0.0166667
1 2 3 0 0 0 0 0 0
1 2 3 90 0 0 0 0 0
"""


def read_small(tmp_path: Path, text: str = SMALL) -> Bvh:
    file = tmp_path / "small.bvh"
    file.write_text(text)
    return read_bvh(file)


def test_small_take_by_hand(tmp_path: Path) -> None:
    take = read_small(tmp_path, SMALL.replace("\n", "\r\n"))
    assert take.names == ("hip", "upper leg", "upper leg_end")
    assert take.fps == 60
    expected = [[[1, 2, 3], [1, 1, 3], [1, -1, 3]], [[1, 2, 3], [2, 2, 3], [4, 2, 3]]]
    np.testing.assert_allclose(take.positions(), expected, atol=1e-12)


Edit = Callable[[str], str]


def swap(old: str, new: str) -> Edit:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda text: text[:-8], r"line 19: \d values in a frame, expected 9; .*cut short"),
        (swap("1 2 3 90 0 0 0 0 0\n", ""), "1 frames, but its header says 2"),
        (swap("Frames:\t2", "Frames:\t3"), "2 frames, but its header says 3"),
        (swap("90", "9O"), "line 19: '9O' is not a finite number"),
        (swap("90", "inf"), "line 19: 'inf' is not a finite number"),
        (swap("Frame Time:\t0.0166667", "Frame Time:\t0"), "both above zero"),
        (swap("Frame Time:\t0.0166667\n", ""), "both above zero"),
        (swap("MOTION", ""), "no HIERARCHY or no MOTION"),
        (swap("OFFSET 0 -1 0", "OFFSET 0 -1"), "line 7: 'OFFSET 0 -1' is not understood"),
        (swap("CHANNELS 3", "CHANNELS 4"), "line 8: channels"),
        (swap("3 Zrotation Xrotation", "3 Zrotation Zrotation"), "line 8: a channel appears twice"),
        (swap("  }\n}\n", "  }\n"), "not closed"),
        (swap("  }\n}\n", "  }\n}\n}\n"), "one bracket too many"),
        (swap("JOINT", "ROOT"), "a ROOT begins a skeleton"),
        (lambda text: "", "no HIERARCHY"),
    ],
)
def test_damaged_take_is_refused_with_its_line(tmp_path: Path, edit: Edit, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_small(tmp_path, edit(SMALL))
    assert re.search(r"small\.bvh", str(caught.value))
