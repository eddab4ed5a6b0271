from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.running_milvus import RunningMilvus

from poise_retrieval.milvus.store import PoseStore


@pytest.fixture
def store(milvus: RunningMilvus) -> Iterator[PoseStore]:
    store = PoseStore(milvus.uri)
    yield store
    store.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "milvus"
