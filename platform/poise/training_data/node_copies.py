"""Row groups of a lake elsewhere, copied to the node's own disk when they are first read."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from poise.lake.poses import POSES, Floats, Pose, read_row_group
from poise.lake.split_index import Bools, RowGroup, SplitIndex
from poise.runtime import storage
from poise.runtime.node_cache import NodeCache, reading

#: Of the cache, what one split may take: the rest is for what else a node keeps.
_SHARE: Final = 0.9


class NodeCopies:
    """The poses of a split's row groups: from the second epoch on, a lake elsewhere is not asked.

    Where not all of them fit into the node's cache, the first ones are kept, and the others are
    read from the lake every time: of what comes by once an epoch, a cache that drops the oldest
    would never find anything again.
    """

    def __init__(self, index: SplitIndex) -> None:
        """Choose the row groups to keep: none of a lake that is on this machine."""
        self._index = index
        self._cache = NodeCache.of_settings()
        self._every_S = np.ones(len(index), np.bool_)
        elsewhere = [group for group in index.groups if not storage.is_local(group.path)]
        frames = [int(index.frames_S[group.rows].sum()) for group in elsewhere]
        sizes = len(POSES) * 4 * index.width * np.cumsum(frames, dtype=np.int64)
        fit = int(np.searchsorted(sizes, _SHARE * self._cache.limit_bytes, side="right"))
        self._kept = {(group.path, group.number) for group in elsewhere[:fit]}

    def read(self, group: RowGroup, wanted_S: Bools) -> dict[Pose, Floats]:
        """Read the poses of a row group's wanted sequences, (F, C) each.

        Raises:
            LakeError: the lake cannot be read, or the cache cannot be written.
        """
        if (group.path, group.number) not in self._kept:
            return read_row_group(self._index, group, POSES, wanted_S)

        def copy(folder: Path) -> None:
            poses = read_row_group(self._index, group, POSES, self._every_S)
            for pose, frames_FC in poses.items():
                np.save(folder / f"{pose}.npy", frames_FC)

        keep_F = np.repeat(wanted_S[group.rows], self._index.frames_S[group.rows])
        digest = hashlib.sha256(f"{group.path} {group.number}".encode()).hexdigest()
        with self._cache.entry(f"poses-{digest[:24]}", copy) as folder, reading(folder):
            return {pose: np.load(folder / f"{pose}.npy", mmap_mode="r")[keep_F] for pose in POSES}
