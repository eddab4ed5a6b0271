"""A Milvus for tests: Lite or the real server, which can be killed and started again."""

import importlib.util
import platform
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import tenacity
from pymilvus import MilvusClient, MilvusException
from tenacity import retry_if_exception_type, stop_after_attempt
from tests.support.ports import free_port

from poise_retrieval.milvus.server import EmbeddedMilvus, MilvusServer
from poise_retrieval.milvus.standalone import StandaloneMilvus


class RunningMilvus:
    """A Milvus at a fixed address; skips the test where the kind cannot be had."""

    def __init__(self, kind: str, folder: Path) -> None:
        if kind == "server":
            needs_package()
        self.kind = kind
        self._folder = folder
        self._port = free_port()
        self.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def writers(self) -> int:
        """How many may write at once."""
        return 1 if self.kind == "lite" else 3

    @property
    def process(self) -> psutil.Process:
        """The process that listens."""
        for child in psutil.Process().children(recursive=True):
            listening = (c.laddr.port for c in child.net_connections() if c.status == "LISTEN")
            if self._port in listening:
                return child
        raise AssertionError(f"nobody listens on {self._port}")

    def kill(self) -> None:
        process = self.process
        process.kill()
        process.wait(10)
        self.stop()

    def start(self) -> None:
        kind = EmbeddedMilvus if self.kind == "lite" else StandaloneMilvus
        self._server: MilvusServer = kind(self._folder, port=self._port)
        self._server.__enter__()
        assert self._server.uri == self.uri

    # A client of this process that waited long has its channel, which a new one shares, closed.
    @tenacity.retry(retry=retry_if_exception_type(MilvusException), stop=stop_after_attempt(3))
    def clear(self) -> None:
        """Drop all aliases and collections."""
        with closing(MilvusClient(self.uri, dedicated=True)) as client:
            for name in client.list_collections():
                for alias in client.list_aliases(name)["aliases"]:
                    client.drop_alias(alias)
                client.drop_collection(name)

    def stop(self) -> None:
        self._server.__exit__(None, None, None)


def needs_package() -> None:
    """Skip where the standalone server cannot be had."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("the standalone Milvus is made for Linux on x86_64")
    if importlib.util.find_spec("milvus") is None:
        pytest.skip("the standalone Milvus is not installed: pip install 'poise[milvus]'")
