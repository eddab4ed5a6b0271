"""How a PVD is filled: what a user may choose, and the collection to fill."""

import posixpath
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from poise.runtime import storage

#: Seconds to wait for a Milvus that does not answer, where nobody says otherwise.
PATIENCE_S: Final = 60.0


@dataclass(frozen=True)
class BulkFolder:
    """A folder that Ray's workers write to and the Milvus server reads from.

    Attributes:
        folder: path or URI, as the workers know it.
        seen_as: the same folder as the server knows it; None where that follows: a path is the
            same path there, and of s3://bucket/prefix the server, whose own bucket that must be,
            knows the prefix.
    """

    folder: str
    seen_as: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", storage.absolute(self.folder))

    def to_server(self, *names: str) -> str:
        """Return what the server calls a file in the folder."""
        place = urlsplit(self.folder)
        bucket = place.scheme not in ("", "file")
        folder = place.path.strip("/") if bucket else place.path
        return posixpath.join(folder if self.seen_as is None else self.seen_as, *names)


@dataclass(frozen=True)
class FillOptions:
    """How rows reach Milvus.

    Attributes:
        writers: tasks that write at once; None for one a CPU of the cluster. Milvus Lite gets one:
            it can lose rows of concurrent writers in a crash.
        bulk: a folder that the Milvus server can read, to have it import files; None to send rows.
        patience_s: seconds to wait for a Milvus that does not answer.
    """

    writers: int | None = None
    bulk: BulkFolder | None = None
    patience_s: float = PATIENCE_S


#: Rows are sent, by a task a CPU.
DEFAULT_FILL: Final = FillOptions()


@dataclass(frozen=True)
class Collection:
    """A collection to fill.

    Attributes:
        uri: the Milvus.
        name: stands for these vectors and no others, so that an interrupted build can go on.
        width: numbers of a vector.
        rows: how many there must be in the end.
    """

    uri: str
    name: str
    width: int
    rows: int
