"""Doors that the tests of streams share: before a small SynSP++, and before the general network."""

from collections.abc import Iterator

import pytest
from tests.support.serving import save_untrained
from tests.support.streams import open_door, url_of

from poise.checkpoints.shipped import GENERAL, shipped


@pytest.fixture(scope="module")
def synspp(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_untrained(tmp_path_factory.mktemp("m") / "untrained")


@pytest.fixture(scope="module")
def url(synspp: str) -> Iterator[str]:
    with open_door(synspp) as door:
        yield url_of(door)


@pytest.fixture(scope="module")
def general() -> Iterator[str]:
    folder = shipped(GENERAL)
    assert folder is not None
    with open_door(folder, name=GENERAL) as door:
        yield url_of(door)
