"""The fields of a collection of window vectors, and the index for its size."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from poise_retrieval.errors import CollectionError
from poise_retrieval.milvus.packing import ID, KEY, SUBJECT, SUBJECT_BYTES, VECTOR

_METRIC: Final = "L2"
#: More cells make the build longer, which is slow in old servers, and segments (by default of some
#: 340,000 rows) are divided each on its own.
_CELLS_AT_MOST: Final = 2048
#: Up to here, which is 4,096 rows, every cell is looked into and a search is exact.
_CELLS_ALL_PROBED: Final = 256
_PROBES: Final = 64
#: An index made for a fourth or for four times the rows is made anew.
_STALE: Final = 2.0


def schema(width: int) -> Any:
    """Return the fields of a collection of vectors of ``width`` numbers."""
    from pymilvus import DataType, MilvusClient

    fields = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    fields.add_field(ID, DataType.INT64, is_primary=True)
    fields.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=width)
    # No partition key: to leave one subject out, all other partitions would be searched one by one.
    fields.add_field(SUBJECT, DataType.VARCHAR, max_length=SUBJECT_BYTES)
    fields.add_field(KEY, DataType.INT64)
    return fields


def checked_width(where: str, fields: Sequence[Mapping[str, Any]]) -> int:
    """Return the width of a collection's vectors.

    Raises:
        CollectionError: it has other fields than `schema`.
    """
    from pymilvus import DataType

    types = {field["name"]: DataType(field["type"]) for field in fields}
    wanted = {
        ID: DataType.INT64,
        VECTOR: DataType.FLOAT_VECTOR,
        SUBJECT: DataType.VARCHAR,
        KEY: DataType.INT64,
    }
    if types != wanted:
        raise CollectionError(
            f"collection {where} holds no poses in this version's form: "
            f"it has {_in_words(types)}, wanted are {_in_words(wanted)}; rebuild it"
        )
    return next(int(field["params"]["dim"]) for field in fields if field["name"] == VECTOR)


def index_params(kind: str, **params: int) -> Any:
    """Return the parameters with which Milvus makes an index of the vectors."""
    from pymilvus import MilvusClient

    wanted = MilvusClient.prepare_index_params()
    wanted.add_index(VECTOR, index_type=kind, metric_type=_METRIC, params=params)
    return wanted


def cells(rows: int) -> int:
    """Return the number of cells of an index over this many rows.

    See `NeighbourIndex` for why it has cells and is no graph.
    """
    return min(max(int(4 * rows**0.5), 1), _CELLS_AT_MOST)


def still_fits(index: Mapping[str, Any], rows: int) -> bool:
    """Say whether an index, as Milvus describes it, suits this many rows."""
    if index["index_type"] != "IVF_FLAT":
        return False
    return cells(rows) / _STALE <= _cells_of(index) <= cells(rows) * _STALE


def probes(index: Mapping[str, Any]) -> int:
    """Return how many cells a search looks into, for an index as Milvus describes it."""
    has = _cells_of(index)
    return _CELLS_ALL_PROBED if has <= _CELLS_ALL_PROBED else _PROBES


def _cells_of(index: Mapping[str, Any]) -> int:
    # Milvus Lite does not say; there it follows from the rows.
    return int(index["nlist"]) if "nlist" in index else cells(int(index["total_rows"]))


def _in_words(types: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({kind.name})" for name, kind in sorted(types.items()))
