"""Row groups of a lake elsewhere, copied to the node's own disk when they are first read."""

import hashlib
import time
from pathlib import Path
from typing import Final

import numpy as np

from poise.lake.poses import POSES, Floats, Pose, read_row_group
from poise.lake.split_index import Bools, RowGroup, SplitIndex
from poise.runtime import storage
from poise.runtime.node_cache import NodeCache, reading

#: Of the cache, what may be in use when a copy is added: the rest is for what else a node keeps.
_SHARE: Final = 0.9


class NodeCopies:
    """The poses of a split's row groups: from the second epoch on, a lake elsewhere is not asked.

    Where not all of them fit into the node's cache, those that are read first are kept, and the
    others are read from the lake every time: of what comes by once an epoch, a cache that drops
    the oldest would never find anything again. Nor is anything pushed out that others have used
    since this object was made, such as the copies of another split.
    """

    def __init__(self, index: SplitIndex) -> None:
        """Copy nothing yet; of a lake that is on this machine nothing ever is."""
        self._index = index
        self._cache = NodeCache.of_settings()
        self._every_S = np.ones(len(index), np.bool_)
        self._since = time.time()

    def read(self, group: RowGroup, wanted_S: Bools) -> dict[Pose, Floats]:
        """Read the poses of a row group's wanted sequences, (F, C) each.

        Raises:
            LakeError: the lake cannot be read, or the cache cannot be written.
        """
        digest = hashlib.sha256(f"{group.path} {group.number}".encode()).hexdigest()
        name = f"poses-{digest[:24]}"
        if storage.is_local(group.path) or not self._keeps(name, group):
            return read_row_group(self._index, group, POSES, wanted_S)

        def copy(folder: Path) -> None:
            poses = read_row_group(self._index, group, POSES, self._every_S)
            for pose, frames_FC in poses.items():
                np.save(folder / f"{pose}.npy", frames_FC)

        keep_F = np.repeat(wanted_S[group.rows], self._index.frames_S[group.rows])
        with self._cache.entry(name, copy) as folder, reading(folder):
            return {pose: np.load(folder / f"{pose}.npy", mmap_mode="r")[keep_F] for pose in POSES}

    def _keeps(self, name: str, group: RowGroup) -> bool:
        """Say whether a copy is there, or can be without pushing out what others use."""
        if (self._cache.folder / name).is_dir():
            return True
        frames = int(self._index.frames_S[group.rows].sum())
        size = len(POSES) * 4 * self._index.width * frames
        return self._cache.used_bytes(self._since) + size <= _SHARE * self._cache.limit_bytes
