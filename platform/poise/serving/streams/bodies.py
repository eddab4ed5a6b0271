"""Whose poses a stream has: the joints that a client names, and the refiner that takes them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray

from poise.catalog.joint_sets import joint_sets, plain_joint
from poise.catalog.tracks import TrackInfo
from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.shipped import shipped
from poise.runtime.errors import PoiseError
from poise.serving.model import ServedModel
from poise.serving.streams.opening import POLICY, Opening, StreamError
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.general.general import General

Floats = NDArray[np.float32]
#: Skeletons whose networks are kept at a time, beside the model's own.
_KEPT: Final = 8
_METRES: Final = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


@dataclass(frozen=True)
class Body:
    """A person's joints as a client has them, and how a refiner takes them.

    Attributes:
        refiner: a network or a filter.
        info: joints in the refiner's order.
        order: of the refiner's joints, which of the client's each is.
        scale: from the client's unit to the refiner's.
        unit: the client's unit.
        in_metres: whether the refiner takes metres alone.
    """

    refiner: Refiner
    info: TrackInfo
    order: tuple[int, ...]
    scale: float
    unit: str
    in_metres: bool

    @cached_property
    def as_it_comes(self) -> bool:
        """Whether client and refiner have the joints in the same order."""
        return self.order == tuple(range(len(self.order)))

    @property
    def names(self) -> tuple[str, ...]:
        """The joints in the client's order, as the refiner calls them."""
        back = np.argsort(self.order).tolist()
        return tuple(self.info.joint_names[place] for place in back)

    def taken(self, poses_FJD: Floats) -> Floats:
        """Poses as the refiner takes them."""
        ordered_FJD = poses_FJD if self.as_it_comes else poses_FJD[:, self.order]
        return ordered_FJD if self.scale == 1 else ordered_FJD * np.float32(self.scale)

    def given(self, values_FJX: Floats) -> Floats:
        """Values of the refiner's joints as the client has them."""
        given_FJX = values_FJX if self.scale == 1 else values_FJX / np.float32(self.scale)
        if self.as_it_comes:
            return given_FJX
        back_FJX = np.empty_like(values_FJX)
        back_FJX[:, self.order] = given_FJX
        return back_FJX


class Bodies:
    """Finds the refiner for a skeleton: a model's own, or the same weights for other joints."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[str, ...], int], Refiner] = OrderedDict()
        self._lock = Lock()

    def body(self, model: ServedModel, asked: Opening) -> Body:
        """Find a body; that of another skeleton takes a moment.

        Raises:
            StreamError: the model does not take these joints.
        """
        info = model.info
        names = _names(asked) or info.joint_names
        dims = asked.dims or info.dims
        if isinstance(model.refiner, General):
            unit = asked.unit or ("px" if dims != 3 else "m")
            order = tuple(range(len(names)))
            if dims == info.dims and names == tuple(map(plain_joint, info.joint_names)):
                return Body(model.refiner, info, order, 1.0, unit, False)
            refiner = self._general(model, names, dims)
            return Body(refiner, _info(info, names, dims), order, 1.0, unit, False)
        return _of_the_track(model, asked, names, dims)

    def _general(self, model: ServedModel, names: tuple[str, ...], dims: int) -> Refiner:
        """The general network for other joints; the last few skeletons are kept."""
        with self._lock:
            key = (model.config.model.checkpoint, names, dims)
            if key not in self._kept:
                self._kept[key] = _loaded(model, names, dims)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def _loaded(model: ServedModel, names: tuple[str, ...], dims: int) -> Refiner:
    own = model.config.model.checkpoint
    try:
        folder = shipped(model.name, dims) or own
    except PoiseError as error:
        raise StreamError(POLICY, "dims", str(error)) from None
    if dims != model.info.dims and folder == own:
        raise StreamError(POLICY, "dims", f"{model.name} takes {model.info.dims} dimensions")
    refiner, _ = load_checkpoint(folder, spec=PoseSpec(len(names), dims, names=names))
    return refiner


def _names(asked: Opening) -> tuple[str, ...]:
    """The joints that a client names, as joint sets spell them; empty where it names none."""
    if asked.skeleton is not None and asked.joints is not None:
        raise StreamError(POLICY, "skeleton", "it names joints, and so does `joints`: give one")
    if asked.skeleton is not None:
        known = joint_sets().get(asked.skeleton)
        if known is None:
            there = ", ".join(joint_sets())
            raise StreamError(POLICY, "skeleton", f"there is none of that name; there are {there}")
        return tuple(map(plain_joint, known.joints))
    names = tuple(map(plain_joint, asked.joints or ()))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise StreamError(POLICY, "joints", f"two joints are {twice!r}")
    return names


def _of_the_track(model: ServedModel, asked: Opening, names: Sequence[str], dims: int) -> Body:
    info = model.info
    wanted = tuple(map(plain_joint, info.joint_names))
    given = list(map(plain_joint, names))
    if sorted(given) != sorted(wanted) or dims != info.dims:
        lacks = [name for name in wanted if name not in given]
        beyond = [name for name in given if name not in wanted]
        which = f"; missing {', '.join(lacks[:5])}" if lacks else ""
        which += f"; unknown {', '.join(beyond[:5])}" if beyond else ""
        raise StreamError(
            POLICY,
            "dims" if dims != info.dims else "joints",
            f"{model.name} takes the {info.joints} joints of {model.track} in {info.dims} "
            f"dimensions{which}",
        )
    in_metres = model.unit == "m"
    unit = asked.unit or model.unit
    if unit not in (_METRES if in_metres else (model.unit,)):
        raise StreamError(POLICY, "unit", f"{model.name} takes {model.unit}")
    scale = _METRES[unit] if in_metres else 1.0
    order = tuple(given.index(name) for name in wanted)
    return Body(model.refiner, info, order, scale, unit, in_metres)


def _info(info: TrackInfo, names: tuple[str, ...], dims: int) -> TrackInfo:
    """What a frame of other joints is."""
    roots = tuple(place for place, name in enumerate(names) if name == "pelvis")
    return replace(
        info,
        joints=len(names),
        dims=dims,
        joint_names=names,
        roots=roots,
        skeleton=None,
        flip=None,
        picked=None,
    )
