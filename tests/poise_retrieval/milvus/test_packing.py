"""Rows as messages and as files to import: what Milvus reads from them is what was given."""

import numpy as np
import pyarrow as pa
import pytest
from pymilvus.grpc_gen import milvus_pb2

from poise_retrieval.errors import VectorError
from poise_retrieval.milvus.bulk import check_once, import_table
from poise_retrieval.milvus.packing import subject_key, upsert_message


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 5000, 600_000])  # 1 to 4 bytes of length
def test_vectors_travel_bit_by_bit(rows: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(rows, 1)).astype(np.float32)
    sent = upsert_message("c", np.arange(rows), vectors, ["S"] * rows).SerializeToString()
    ids, numbers, subjects, keys = milvus_pb2.UpsertRequest.FromString(sent).fields_data
    assert np.array_equal(numbers.vectors.float_vector.data, vectors[:, 0])
    assert numbers.vectors.dim == 1
    assert list(ids.scalars.long_data.data) == list(range(rows))
    assert list(subjects.scalars.string_data.data) == ["S"] * rows
    assert list(keys.scalars.long_data.data) == [subject_key("S")] * rows


def test_files_hold_what_was_given_and_nothing_bad() -> None:
    ids, vectors = np.arange(3), np.arange(6, dtype=np.float32).reshape(3, 2)
    table = import_table(ids, vectors, ["a", "b", "a"])
    assert table.to_pydict() == {
        "window_id": [0, 1, 2],
        "vector": [[0, 1], [2, 3], [4, 5]],
        "subject": ["a", "b", "a"],
        "subject_key": [subject_key(subject) for subject in "aba"],
    }
    assert pa.types.is_list(table.schema.field("vector").type)
    with pytest.raises(VectorError, match="row 1 holds NaN"):
        import_table(ids, np.where(vectors == 3, np.nan, vectors), ["a"] * 3)
    with pytest.raises(VectorError, match="2 subjects for 3 rows"):
        import_table(ids, vectors, ["a"] * 2)
    with pytest.raises(VectorError, match="3 integers"):
        import_table(ids[:2], vectors, ["a"] * 3)
    with pytest.raises(VectorError, match="id 7 comes 2 times"):
        check_once(np.array([7, 0, 7]))
