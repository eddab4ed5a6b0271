from collections.abc import Iterator
from pathlib import Path

import pytest

from poise_retrieval import EmbeddedMilvus, PoseStore


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMilvus]:
    with EmbeddedMilvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture
def store(milvus: EmbeddedMilvus) -> Iterator[PoseStore]:
    store = PoseStore(milvus.uri)
    yield store
    store.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "milvus"
