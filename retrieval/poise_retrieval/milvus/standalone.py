"""A full-size Milvus for one data folder: the server in the ``milvus`` package.

Its etcd listens on loopback. Milvus itself listens on some ten ports of every interface without a
password, which no setting changes: run it behind a firewall or in a container.
"""

import hashlib
import importlib
import os
import platform
import random
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from poise_retrieval.errors import StoreUnavailableError
from poise_retrieval.milvus.server import Launch, MilvusServer

# Below those that outgoing connections are given, which could take one before the server does.
_PORTS: Final = range(20_000, 32_000)

_COORDINATORS_AND_NODES: Final = (
    "rootCoord",
    "proxy",
    "queryCoord",
    "queryNode",
    "indexNode",
    "dataCoord",
    "dataNode",
)
#: Settings of the server that differ from its own defaults.
_SETTINGS: Final = {
    # One segment of up to 4 GiB: searching many small ones costs more than searching.
    "dataCoord.segment.maxSize": "4096",
    "dataCoord.segment.sealProportion": "1.0",
    "dataCoord.segment.maxBinlogFileNumber": "1024",
    # The parts talk over loopback and not over the first address of the machine.
    **{f"{part}.ip": "127.0.0.1" for part in _COORDINATORS_AND_NODES},
    # Milliseconds between two looks at what is to be done; by default seconds pass for nothing.
    "indexCoord.scheduler.interval": "100",
    "queryCoord.checkInterval": "100",
    "queryCoord.checkSegmentInterval": "100",
    "queryCoord.checkChannelInterval": "100",
    "queryCoord.distPullInterval": "100",
    # After a kill it waits until what ran before has timed out.
    "common.session.ttl": "5",
    "log.level": "warn",
    "log.stdout": "false",
}

_ETCD: Final = """\
name: default
data-dir: {folder}
listen-client-urls: http://127.0.0.1:{client}
advertise-client-urls: http://127.0.0.1:{client}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
log-level: warn
log-outputs: [{log}]
"""


class StandaloneMilvus(MilvusServer):
    """The server of the ``milvus`` package for ``data_dir``: millions of rows, many writers.

    Several may run on one machine. The first start in a folder unpacks 250 MB and takes some 15 s,
    a later one up to 25 s. A server that has not stopped after 3 s is killed; the rows that it
    acknowledged are in its log. All its files are in ``data_dir/standalone``.

    Entering raises `StoreUnavailableError` where the package is not installed, is not made for
    this machine, or its server does not start.

    Args:
        data_dir: where it keeps its data.
        port: where it listens if it is started here; 0 for any free port.
        timeout_s: how long a start may take.
    """

    def __init__(self, data_dir: Path, port: int = 0, timeout_s: float = 180.0) -> None:
        super().__init__(Path(data_dir) / "standalone", port, timeout_s)

    def _launch(self) -> Launch:
        package = _package()
        config = package.MilvusServerConfig(data_dir=str(self._folder))
        names = [name for name in config.configurable_items if name.endswith("_port")]
        *ports, etcd_peer, health = _free_ports(len(names) + 2)
        for name, port in zip(names, ports, strict=True):
            config.set(name, port)
        if self._wanted_port:
            config.set("proxy_port", self._wanted_port)
        # Not `resolve`, which finds a port taken on which the last server's connections linger.
        config.resolve_storage()
        config.write_config()
        package._initialize_data_files(str(self._folder))
        etcd = self._folder / "configs" / "etcd.yaml"
        etcd.write_text(
            _ETCD.format(
                folder=config.get("etcd_data_dir"),
                client=config.get("etcd_port"),
                peer=etcd_peer,
                log=config.get("etcd_log_path"),
            )
        )
        binaries = self._folder / "bin"
        # Its pid file lies in a folder of the machine, and two servers must not share it.
        alias = hashlib.sha256(bytes(self._folder)).hexdigest()[:16]
        libraries = f"{binaries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        command = [str(binaries / "milvus"), "run", "standalone", "-alias", alias]
        return Launch(
            ["--port", str(config.get("proxy_port")), "--health-port", str(health), "--", *command],
            {
                **{key.replace(".", "_").upper(): value for key, value in _SETTINGS.items()},
                "DEPLOY_MODE": "STANDALONE",
                "ETCD_CONFIG_PATH": str(etcd),
                "LD_LIBRARY_PATH": libraries,
                "METRICS_PORT": str(health),
            },
        )


def _package() -> Any:
    machine = f"{platform.system()} on {platform.machine()}"
    if machine != "Linux on x86_64":
        raise StoreUnavailableError(
            f"the standalone Milvus is made for Linux on x86_64, this is {machine}: "
            "use EmbeddedMilvus, or the address of a Milvus that runs elsewhere"
        )
    try:
        return importlib.import_module("milvus")
    except ImportError as error:
        raise StoreUnavailableError(
            "the standalone Milvus is not installed: pip install 'poise[milvus]', "
            "or use EmbeddedMilvus"
        ) from error


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_PORTS, len(_PORTS)):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise StoreUnavailableError(
        f"{count} free ports are needed between {_PORTS.start} and {_PORTS.stop}: close something"
    )
