"""What `--bulk` means, without a Milvus."""

import boto3  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.object_store import new_bucket

from poise.cli.main import main
from poise.pvd import bulk as pvdbulk
from poise.pvd.options import BulkFolder
from poise.runtime import storage


@pytest.mark.parametrize(
    ("folder", "seen_as", "expected"),
    [
        ("/data/files", None, "/data/files/pvd/a.parquet"),
        ("/data/files/", "/var/lib/milvus/files", "/var/lib/milvus/files/pvd/a.parquet"),
        ("file:///data/files", None, "/data/files/pvd/a.parquet"),
        ("s3://bucket/poise/files/", None, "poise/files/pvd/a.parquet"),
        ("s3://bucket", None, "pvd/a.parquet"),
        ("s3://bucket/poise", "mounted/poise", "mounted/poise/pvd/a.parquet"),
    ],
)
def test_the_server_knows_files_by_its_own_names(
    folder: str, seen_as: str | None, expected: str
) -> None:
    assert BulkFolder(folder, seen_as).to_server("pvd", "a.parquet") == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--bulk", "/data"], "the embedded Milvus cannot import"),
        (["--bulk-seen-as", "/data"], "give both"),
    ],
)
def test_options_that_cannot_be_are_said_before_anything_starts(
    given: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("POISE_MILVUS_URI", raising=False)
    assert main(["pvd", "rebuild", "/no/lake", "uiprmd/kinect/3D", *given]) == 2
    assert said in capsys.readouterr().err


def test_files_lie_where_the_server_is_told_and_go(s3: None) -> None:
    bulk = BulkFolder(f"{new_bucket('a-bucket')}/poise")
    folder = storage.join(bulk.folder, "pvd_1")
    with pvdbulk._emptied(folder):
        (receipt,) = pvdbulk._write(_rows(), folder).to_pylist()
        assert receipt["error"] == ""
        assert np.frombuffer(receipt["ids"], np.int64).tolist() == [3, 5]
        seen = bulk.to_server("pvd_1", receipt["file"])
        (listed,) = boto3.client("s3").list_objects(Bucket="a-bucket", Prefix=seen)["Contents"]
        written = pa.BufferReader(storage.read_bytes(f"s3://a-bucket/{listed['Key']}"))
        assert pq.read_table(written).column("window_id").to_pylist() == [3, 5]
    assert storage.list_dir(folder) == []


def _rows() -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4, np.float32)), 2)
    return pa.table({"window_id": [3, 5], "subject": ["a", "b"], "vector": vectors})
