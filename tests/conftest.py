"""What all tests share: one Ray, one Milvus of each kind and one S3 for each test process.

A fixture that starts a process which answers others asks for ``server``; the tests that use it, or
one built on it, get the marker of that name, and ``make check`` leaves them out.
"""

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from poise.runtime.telemetry import turn_off_telemetry

if TYPE_CHECKING:  # fixtures import what they start, so that tests without it start sooner
    from tests.support.running_milvus import RunningMilvus


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, and settle what libraries read only once.

    Whoever starts pytest in the background leaves SIGINT ignored, and children inherit that; a
    signal that is handled here is reset to its default in them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    turn_off_telemetry()
    # Read when gRPC comes up, which in tests may be long before Ray does.
    # See poise.runtime.cluster.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    # Ray reads it once a process. Were it set test by test, an earlier cluster with a token would
    # make a later driver refuse what its workers, who have none, report: the job then hangs.
    os.environ["RAY_AUTH_MODE"] = "disabled"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, and put the files that take longest first."""
    quick = {item.path: 3 for item in items}
    for item in items:
        found = 2 if item.get_closest_marker("slow") else 3
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
            found = 0 if item.path.parent.name == "jobs" else 1
        quick[item.path] = min(found, quick[item.path])
    items.sort(key=lambda item: quick[item.path])


@pytest.fixture(autouse=True)
def settings_of_its_own() -> Iterator[None]:
    """Undo what a command run in this process made its settings."""
    before = _settings()
    yield
    for name in _settings().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _settings() -> dict[str, str]:
    ours = ("POISE_", "MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    return {name: value for name, value in os.environ.items() if name.startswith(ours)}


@pytest.fixture(scope="session")
def server() -> None:
    """Asked for by whatever starts a process that answers others."""


@pytest.fixture(scope="session")
def cluster(server: None) -> Iterator[None]:
    """Ray, for every test that is not about starting it."""
    from tests.support.ray_cluster import shared_ray

    with shared_ray():
        yield


@pytest.fixture(scope="session")
def milvus_lite(
    server: None, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[RunningMilvus]":
    """Milvus Lite, for every test that is not about starting it."""
    yield from _running_milvus("lite", tmp_path_factory)


@pytest.fixture(scope="session")
def milvus_server(
    server: None, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[RunningMilvus]":
    """The real Milvus server, where it can be had."""
    yield from _running_milvus("server", tmp_path_factory)


def _running_milvus(kind: str, folders: pytest.TempPathFactory) -> "Iterator[RunningMilvus]":
    from tests.support.running_milvus import RunningMilvus

    running = RunningMilvus(kind, folders.mktemp(kind))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def lite_uri(milvus_lite: "RunningMilvus") -> Iterator[str]:
    """A Milvus Lite for the tests of one file; what they leave there goes after the last."""
    yield milvus_lite.uri
    milvus_lite.clear()


@pytest.fixture(scope="session", params=["lite", pytest.param("server", marks=pytest.mark.slow)])
def milvus(request: pytest.FixtureRequest, server: None) -> "RunningMilvus":
    """Both kinds, one after the other. Whoever kills one starts it again."""
    found: RunningMilvus = request.getfixturevalue(f"milvus_{request.param}")
    return found


@pytest.fixture(scope="session")
def s3(server: None) -> Iterator[None]:
    """An S3 that the workers of `cluster` reach too."""
    from tests.support import object_store

    with object_store.serving():
        yield
