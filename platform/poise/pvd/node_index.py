"""The index over a PVD's vectors, or a shard of it: built once, in files that a node shares.

Vectors come from the parts beside the lake's others. A small index is made in every process that
asks for it. A larger one lies in the node's cache, as files that its processes map: memory holds
one copy of it, whatever their number.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from poise.lake.ids import encode
from poise.lake.manifest import Exclude
from poise.lake.parts import window_ranges
from poise.lake.split_index import SplitIndex
from poise.pvd.vectors import Floats, read_vectors
from poise.runtime.errors import LakeError
from poise.runtime.node_cache import NodeCache, reading
from poise.runtime.retry import retry
from poise_retrieval.index.neighbour_index import (
    EXACT_ROWS,
    INDEX_VERSION,
    NeighbourIndex,
    index_bytes,
)
from poise_retrieval.milvus.store import PoseStore

#: What one index may take, so that a node of 16 GB holds it: beyond, a PVD is searched shard by
#: shard. It is the same on every node, as what is found depends on it.
SHARD_BYTES: Final = 8 * 2**30
_VECTORS: Final = "vectors.npy"

Files = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Shard:
    """Rows of a PVD that one index holds: consecutive parts of its vectors.

    Attributes:
        train: the split that they are of.
        paths: of the parts.
        begin: number of the first window, in lake order.
        end: number after the last.
        width: numbers of a vector, E.
        exclude: what the index can leave out: the windows of a subject, or those of a take.
        exact_rows: up to so many rows the index is exact.
    """

    train: SplitIndex
    paths: tuple[str, ...]
    begin: int
    end: int
    width: int
    exclude: Exclude
    exact_rows: int = EXACT_ROWS

    @classmethod
    def all(
        cls,
        train: SplitIndex,
        paths: list[str],
        width: int,
        exclude: Exclude,
        shard_bytes: int = SHARD_BYTES,
        exact_rows: int = EXACT_ROWS,
    ) -> list[Self]:
        """Deal the parts of a PVD, in order, to as few shards as memory allows: mostly one."""
        places = window_ranges(train.windows)
        shards: list[Self] = []
        first = 0
        for last, (_, end) in enumerate(places):
            begin = places[first][0]
            last_of_all = end == train.windows
            if last_of_all or index_bytes(places[last + 1][1] - begin, width) > shard_bytes:
                some = tuple(paths[first : last + 1])
                shards.append(cls(train, some, begin, end, width, exclude, exact_rows))
                first = last + 1
        return shards

    @property
    def exact(self) -> bool:
        """Whether its index looks at every row."""
        return self.end - self.begin <= self.exact_rows

    def open(self, fetch: Callable[[], Files] | None = None) -> NeighbourIndex:
        """Open its index; of one that is not exact, the first process of a node makes the files.

        Args:
            fetch: function that returns what another node made (`open_to_share`); None to build it
                here.

        Raises:
            LakeError: a part cannot be read, or holds other windows; the cache cannot be written.
        """
        if self.exact:
            return self._build(np.empty((self.end - self.begin, self.width), np.float32))
        with self._made(fetch) as folder:
            return _opened(folder)

    def open_to_share(self) -> tuple[NeighbourIndex, Files]:
        """Open as `open` does; also return the files but for the vectors, to open it elsewhere."""
        if self.exact:
            return self.open(), {}
        with self._made(None) as folder, reading(folder):
            names = [path.name for path in folder.iterdir() if path.name != _VECTORS]
            files = {name: np.fromfile(folder / name, np.uint8) for name in names}
            return _opened(folder), files

    @contextmanager
    def _made(self, fetch: Callable[[], Files] | None) -> Iterator[Path]:
        def make(folder: Path) -> None:
            vectors_NE = _reserved(folder / _VECTORS, (self.end - self.begin, self.width))
            if fetch is None:
                self._build(vectors_NE).write(folder)
            else:
                self._fill(vectors_NE)
                for name, content in fetch().items():
                    content.tofile(folder / name)

        with NodeCache.of_settings().entry(self._name, make) as folder:
            yield folder

    def _build(self, vectors_NE: Floats) -> NeighbourIndex:
        ids_N, row_N = self._fill(vectors_NE)
        labels_N = np.array(self.train.kept_apart(self.exclude), object)[row_N]
        return NeighbourIndex.build(ids_N, vectors_NE, labels_N, self.exact_rows)

    def _fill(self, vectors_NE: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read the vectors to their places; return the windows' ids and rows of their sequences."""
        row_N, start_N = self.train.places(np.arange(self.begin, self.end))
        ids_N = encode(self.train.ids_S[row_N], start_N)
        at = 0
        for path in self.paths:
            ids_B, vectors_BE, _ = read_vectors(path)
            here = slice(at, at + len(ids_B))
            at = here.stop
            if not np.array_equal(ids_B, ids_N[here]):
                raise self._other_windows(path)
            vectors_NE[here] = vectors_BE
        if at < len(ids_N):
            raise self._other_windows(self.paths[-1])
        return ids_N, row_N

    def _other_windows(self, path: str) -> LakeError:
        return LakeError(
            f"{path}: holds other windows than the train split; run poise ingest --track "
            f"{self.train.track} --force"
        )

    @property
    def _name(self) -> str:
        """The same for the same index: names of parts stand for what is in them."""
        groups = (group.path for group in self.train.groups)
        parts = sorted({path.rsplit("/", 1)[-1] for path in (*groups, *self.paths)})
        made = [self.exclude, self.exact_rows, INDEX_VERSION, faiss.__version__]
        digest = hashlib.sha256(repr([parts, self.begin, self.end, made]).encode())
        return f"index-{digest.hexdigest()[:24]}"


def load_index(uri: str, collection: str, patience_s: float) -> NeighbourIndex:
    """Build an index of the rows that Milvus holds, page by page, where the lake has not got them.

    Args:
        uri: the Milvus.
        collection: or an alias.
        patience_s: how long to wait for a Milvus that does not answer.

    Raises:
        LakeError: the collection changed while it was read.
        StoreUnavailableError: Milvus stayed away.
    """
    with closing(PoseStore(uri)) as store:
        return NeighbourIndex.build(*retry(lambda: _read(store, collection), patience_s))


def _reserved(path: Path, shape: tuple[int, int]) -> Floats:
    """Map a new file to which the disk has given all its bytes; raise `OSError` where it is full.

    The file of `open_memmap` is a hole, and where a full disk cannot fill it, writing to it ends
    the process.
    """
    vectors_NE = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    with path.open("r+b", buffering=0) as file:
        size = path.stat().st_size
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (AttributeError, OSError) as error:  # some systems and file systems cannot
            if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            file.seek(vectors_NE.offset)
            zeros = bytes(2**20)
            while (left := size - file.tell()) > 0:
                file.write(zeros[:left])
    return vectors_NE


def _opened(folder: Path) -> NeighbourIndex:
    with reading(folder):
        vectors_NE = np.asarray(np.load(folder / _VECTORS, mmap_mode="r"))
        return NeighbourIndex.open(folder, vectors_NE)


def _read(
    store: PoseStore, collection: str
) -> tuple[NDArray[np.int64], NDArray[np.float32], list[str]]:
    """Read all rows into arrays of their final size: six million vectors may not fit twice."""
    count, at = store.count(collection), 0
    ids_N = np.empty(count, np.int64)
    vectors_NE: NDArray[np.float32] | None = None
    known: dict[str, str] = {}
    subjects: list[str] = []
    for ids_B, vectors_BE, subjects_B in store.rows(collection):
        if vectors_NE is None:
            vectors_NE = np.empty((count, vectors_BE.shape[1]), np.float32)
        here = slice(at, at + len(ids_B))
        at = here.stop
        if at <= count:
            ids_N[here], vectors_NE[here] = ids_B, vectors_BE
            subjects += [known.setdefault(name, name) for name in subjects_B]
    if at != count or vectors_NE is None:
        raise LakeError(
            f"collection {collection} at {store.uri} gave {at} rows of {count}: it is empty, or "
            "another process writes to it; let that end, then try again"
        )
    return ids_N, vectors_NE, subjects
