from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.running_milvus import KINDS, RunningMilvus

from poise_retrieval import PoseStore


@pytest.fixture(scope="session", params=KINDS)
def milvus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningMilvus]:
    server = RunningMilvus(request.param, tmp_path_factory.mktemp(request.param))
    yield server
    server.stop()


@pytest.fixture
def store(milvus: RunningMilvus) -> Iterator[PoseStore]:
    store = PoseStore(milvus.uri)
    yield store
    store.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "milvus"
