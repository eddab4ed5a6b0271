"""BVH of positions: rotations fitted to where joints are, bones of constant length.

A bone that leaves a joint alone turns with it. Of several, the joint takes the rotation that fits
all of them best, and each gets a joint without length in between, NAME_to_CHILD, that turns it the
rest of the way, so that nothing but changes of a bone's length is lost. Parts of a body that no
known bone joins to the rest hang on its root, and have a place of their own in each frame. How a
bone turns around itself is in no position: of all rotations that fit, the nearest to the bone
before counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.motion import Motion
from poise.motion.skeletons import bones_of, root_of
from poise.runtime.errors import DataError

Floats = NDArray[np.float64]
#: Joints in between are called so.
BETWEEN: Final = "_to_"
#: How much the rotation of the bone before counts beside where bones point.
_PRIOR: Final = 1e-6
_TURNS: Final = "Zrotation Xrotation Yrotation"
_ORDER: Final = "ZXY"


@dataclass(frozen=True)
class _Node:
    """A joint of the file: a joint of the motion, or one in between.

    Attributes:
        joint: place among the motion's joints.
        offset_3: from the joint before, at rest.
        local_F33: rotation in the frame of the joint before.
        places_F3: where it is in that frame, where that changes; of the root, in the world.
    """

    name: str
    joint: int
    offset_3: Floats
    local_F33: Floats
    children: "list[_Node]"
    places_F3: Floats | None = None


def bvh_text(motion: Motion, parents: Sequence[int] | None = None) -> str:
    """Return a motion's first person as BVH.

    Args:
        motion: 3D, with a rate.
        parents: of the joints, where a file said so; None takes the bones of the skeleton.

    Raises:
        DataError: there is no rate, nobody, or no bones.
    """
    if motion.fps is None:
        raise DataError(f"{motion.source}: says no frame rate, and BVH needs one: give --fps")
    if not len(motion.people):
        raise DataError(f"{motion.source}: nobody is in it")
    poses_FJ3 = np.asarray(motion.poses_FPJD[:, 0], np.float64)
    seen_FJ = motion.seen_FPJ[:, 0]
    seen_J = np.logical_or.reduce(seen_FJ, axis=0)
    if parents is None:
        pairs, root = bones_of(motion), root_of(motion)
    else:
        pairs = [(above, joint) for joint, above in enumerate(parents) if above >= 0]
        root = parents.index(-1)
    if not seen_J[root]:
        root = next((start for start, end in pairs if seen_J[start] and seen_J[end]), root)
    near = _near(pairs, seen_FJ)
    if root not in near:
        raise DataError(
            f"{motion.source}: no bones are known between its joints, which BVH is made of; name "
            "the joint set with --skeleton"
        )
    names = _names(motion.joints)
    top = _node(poses_FJ3, names, _tree(near, root), root, np.zeros(3), np.eye(3)[None])
    top = replace(top, places_F3=_held(poses_FJ3[:, root]))
    reached = {node.joint for node in _all(top)}
    for joint in np.flatnonzero(seen_J).tolist():
        if joint not in reached:
            top.children.append(_part(poses_FJ3, names, _tree(near, joint), joint, top))
            reached |= {node.joint for node in _all(top.children[-1])}
    frames = len(poses_FJ3)
    lines = ["HIERARCHY", *_hierarchy(top), "MOTION", f"Frames: {frames}"]
    lines.append(f"Frame Time: {1 / motion.fps:.9g}")
    values = np.hstack([one for node in _all(top) for one in _channels(node, frames)])
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values.tolist()]
    return "\n".join(lines) + "\n"


def _near(pairs: Sequence[tuple[int, int]], seen_FJ: NDArray[np.bool_]) -> dict[int, list[int]]:
    """Return the joints that bones lead to from each joint, of bones that are ever seen."""
    found: dict[int, list[int]] = {}
    for start, end in pairs:
        if (seen_FJ[:, start] & seen_FJ[:, end]).any():
            found.setdefault(start, []).append(end)
            found.setdefault(end, []).append(start)
    return found


def _tree(near: Mapping[int, Sequence[int]], root: int) -> dict[int, list[int]]:
    """Return the joints behind each joint, from a root on."""
    found: dict[int, list[int]] = {}
    reached, todo = {root}, [root]
    for joint in todo:
        new = [one for one in near.get(joint, []) if one not in reached]
        if new:
            found[joint] = new
        reached.update(new)
        todo += new
    return found


def _part(
    poses_FJ3: Floats,
    names: Sequence[str],
    children: dict[int, list[int]],
    joint: int,
    top: _Node,
) -> _Node:
    """Fit a part that no bone joins to the body."""
    assert top.places_F3 is not None  # noqa: S101
    steps_F3 = _held(poses_FJ3[:, joint]) - top.places_F3
    places_F3 = np.einsum(
        "fba,fb->fa", np.broadcast_to(top.local_F33, (len(steps_F3), 3, 3)), steps_F3
    )
    node = _node(poses_FJ3, names, children, joint, places_F3[0], top.local_F33)
    return replace(node, places_F3=places_F3)


def _channels(node: _Node, frames: int) -> Iterator[Floats]:
    if node.places_F3 is not None:
        yield node.places_F3
    yield _angles(node.local_F33, frames)


def _names(joints: Sequence[str]) -> list[str]:
    """Return names that are one word, each another."""
    found: dict[str, None] = {}
    for joint in joints:
        word = "_".join("".join(sign for sign in joint if sign not in "{}").split()) or "joint"
        name, number = word, 2
        while name in found:
            name, number = f"{word}_{number}", number + 1
        found[name] = None
    return list(found)


def _node(
    poses_FJ3: Floats,
    names: Sequence[str],
    children: dict[int, list[int]],
    joint: int,
    offset_3: Floats,
    before_F33: Floats,
) -> _Node:
    """Fit a joint and all behind it; `before_F33` is how the bone before is turned in the world."""
    behind = children.get(joint, [])
    ways = [_way(poses_FJ3[:, child] - poses_FJ3[:, joint]) for child in behind]
    rests = [way_F3[0] for way_F3, _ in ways]
    turned_F33 = _fitted(ways, rests, before_F33)
    node = _Node(names[joint], joint, offset_3, _into(before_F33, turned_F33), [])
    for child, (way_F3, length), rest_3 in zip(behind, ways, rests, strict=True):
        own_F33, holder = turned_F33, node
        if len(behind) > 1:
            own_F33 = _fitted([(way_F3, length)], [rest_3], turned_F33)
            name = f"{names[joint]}{BETWEEN}{names[child]}"
            holder = _Node(name, joint, np.zeros(3), _into(turned_F33, own_F33), [])
            node.children.append(holder)
        below = _node(poses_FJ3, names, children, child, rest_3 * length, own_F33)
        holder.children.append(below)
    return node


def _way(steps_F3: Floats) -> tuple[Floats, float]:
    """Return where a bone points, as in the nearest frame that shows it, and its length."""
    lengths_F = np.linalg.norm(steps_F3, axis=1)
    length = float(np.nanmedian(lengths_F))
    ways_F3 = steps_F3 / np.where(lengths_F > 0, lengths_F, np.nan)[:, None]
    if np.isnan(ways_F3).all():  # two joints in one place
        return np.broadcast_to(np.array([0.0, 1.0, 0.0]), steps_F3.shape), 0.0
    return _held(ways_F3), length


def _held(values_FD: Floats) -> Floats:
    """Return values, where there are none those of the nearest frame that has some."""
    known = np.flatnonzero(~np.isnan(values_FD).any(1))
    places = np.arange(len(values_FD))
    after = np.searchsorted(known, places).clip(0, len(known) - 1)
    ahead, back = known[after], known[(after - 1).clip(0)]
    nearest = np.where(np.abs(ahead - places) < np.abs(places - back), ahead, back)
    return np.asarray(values_FD[nearest], np.float64)


def _fitted(
    ways: Sequence[tuple[Floats, float]], rests: Sequence[Floats], before_F33: Floats
) -> Floats:
    """Return the rotations that bring bones at rest nearest to where they point, (F, 3, 3)."""
    if not ways:
        return before_F33
    sums = _PRIOR * before_F33
    for (way_F3, _), rest_3 in zip(ways, rests, strict=True):
        sums = sums + way_F3[:, :, None] * rest_3
    left, _, right = np.linalg.svd(sums)
    mirrored = np.linalg.det(left @ right) < 0
    left[mirrored, :, 2] *= -1
    return np.asarray(left @ right, np.float64)


def _into(before_F33: Floats, turned_F33: Floats) -> Floats:
    """Return rotations in the frame of those before."""
    return np.asarray(before_F33.swapaxes(-1, -2) @ turned_F33, np.float64)


def _angles(local_F33: Floats, frames: int) -> Floats:
    """Return Euler angles in degrees, (F, 3), that turn on over 180 and do not jump."""
    import warnings

    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two angles about one axis either does
        found = Rotation.from_matrix(local_F33).as_euler(_ORDER, degrees=True)
    turned = np.unwrap(np.broadcast_to(found, (frames, 3)), period=360.0, axis=0)
    return np.asarray(turned, np.float64)


def _all(node: _Node) -> Iterator[_Node]:
    yield node
    for child in node.children:
        yield from _all(child)


def _hierarchy(node: _Node, depth: int = 0) -> Iterator[str]:
    blank = "  " * depth
    yield f"{blank}{'JOINT' if depth else 'ROOT'} {node.name}"
    yield f"{blank}{{"
    yield f"{blank}  OFFSET {' '.join(f'{value:.6f}' for value in node.offset_3)}"
    if node.places_F3 is None:
        yield f"{blank}  CHANNELS 3 {_TURNS}"
    else:
        yield f"{blank}  CHANNELS 6 Xposition Yposition Zposition {_TURNS}"
    for child in node.children:
        yield from _hierarchy(child, depth + 1)
    if not node.children:
        yield f"{blank}  End Site"
        yield f"{blank}  {{"
        yield f"{blank}    OFFSET 0 0 0"
        yield f"{blank}  }}"
    yield f"{blank}}}"
