"""The Pose Vector Database: collections of (window id, vector, subject) in Milvus.

Distances are squared L2 throughout, as Milvus returns them.
Shape letters: B rows or queries, K neighbours, E numbers of a vector.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.connection import NO_INDEX, NOT_LOADED, Connection
from poise_retrieval.errors import (
    CollectionError,
    RefusedError,
    SubjectRuleError,
    VectorError,
)
from poise_retrieval.neighbours import Neighbours, by_subject, checked_vectors

_ID, _VECTOR, _SUBJECT = "window_id", "vector", "subject"
_SUBJECT_BYTES: Final = 256
_BATCH_BYTES: Final = 4 * 2**20
_ROW_OVERHEAD: Final = 32
_QUERIES: Final = 1416
_PAGE: Final = 8192
_PROBES: Final = 64
_CELLS_AT_MOST: Final = 4096
_BUILD_TIMEOUT_S: Final = 3600.0
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")

Rows = tuple[NDArray[np.int64], NDArray[np.float32], list[str]]


class PoseStore:
    """Collections of window vectors at one Milvus URI.

    Every call may raise `StoreUnavailableError`. The connection is made at the first call and is
    left behind when the store is pickled, so a store may be handed to workers.
    """

    def __init__(self, uri: str, timeout_s: float = 30.0) -> None:
        self._connection = Connection(uri, timeout_s)
        self._widths: dict[str, int] = {}
        self._unsealed: set[str] = set()

    @property
    def uri(self) -> str:
        """Address of the Milvus server."""
        return self._connection.uri

    def create(self, collection: str, width: int) -> None:
        """Create a collection for vectors of ``width`` numbers; keep it where it exists.

        Raises:
            CollectionError: a bad name, or it exists with another width.
        """
        from pymilvus import DataType, MilvusClient

        if not _NAME.fullmatch(collection):
            raise CollectionError(
                f"{collection!r} is no collection name: use letters, digits and underscores, "
                "not starting with a digit"
            )
        if self._connection.call("has_collection", collection):
            existing = self._width(collection)
            if existing != width:
                raise CollectionError(
                    f"collection {collection} exists with width {existing}, not {width}: "
                    "drop it or choose another name"
                )
        else:
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field(_ID, DataType.INT64, is_primary=True)
            schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=width)
            schema.add_field(_SUBJECT, DataType.VARCHAR, max_length=_SUBJECT_BYTES)
            self._connection.call(
                "create_collection", collection, schema=schema, consistency_level="Strong"
            )

    def upsert(
        self,
        collection: str,
        ids: NDArray[np.int64],
        vectors: NDArray[np.float32],
        subjects: Sequence[str],
    ) -> None:
        """Write rows, replacing those of the same id; of equal ids in one call the last counts.

        Args:
            collection: where to.
            ids: (B,) window ids.
            vectors: (B, E) float32.
            subjects: (B,) subject of each window.

        Raises:
            CollectionError: no such collection.
            VectorError: wrong width, NaN, lengths that differ, a subject over 256 bytes. Nothing
                is written then.
        """
        vectors_BE = checked_vectors(vectors, self._width(collection), f"rows for {collection}")
        ids_B = _checked_ids(ids, len(vectors_BE))
        _check_subjects(subjects, len(vectors_BE))
        self._unsealed.add(collection)
        keep = _last_of_each(ids_B)
        step = max(_BATCH_BYTES // (vectors_BE.shape[1] * 4 + _SUBJECT_BYTES + _ROW_OVERHEAD), 1)
        for start in range(0, len(keep), step):
            rows = [
                {_ID: int(ids_B[row]), _VECTOR: vectors_BE[row], _SUBJECT: subjects[row]}
                for row in keep[start : start + step].tolist()
            ]
            self._loaded(collection, "upsert", collection, rows)

    def seal(self, collection: str) -> None:
        """Flush, index and load a collection: only then may it be searched.

        Takes as long as building the index takes, some seconds for 10,000 rows on one core.

        Raises:
            CollectionError: no such collection.
        """
        call = self._connection.call
        call("flush", collection, timeout=_BUILD_TIMEOUT_S)
        if _VECTOR in call("list_indexes", collection):
            # Milvus Lite indexes new rows of a loaded collection in the background and compares
            # every vector until then; loading it afresh waits for the index.
            call("release_collection", collection)
        else:
            self._create_index(collection)
        call("load_collection", collection, timeout=_BUILD_TIMEOUT_S)
        self._unsealed.discard(collection)

    def count(self, collection: str) -> int:
        """Count the rows, all acknowledged writes included.

        Raises:
            CollectionError: no such collection, or (a full Milvus) never sealed.
        """
        answer = self._loaded(
            collection,
            "query",
            collection,
            output_fields=["count(*)"],
            consistency_level="Strong",
        )
        return int(answer[0]["count(*)"])

    def rows(self, collection: str) -> Iterator[Rows]:
        """Stream all rows in order of id: (ids (B,), vectors (B, E), subjects (B,)).

        Raises:
            CollectionError: no such collection, or (a full Milvus) never sealed.
        """
        pages = self._loaded(
            collection,
            "query_iterator",
            collection,
            batch_size=_PAGE,
            output_fields=[_ID, _VECTOR, _SUBJECT],
        )
        try:
            while page := self._connection.run("query_iterator", pages.next):
                yield (
                    np.fromiter((row[_ID] for row in page), np.int64, len(page)),
                    np.asarray([row[_VECTOR] for row in page], np.float32),
                    [row[_SUBJECT] for row in page],
                )
        finally:
            pages.close()

    def search(
        self,
        collection: str,
        vectors: NDArray[np.float32],
        k: int,
        exclude: Sequence[str | None] | None = None,
    ) -> Neighbours:
        """Find each query's k nearest windows, none of its excluded subject.

        Args:
            collection: a sealed collection, or an alias.
            vectors: (B, E) float32 queries.
            k: neighbours wanted.
            exclude: (B,) subject to leave out of each query's answer, or None.

        Raises:
            CollectionError: no such collection, or rows were written and not sealed.
            VectorError: wrong width, NaN, or not one subject for each query.
            SubjectRuleError: Milvus returned an excluded subject.
        """
        if collection in self._unsealed:
            raise CollectionError(f"collection {collection} has new rows: seal it before searching")
        queries_BE = checked_vectors(vectors, self._width(collection), f"queries to {collection}")
        result = Neighbours.none_found(len(queries_BE), k)
        for subject, rows in by_subject(exclude, len(queries_BE)):
            for start in range(0, len(rows), _QUERIES):
                part = rows[start : start + _QUERIES]
                hits = self._loaded(
                    collection,
                    "search",
                    collection,
                    data=queries_BE[part],
                    limit=k,
                    filter="" if subject is None else f"{_SUBJECT} != {quoted(subject)}",
                    output_fields=[_SUBJECT],
                    search_params={"params": {"nprobe": _PROBES}},
                    consistency_level="Strong",
                )
                _fill(result, part, hits, subject)
        return result

    def publish(self, alias: str, collection: str) -> None:
        """Point an alias at a collection, atomically where the alias exists.

        Raises:
            CollectionError: no such collection, or the alias is a collection's name.
        """
        current = self.resolve(alias)
        if current is None:
            if alias in self.list():
                raise CollectionError(f"{alias} is a collection: choose another alias")
            self._connection.call("create_alias", collection, alias)
        elif current != collection:
            self._connection.call("alter_alias", collection, alias)
        self._widths.pop(alias, None)

    def resolve(self, alias: str) -> str | None:
        """Name the collection an alias points at; None where there is no such alias."""
        try:
            answer = self._connection.call("describe_alias", alias)
        except CollectionError:
            return None
        return str(answer["collection_name"])

    def drop(self, collection: str) -> None:
        """Delete a collection and its rows.

        Raises:
            CollectionError: no such collection, or an alias still points at it.
        """
        if collection not in self.list():
            raise CollectionError(f"{self.uri} has no collection {collection}: nothing to drop")
        aliases = self._connection.call("list_aliases", collection)["aliases"]
        if aliases:
            raise CollectionError(
                f"collection {collection} is published as {', '.join(aliases)}: "
                "publish another one there first"
            )
        self._connection.call("drop_collection", collection)
        self._widths.pop(collection, None)
        self._unsealed.discard(collection)

    def list(self) -> tuple[str, ...]:
        """Name all collections, sorted; aliases are not among them."""
        return tuple(sorted(self._connection.call("list_collections")))

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        self._connection.close()

    def _width(self, collection: str) -> int:
        if collection not in self._widths:
            described = self._connection.call("describe_collection", collection)
            fields = {field["name"]: field for field in described["fields"]}
            if set(fields) != {_ID, _VECTOR, _SUBJECT}:
                raise CollectionError(
                    f"collection {collection} at {self.uri} holds no poses: "
                    f"its fields are {', '.join(sorted(fields))}"
                )
            self._widths[collection] = int(fields[_VECTOR]["params"]["dim"])
        return self._widths[collection]

    def _create_index(self, collection: str) -> None:
        from pymilvus import MilvusClient

        rows = int(self._connection.call("get_collection_stats", collection)["row_count"])
        wanted = MilvusClient.prepare_index_params()
        # Cells, not a graph: `NeighbourIndex` says why. Up to 256 rows the search is exact.
        wanted.add_index(
            _VECTOR,
            index_type="IVF_FLAT",
            metric_type="L2",
            params={"nlist": min(max(int(4 * rows**0.5), 1), _CELLS_AT_MOST)},
        )
        self._connection.call("create_index", collection, wanted, timeout=_BUILD_TIMEOUT_S)

    def _loaded(self, collection: str, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._connection.call(method, *args, **kwargs)
        except RefusedError as error:
            if error.code != NOT_LOADED:
                raise
        # A server that was started again has its collections on disk but not loaded.
        try:
            self._connection.call("load_collection", collection, timeout=_BUILD_TIMEOUT_S)
        except RefusedError as error:
            if error.code != NO_INDEX:
                raise
            raise CollectionError(
                f"collection {collection} is not sealed: seal it first"
            ) from error
        return self._connection.call(method, *args, **kwargs)


def quoted(subject: str) -> str:
    """Write a subject as a literal of Milvus's filter language.

    Raises:
        VectorError: it holds control characters, for which that language has no escape.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in subject):
        raise VectorError(f"subject {subject!r} holds control characters: rename it")
    return '"' + subject.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _checked_ids(ids: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    ids_B = np.asarray(ids)
    if ids_B.shape != (rows,) or not np.issubdtype(ids_B.dtype, np.integer):
        raise VectorError(f"ids must be {rows} integers, got {ids_B.dtype} of shape {ids_B.shape}")
    return ids_B.astype(np.int64)


def _check_subjects(subjects: Sequence[str], rows: int) -> None:
    if len(subjects) != rows:
        raise VectorError(f"{len(subjects)} subjects for {rows} rows: give one each")
    for subject in set(subjects):
        _ = quoted(subject)
        if len(subject.encode()) > _SUBJECT_BYTES:
            raise VectorError(f"subject {subject[:40]!r}... is longer than {_SUBJECT_BYTES} bytes")


def _last_of_each(ids_B: NDArray[np.int64]) -> NDArray[np.intp]:
    _, from_the_end = np.unique(ids_B[::-1], return_index=True)
    return np.sort(len(ids_B) - 1 - from_the_end)


def _fill(
    result: Neighbours,
    part: NDArray[np.int64],
    hits: Sequence[Sequence[Mapping[str, Any]]],
    subject: str | None,
) -> None:
    for row, found in zip(part.tolist(), hits, strict=True):
        if subject is not None and any(hit["entity"][_SUBJECT] == subject for hit in found):
            raise SubjectRuleError(f"Milvus found windows of {subject!r}, which was excluded")
        result.ids_BK[row, : len(found)] = [hit[_ID] for hit in found]
        result.distances_BK[row, : len(found)] = [hit["distance"] for hit in found]
