"""Splits of the lake that all trials of a sweep read from one place in their machine's memory.

A keeper, which is a Ray actor, loads what a trial asks for and puts it into Ray's object store. The
trials' tensors lie in the store itself, so that a machine holds a split once, however many trials
it runs. Nobody may write into them.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray.exceptions import RayError

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.runtime.errors import PlanError
from poise.training_data.everybody import everybody
from poise.training_data.split import TrackSplit, load_split

#: A split of the lake, or both as one.
Part = Split | Literal["everybody"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitSource:
    """Where a trial gets its splits.

    Attributes:
        lake: folder or URI.
        keeper: name of the actor that shares them; None reads the lake for oneself.
        blind: whether the test split is out of reach, as for the trials of a search.
    """

    lake: str
    keeper: str | None = None
    blind: bool = False

    def split(self, track: Track, split: Part) -> TrackSplit:
        """Return a split in memory; its tensors may be shared, and must not be written to.

        Raises:
            LakeError: the track is not in the lake, or its files do not match each other.
            PlanError: the test split is asked for, and is out of reach.
        """
        if self.blind and split != "train":
            raise PlanError(f"{track}: a search sees the train split alone, not {split}")
        if self.keeper is not None:
            try:
                keeper = ray.get_actor(self.keeper)
                (kept,) = ray.get(keeper.split.remote(str(track), split))
                shared: TrackSplit = ray.get(kept)
                return shared
            # Whatever happened there: what the lake itself says is the better message.
            except (RayError, ValueError) as error:
                log.info("%s %s is read here, and not shared: %s", track, split, error)
        return _load(self.lake, track, split)


def _load(lake: str, track: Track, split: Part) -> TrackSplit:
    return everybody(lake, track) if split == "everybody" else load_split(lake, track, split)


@contextmanager
def shared_splits(lake: str) -> Iterator[SplitSource]:
    """Share the splits of a lake with all workers inside the block."""
    name = f"poise-splits-{uuid.uuid4().hex}"
    keeper = ray.remote(_Keeper).options(name=name, num_cpus=0, max_restarts=-1).remote(lake)
    try:
        yield SplitSource(lake, name)
    finally:
        ray.kill(keeper)


class _Keeper:
    """Keep the splits of one track: a plan goes track by track.

    A split that a trial still reads stays in memory after it was let go here.
    """

    def __init__(self, lake: str) -> None:
        self._lake = lake
        self._track = ""
        self._kept: dict[Part, Any] = {}

    def split(self, track: str, split: Part) -> list[Any]:
        """Return a reference to a split, in a list: a bare one would be fetched on the way."""
        if track != self._track:
            self._kept.clear()
            self._track = track
        if split not in self._kept:
            self._kept[split] = ray.put(_load(self._lake, Track.parse(track), split))
        return [self._kept[split]]
