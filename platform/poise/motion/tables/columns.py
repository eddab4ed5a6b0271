"""Which columns of a table are what: one row a frame (wide), or one row a joint (long)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from poise.motion.motion import DIMENSIONS
from poise.motion.units import Unit

#: How tables call what is no coordinate, without blanks, signs and capitals.
_FRAME: Final = ("frame", "frames", "frameidx", "frameid", "framenumber", "framenum", "frameindex",
                 "frameno", "fnum", "framecount", "image", "imageid", "index", "unnamed0",
                 "")  # fmt: skip
_TIME: Final = {"time": 1.0, "times": 1.0, "timestamp": 1.0, "timestamps": 1.0, "t": 1.0,
                "timesec": 1.0, "timeseconds": 1.0, "seconds": 1.0, "sec": 1.0,
                "timems": 1e-3, "timestampms": 1e-3, "ms": 1e-3, "milliseconds": 1e-3,
                "timemillis": 1e-3, "timeus": 1e-6, "timestampus": 1e-6, "timens": 1e-9,
                "timestampns": 1e-9}  # fmt: skip
_PERSON: Final = ("person", "personid", "track", "trackid", "subject", "individual", "individuals",
                  "pid", "bodyid", "id", "instance", "trackingid", "personidx", "poseid",
                  "animal")  # fmt: skip
_JOINT: Final = ("joint", "jointname", "jointid", "joints", "bodypart", "bodyparts", "keypoint",
                 "keypointid", "keypointname", "landmark", "landmarkid", "landmarkindex",
                 "landmarkname", "marker", "markername", "name", "point", "node", "part",
                 "label")  # fmt: skip
_SURE: Final = ("confidence", "conf", "c", "v", "visibility", "vis", "likelihood", "score", "prob",
                "probability", "presence", "state", "trackingstate", "p", "s")  # fmt: skip
_SIGNS: Final = r"[\s_.:/|\-]"
_AXIS: Final = "|".join((*DIMENSIONS, *_SURE, "tracking_state"))
#: A unit behind a name: ``nose_x (px)``.
_UNIT: Final = re.compile(r"\s*[\[(]\s*(px|pixels?|mm|cm|m|ms|s|sec)\s*[\])]\s*$", re.IGNORECASE)
_SHAPES: Final = (
    re.compile(rf"(?P<joint>.+?){_SIGNS}+(?P<axis>{_AXIS})", re.IGNORECASE),
    re.compile(rf"(?P<axis>[xyzvc]|conf|vis){_SIGNS}*(?P<joint>\d+)", re.IGNORECASE),
    re.compile(rf"(?P<axis>{_AXIS}){_SIGNS}+(?P<joint>.+)", re.IGNORECASE),
    re.compile(r"(?P<joint>.*\d)(?P<axis>[xyzvc])", re.IGNORECASE),
    re.compile(r"(?P<joint>.*[a-z])(?P<axis>[XYZ])"),
)
_PLAIN: Final = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True)
class Layout:
    """The columns of a table, by their number; -1 where there is none.

    Attributes:
        joints: names of the joints; of a long table empty, they stand in the column `joint`.
        axes: for each joint the columns of its coordinates; of a long table one entry.
        sure: for each joint the column of its confidence, or -1.
        time_s: seconds in the unit of the column `time`.
        unit: of coordinates, where the names of the columns say so.
    """

    joints: tuple[str, ...]
    axes: tuple[tuple[int, ...], ...]
    sure: tuple[int, ...]
    frame: int = -1
    time: int = -1
    time_s: float = 1.0
    person: int = -1
    joint: int = -1
    unit: Unit | None = None

    @property
    def is_long(self) -> bool:
        """Whether a row is one joint."""
        return self.joint >= 0

    @property
    def dims(self) -> int:
        """Dimensions of a joint."""
        return len(self.axes[0])


def layout_of(names: Sequence[str]) -> Layout | None:
    """Return what columns of these names are; None where they are no keypoints."""
    units: set[str] = set()
    plain, bare = [], []
    for name in names:
        found = _UNIT.search(name)
        if found and found[1].lower() not in ("ms", "s", "sec"):
            units.add({"pixel": "px", "pixels": "px"}.get(found[1].lower(), found[1].lower()))
        bare.append(_UNIT.sub("", name).strip() if found else name.strip())
        plain.append(_PLAIN.sub("", name.lower()))
    meta = {
        "frame": _first(plain, _FRAME),
        "time": _first(plain, _TIME),
        "person": _first(plain, _PERSON),
    }
    time_s = _TIME[plain[meta["time"]]] if meta["time"] >= 0 else 1.0
    unit = cast(Unit, units.pop()) if len(units) == 1 else None
    axes = [_first(plain, (axis,)) for axis in DIMENSIONS]
    joint = _first(plain, _JOINT)
    if joint >= 0 and axes[0] >= 0 and axes[1] >= 0:
        coordinates = tuple(axis for axis in axes if axis >= 0)
        sure = _first(plain, [one for one in _SURE if one not in ("p", "s")])
        return Layout((), (coordinates,), (sure,), time_s=time_s, joint=joint, unit=unit, **meta)
    used = {place for place in meta.values() if place >= 0}
    columns = _joint_columns(bare, used)
    whole = {name: found for name, found in columns.items() if "x" in found and "y" in found}
    if not whole:
        return None
    deep = all("z" in found for found in whole.values())
    return Layout(
        joints=tuple(whole),
        axes=tuple(
            tuple(found[axis] for axis in DIMENSIONS[: 3 if deep else 2])
            for found in whole.values()
        ),
        sure=tuple(found.get("sure", -1) for found in whole.values()),
        time_s=time_s,
        unit=unit,
        **meta,
    )


def _first(plain: Sequence[str], known: Sequence[str] | Mapping[str, float]) -> int:
    """Return the first column of one of these names, the likelier name first."""
    for name in known:
        if name in plain:
            return plain.index(name)
    return -1


def _joint_columns(names: Sequence[str], used: set[int]) -> dict[str, dict[str, int]]:
    """Return for each joint the columns of its axes, and of its confidence as ``sure``."""
    found: dict[str, dict[str, int]] = {}
    for place, name in enumerate(names):
        if place in used:
            continue
        split = next((match for shape in _SHAPES if (match := shape.fullmatch(name))), None)
        if split is None:
            continue
        axis = split["axis"].lower()
        kind = axis if axis in DIMENSIONS else "sure"
        found.setdefault(split["joint"].strip(), {}).setdefault(kind, place)
    return found
