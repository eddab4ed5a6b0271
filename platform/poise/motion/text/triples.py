"""Coordinates and confidence of each joint in turn, as JSON formats have them."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise.motion.motion import Motion
from poise.motion.names import MOST_FRAME
from poise.motion.text.json_text import member_of, renumbered
from poise.runtime.errors import DataError

_DIGITS: Final = re.compile(r"\d+")
_COUNTED: Final = re.compile(r"0|[1-9][0-9]{0,14}")
_ID: Final = re.compile(r"-?\d[\d.]*")
_VISIBILITIES: Final = (0.0, 1.0, 2.0)


def numbers_of(path: Path, lists: Sequence[Any], first: int = 0) -> NDArray[np.float64]:
    """Return equal lists of numbers as an array; null is NaN.

    Args:
        path: the file.
        lists: of its entries.
        first: number of the first of them in the file.

    Raises:
        DataError: one holds something else; names the entry.
    """
    try:
        found = np.asarray(lists, np.float64)
        if not np.isinf(found).any():
            return found
    except (TypeError, ValueError, OverflowError):
        pass
    for place, one in enumerate(lists, first):
        try:
            row = np.asarray(one, np.float64)
        except (TypeError, ValueError, OverflowError):
            row = np.array(np.inf)
        if np.isinf(row).any():
            raise DataError(
                f"{path}, entry {place}: its keypoints hold something that is no finite number"
            )
    raise DataError(f"{path}: keypoints of different shapes; each entry has as many joints")


def seen_of(
    values_EJC: NDArray[np.float64], visibility: bool | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, bool]:
    """Return poses, confidences, and whether the last number is COCO's visibility instead.

    Args:
        values_EJC: coordinates and confidence.
        visibility: whether it is; None tells it from the numbers.
    """
    poses, third = values_EJC[..., :-1].copy(), values_EJC[..., -1]
    if visibility is None:
        visibility = bool(np.isin(third, _VISIBILITIES).all() and (third == 2.0).any())
    # The zeros of nothing seen: some also give coordinates in the middle of the box.
    unseen = third == 0.0 if visibility else (poses == 0.0).all(-1) & ~(third > 0.0)
    poses[unseen] = np.nan
    return poses, None if visibility else third, visibility


def triples_of(motion: Motion) -> NDArray[np.float64]:
    """Return x, y (z) and confidence, (F, P, J, D + 1): zeros where nothing is seen.

    Where a joint is seen and nobody says how surely, its confidence is 1.
    """
    seen = motion.seen_FPJ
    third = np.ones(seen.shape) if motion.confidence_FPJ is None else motion.confidence_FPJ
    third = np.where(np.isnan(third), 1.0, third)
    values = np.concatenate([motion.poses_FPJD, third[..., None]], -1, dtype=np.float64)
    return np.where(seen[..., None], values, 0.0)


def patched_numbers(
    text: str,
    old_JC: NDArray[np.float64],
    new_JC: NDArray[np.float64],
    seen_J: NDArray[np.bool_],
    decimals: int,
    visibility: bool = False,
) -> str:
    """Return the text of an entry's numbers with those replaced that are others now.

    Args:
        text: a list of numbers, or of lists of them.
        old_JC: what it says.
        new_JC: what it shall say, as of `triples_of`.
        seen_J: which joints are there now; the others keep their text if they were not before.
        decimals: to write new numbers with.
        visibility: whether the last number of a joint is one, which stays above 0 while it is seen.
    """
    poses, _, _ = seen_of(old_JC[None], visibility)
    was_J = ~np.isnan(poses[0]).any(-1)
    new_JC = new_JC.copy()
    if visibility:
        new_JC[:, -1] = np.where(seen_J, np.where(was_J, old_JC[:, -1], 1.0), 0.0)
    same_JC = (new_JC == old_JC) | (~seen_J & ~was_J)[:, None]
    if same_JC.all():
        return text
    return renumbered(text, ~same_JC.ravel(), new_JC.ravel().tolist(), decimals)


def frame_numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the last number of each name, or 0, 1, 2 ... where those do not rise."""
    found = [_DIGITS.findall(name.rpartition(".")[0] or name) for name in names]
    if all(found):
        numbers = [int(digits[-1][-20:]) for digits in found]
        rising = all(before < after for before, after in pairwise(numbers))
        if rising and numbers[-1] <= MOST_FRAME:
            return np.array(numbers, np.int64)
    return np.arange(len(names))


def identity(value: Any) -> str | None:
    """Return an id, however deep in lists it lies: ``[[0.0], [0.0]]`` is 0; below 0 is nobody."""
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        return None
    if isinstance(value, str):
        return value[:100]
    return f"{value:g}" if 0 <= value < MOST_FRAME else None


def id_json(name: str) -> str:
    """Return an id as JSON: a number where it is one."""
    return name if re.fullmatch(r"0|[1-9][0-9]{0,15}", name) else json.dumps(name)


def with_id(text: str, keys: Sequence[str], motion: Motion, person: int) -> str:
    """Return an object's text with the id its person has now, where people were told apart anew.

    Args:
        text: of the object.
        keys: that ids stand under; the first one is added where there is none.
        motion: whose people they are; of one person alone, or of people whom nobody knows, ids
            stay as they are.
        person: place among the motion's people.
    """
    name = motion.people[person]
    if not motion.identified or len(motion.people) < 2 or not _COUNTED.fullmatch(name):
        return text
    for key in keys:
        at, stop = member_of(text, key)
        if at >= 0:
            old = text[at:stop]
            if identity(json.loads(old)) == name:
                return text
            return text[:at] + (_ID.sub(name, old) if _ID.search(old) else name) + text[stop:]
    return f'{text.rstrip()[:-1].rstrip()}, "{keys[0]}": {name}}}'
