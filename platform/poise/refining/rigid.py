"""Bones of constant length.

Shape letters: F frames, J joints, D dimensions.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from poise.refining.grid import Floats, seen

_STIFF = 1e-4  # of the longest bone: digits of a file


def stiff(poses_FJD: Floats, bones: Sequence[tuple[int, int]]) -> bool:
    """Say whether no bone changes its length, as in motion that was written as rotations."""
    spans = [_lengths(poses_FJD, bone) for bone in bones]
    longest = max((float(span.max()) for span in spans if len(span)), default=0.0)
    return longest > 0 and all(np.ptp(span) <= _STIFF * longest for span in spans if len(span))


def rigid(
    poses_FJD: Floats, lengths_of_FJD: Floats, bones: Sequence[tuple[int, int]], root: int
) -> Floats:
    """Hold bones at their median lengths, from a root outwards; directions stay.

    A joint stays where it is in frames in which it or the joint before it is not there. Where bones
    make a circle the one that closes it is not held.

    Args:
        poses_FJD: of one person, NaN where a joint is not there.
        lengths_of_FJD: whose median lengths bones shall have.
        bones: pairs of joints.
        root: the joint that stays.
    """
    held_FJD = poses_FJD.copy()
    for parent, child in _outwards(bones, root):
        way_FD = poses_FJD[:, child] - poses_FJD[:, parent]
        length_F = np.linalg.norm(way_FD, axis=-1)
        there_F = seen(way_FD) & (length_F > 0)
        lengths = _lengths(lengths_of_FJD, (parent, child))
        if there_F.any() and len(lengths):
            share_F1 = (np.median(lengths) / length_F[there_F])[:, None]
            held_FJD[there_F, child] = held_FJD[there_F, parent] + way_FD[there_F] * share_F1
    return held_FJD


def _lengths(poses_FJD: Floats, bone: tuple[int, int]) -> Floats:
    """Return a bone's lengths in the frames that show both of its ends."""
    parent, child = bone
    way_FD = poses_FJD[:, child] - poses_FJD[:, parent]
    lengths: Floats = np.linalg.norm(way_FD[seen(way_FD)], axis=-1)
    return lengths


def _outwards(bones: Sequence[tuple[int, int]], root: int) -> Iterator[tuple[int, int]]:
    """Yield bones as (nearer, farther) from the root, each joint once; then those apart from it."""
    reached: set[int] = set()
    starts = [root, *(end for bone in bones for end in bone)]
    for start in starts:
        if start in reached:
            continue
        reached.add(start)
        waiting = [start]
        while waiting:
            nearer = waiting.pop(0)
            for bone in bones:
                if nearer not in bone:
                    continue
                farther = bone[1] if bone[0] == nearer else bone[0]
                if farther not in reached:
                    reached.add(farther)
                    waiting.append(farther)
                    yield nearer, farther
