"""A track to ingest, and a Ray and a Milvus Lite to ingest it with."""

from pathlib import Path

import pytest
from tests.support.ingested_track import TRACK, people
from tests.support.ray_cluster import KNOWS_UNMAPPED

from poise.catalog.splits import SPLITS
from poise.readers.layouts import write_smoothnet


@pytest.fixture
def told(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process know the data sets that the workers know."""
    for name, value in KNOWS_UNMAPPED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def milvus(lite_uri: str, cluster: None) -> str:
    return lite_uri


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in SPLITS:
        write_smoothnet(tmp_path / "data", TRACK, split, people(split))
    return tmp_path / "data"
