"""The Pose Vector Database: collections of (window id, vector, subject) in Milvus.

Distances are squared L2 throughout, as Milvus returns them.
Shape letters: B rows or queries, K neighbours, E numbers of a vector.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from poise_retrieval.errors import CollectionError, RefusedError, SubjectRuleError
from poise_retrieval.milvus.connection import NO_INDEX, NOT_LOADED, Connection
from poise_retrieval.milvus.packing import (
    ID,
    KEY,
    SUBJECT,
    VECTOR,
    check_subjects,
    checked_ids,
    last_of_each,
    rows_of_a_message,
    subject_key,
    upsert_message,
)
from poise_retrieval.milvus.schema import (
    cells,
    checked_width,
    index_params,
    probes,
    schema,
    still_fits,
)
from poise_retrieval.neighbours import Neighbours, by_subject, checked_vectors

_QUERIES: Final = 1416
_PAGE: Final = 8192
_DELETES: Final = 8192
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
        self._probes: dict[str, int] = {}
        self._unsealed: set[str] = set()

    @property
    def uri(self) -> str:
        """Address of the Milvus server."""
        return self._connection.uri

    @property
    def one_writer(self) -> bool:
        """Whether this is a Milvus Lite, which may lose rows of concurrent writers in a crash."""
        # A standalone server calls itself Lite at the end of its version.
        version = str(self._connection.call("get_server_version"))
        return version.replace("_", "-").startswith("milvus-lite")

    def create(self, collection: str, width: int) -> None:
        """Create a collection for vectors of ``width`` numbers; keep it where it exists.

        Raises:
            CollectionError: a bad name, or it exists with another width or other fields.
        """
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
            self._connection.call(
                "create_collection",
                collection,
                schema=schema(width),
                num_shards=1,
                consistency_level="Strong",
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
            collection: its name.
            ids: (B,) window ids.
            vectors: (B, E) float32.
            subjects: (B,) subject of each window.

        Raises:
            CollectionError: no such collection.
            VectorError: wrong width, NaN, lengths that differ, a subject over 256 bytes. Nothing
                is written then.
        """
        vectors_BE = checked_vectors(vectors, self._width(collection), f"rows for {collection}")
        ids_B = checked_ids(ids, len(vectors_BE))
        check_subjects(subjects, len(vectors_BE))
        self._unsealed.add(collection)
        keep = last_of_each(ids_B)
        step = rows_of_a_message(vectors_BE.shape[1])
        for start in range(0, len(keep), step):
            part = keep[start : start + step]
            names = [subjects[row] for row in part.tolist()]
            message = upsert_message(collection, ids_B[part], vectors_BE[part], names)
            self._loaded(collection, partial(self._connection.upsert, message))

    def delete(self, collection: str, ids: NDArray[np.int64]) -> None:
        """Delete the rows of these ids; unknown ids are ignored.

        Searches do not find them from then on; the collection need not be sealed again.

        Args:
            collection: its name.
            ids: (B,) window ids.

        Raises:
            CollectionError: no such collection.
            VectorError: ids that are not integers.
        """
        ids_B = checked_ids(ids, len(ids))
        for start in range(0, len(ids_B), _DELETES):
            part = ids_B[start : start + _DELETES].tolist()
            self._call_loaded(collection, "delete", collection, ids=part)

    def seal(self, collection: str) -> None:
        """Flush, index and load a collection: only then may it be searched.

        Building the index takes some seconds for 10,000 rows on one core.

        Raises:
            CollectionError: no such collection.
        """
        call = self._connection.call
        call("flush", collection, timeout=_BUILD_TIMEOUT_S)
        rows = int(call("get_collection_stats", collection)["row_count"])
        indexed = VECTOR in call("list_indexes", collection)
        if indexed:
            # Milvus Lite indexes new rows of a loaded collection in the background and compares
            # every vector until then; loading it afresh waits for the index.
            call("release_collection", collection)
            if not still_fits(call("describe_index", collection, VECTOR), rows):
                call("drop_index", collection, VECTOR)
                indexed = False
        if not indexed:
            params = index_params("IVF_FLAT", nlist=cells(rows))
            call("create_index", collection, params, timeout=_BUILD_TIMEOUT_S)
        call("load_collection", collection, timeout=_BUILD_TIMEOUT_S)
        self._probes.pop(collection, None)
        self._unsealed.discard(collection)

    def count(self, collection: str) -> int:
        """Count the rows, all acknowledged writes included.

        Raises:
            CollectionError: no such collection, or (a full Milvus) never sealed.
        """
        answer = self._call_loaded(
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
        for page in self._pages(collection, [ID, VECTOR, SUBJECT]):
            yield (
                _ids_of(page),
                np.asarray([row[VECTOR] for row in page], np.float32),
                [row[SUBJECT] for row in page],
            )

    def ids(self, collection: str) -> NDArray[np.int64]:
        """Read the ids of all rows, sorted (N,), also of a collection that is not sealed.

        Raises:
            CollectionError: no such collection.
        """
        call = self._connection.call
        call("flush", collection, timeout=_BUILD_TIMEOUT_S)
        sealed = VECTOR in call("list_indexes", collection)
        if not sealed:
            # A server reads only what is indexed and loaded. `seal` replaces this index.
            call("create_index", collection, index_params("FLAT"), timeout=_BUILD_TIMEOUT_S)
        call("load_collection", collection, timeout=_BUILD_TIMEOUT_S)
        pages = [_ids_of(page) for page in self._pages(collection, [ID])]
        if not sealed:
            call("release_collection", collection)
        return np.sort(np.concatenate([np.empty(0, np.int64), *pages]))

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
        # "Session" below sees what this process deleted; "Strong" would make a server wait for its
        # clock, 200 ms, and sealed rows are all there without.
        settings = {"params": {"nprobe": self._probes_of(collection)}}
        result = Neighbours.none_found(len(queries_BE), k)
        for subject, rows in by_subject(exclude, len(queries_BE)):
            for start in range(0, len(rows), _QUERIES):
                part = rows[start : start + _QUERIES]
                hits = self._call_loaded(
                    collection,
                    "search",
                    collection,
                    data=queries_BE[part],
                    limit=k,
                    filter="" if subject is None else f"{KEY} != {subject_key(subject)}",
                    output_fields=[SUBJECT],
                    search_params=settings,
                    consistency_level="Session",
                )
                _fill(result, part, hits, subject)
        return result

    def publish(self, alias: str, collection: str) -> None:
        """Point an alias at a collection; an existing alias is switched atomically.

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
        self._forget(alias)

    def resolve(self, alias: str) -> str | None:
        """Name the collection an alias points at; None where there is no such alias."""
        try:
            answer = self._connection.call("describe_alias", alias)
        except CollectionError:
            return None
        return str(answer["collection_name"])

    def aliases(self, collection: str) -> tuple[str, ...]:
        """Name the aliases that point at a collection, sorted.

        Raises:
            CollectionError: no such collection.
        """
        return tuple(sorted(self._connection.call("list_aliases", collection)["aliases"]))

    def drop(self, collection: str) -> None:
        """Delete a collection and its rows.

        Raises:
            CollectionError: no such collection, or an alias still points at it.
        """
        if collection not in self.list():
            raise CollectionError(f"{self.uri} has no collection {collection}: nothing to drop")
        aliases = self.aliases(collection)
        if aliases:
            raise CollectionError(
                f"collection {collection} is published as {', '.join(aliases)}: "
                "publish another one there first"
            )
        self._connection.call("drop_collection", collection)
        self._forget(collection)
        self._unsealed.discard(collection)

    def list(self) -> tuple[str, ...]:
        """Name all collections, sorted; aliases are not among them."""
        return tuple(sorted(self._connection.call("list_collections")))

    def close(self) -> None:
        """Close the connection; a later call opens another."""
        self._connection.close()

    def _width(self, collection: str) -> int:
        if collection not in self._widths:
            fields = self._connection.call("describe_collection", collection)["fields"]
            self._widths[collection] = checked_width(f"{collection} at {self.uri}", fields)
        return self._widths[collection]

    def _probes_of(self, collection: str) -> int:
        if collection not in self._probes:
            name = self.resolve(collection) or collection
            if VECTOR not in self._connection.call("list_indexes", name):
                raise _not_sealed(collection)
            index = self._connection.call("describe_index", name, VECTOR)
            self._probes[collection] = probes(index)
        return self._probes[collection]

    def _forget(self, name: str) -> None:
        self._widths.pop(name, None)
        self._probes.pop(name, None)

    def _pages(
        self, collection: str, fields: Sequence[str]
    ) -> Iterator[Sequence[Mapping[str, Any]]]:
        pages = self._call_loaded(
            collection, "query_iterator", collection, batch_size=_PAGE, output_fields=fields
        )
        try:
            while page := self._connection.run("query_iterator", pages.next):
                yield page
        finally:
            pages.close()

    def _call_loaded(self, collection: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._loaded(collection, partial(self._connection.call, method, *args, **kwargs))

    def _loaded(self, collection: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except RefusedError as error:
            if error.code != NOT_LOADED:
                raise
        # A server that was started again has its collections on disk but not loaded.
        try:
            self._connection.call("load_collection", collection, timeout=_BUILD_TIMEOUT_S)
        except RefusedError as error:
            if error.code != NO_INDEX:
                raise
            raise _not_sealed(collection) from error
        return call()


def _not_sealed(collection: str) -> CollectionError:
    return CollectionError(f"collection {collection} is not sealed: seal it first")


def _ids_of(page: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    return np.fromiter((row[ID] for row in page), np.int64, len(page))


def _fill(
    result: Neighbours,
    part: NDArray[np.int64],
    hits: Sequence[Any],
    subject: str | None,
) -> None:
    for row, found in zip(part.tolist(), hits, strict=True):
        if subject is not None and any(hit["entity"][SUBJECT] == subject for hit in found):
            raise SubjectRuleError(f"Milvus found windows of {subject!r}, which was excluded")
        # Not by the field's name: servers before 2.4 do not say which one is the key.
        result.ids_BK[row, : len(found)] = found.ids
        result.distances_BK[row, : len(found)] = found.distances
