"""A Ray cluster of machines on this one, each with a name, an address, a home and files of its own.

A machine is a process in namespaces of the kernel, with whatever is started inside. A bridge joins
them, which lies in a namespace too, so that nothing of it is seen outside. All of it ends with the
thread that made it, however that ends.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import psutil
import pytest
from tests.support.sweep_job import ROOT, environment

T = TypeVar("T")

#: The machines that there may be, by name. The store is no node, and outlives them.
ADDRESSES = {
    name: f"10.77.0.{number}" for number, name in enumerate(("store", "head", "first", "second"), 1)
}
_HOSTS = "127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in ADDRESSES.items())
_SPACES = ("--net", "--mount", "--pid", "--uts")
#: The first process of a machine: the mother of those whose own one is gone.
_FIRST = """
mount --bind {disk} {own} && mount --bind {disk}/hosts /etc/hosts && hostname {name} &&
ip link set lo up && echo up && sleep infinity & wait
"""
_OBJECT_STORE = 80_000_000
_PATIENCE_S = 480.0
_NETWORK_SPACE = 0x40000000
_BIN = Path(sys.executable).parent
_ROOTS = os.pathsep.join(str(ROOT / name) for name in ("platform", "models", "retrieval"))


class Machine:
    """A machine from when it is switched on until it is switched off.

    Attributes:
        address: in the network of all.
        disk: its files, as seen from outside; that of a machine of the same name before.
        own: the same, as seen on every machine.
        first: its first process.
    """

    def __init__(self, base: Path, name: str, env: dict[str, str]) -> None:
        """Switch it on; ``env`` is for whatever is started there."""
        self.name, self.address = name, ADDRESSES[name]
        self.disk, self.own = base / name, base / "own"
        for folder in ("home", "tmp", "work"):
            (self.disk / folder).mkdir(parents=True, exist_ok=True)
        (self.disk / "hosts").write_text(_HOSTS)
        home, temporary = str(self.own / "home"), str(self.own / "tmp")
        self._env = env | {"HOME": home, "TMPDIR": temporary, "RAY_TMPDIR": temporary}
        first = _FIRST.format(disk=self.disk, own=self.own, name=name)
        together = ["--fork", "--mount-proc", "--kill-child", "sh", "-c", first]
        self._outer = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", *_SPACES, *together],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._outer.stdout is not None
        if self._outer.stdout.readline() != b"up\n":
            pytest.skip("no machines here: the kernel makes no namespaces")
        (self.first,) = psutil.Process(self._outer.pid).children()

    def start(self, *command: str, log: str, **env: str) -> "subprocess.Popen[bytes]":
        """Start a command there; ``log`` is the file on its disk for what it says."""
        enter = ["nsenter", "--target", str(self.first.pid), *_SPACES, "--"]
        with (self.disk / log).open("ab") as file:
            return subprocess.Popen(
                [*enter, "env", f"--chdir={self.own}/work", *command],
                env=self._env | env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def said(self, process: "subprocess.Popen[bytes]", log: str) -> str:
        """What a command said, once it has ended; an error where it failed."""
        code = process.wait(_PATIENCE_S)
        text = (self.disk / log).read_text()
        assert code == 0, text
        return text

    def inside(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that is in the machine's network."""

        def enter() -> None:
            with open(f"/proc/{self.first.pid}/ns/net") as file:
                assert not ctypes.CDLL(None).setns(file.fileno(), _NETWORK_SPACE)

        with ThreadPoolExecutor(1, initializer=enter) as thread:
            return thread.submit(function).result()

    def works(self, title: str) -> bool:
        """Say whether a Ray process there is at such work."""
        for process in self.first.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any(part.startswith(f"ray::{title}") for part in process.cmdline()[:1]):
                    return True
        return False

    def switch_off(self) -> None:
        """End whatever runs there, at once."""
        self.first.kill()
        self._outer.wait()


class Nodes:
    """Machines that are the nodes of a cluster, which wants a token, and a store beside them.

    Attributes:
        shared: a folder that all machines see, as those of a lab have one of raw files.
        store: the machine with the bridge, for whatever outlives the nodes.
        there: the nodes by name.
        address: of the cluster.
    """

    address = f"{ADDRESSES['head']}:6379"

    def __init__(self, env: Mapping[str, str], head: Mapping[str, str]) -> None:
        """Take the environment of all, and more for the head's Ray; nothing is switched on yet."""
        self._base = Path(tempfile.mkdtemp(prefix="nodes-", dir="/tmp"))  # sockets have short paths
        self.shared = self._base / "shared"
        self.there: dict[str, Machine] = {}
        self._head = head
        self._env = environment(
            PYTHONPATH=_ROOTS,
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=secrets.token_hex(32),
            RAY_USAGE_STATS_ENABLED="0",
            **env,
        )

    def __enter__(self) -> Self:
        """Switch the store on."""
        if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
            pytest.skip("no machines here: root makes them, on Linux, of namespaces of the kernel")
        for folder in (self._base / "own", self.shared):
            folder.mkdir()
        self.store = Machine(self._base, "store", self._env)
        self._wire("link", "add", "bridge", "type", "bridge")
        self._wire("link", "set", "bridge", "up")
        self._wire("addr", "add", f"{self.store.address}/24", "dev", "bridge")
        return self

    def __exit__(self, *_: object) -> None:
        """Switch all off, and throw their disks away."""
        for machine in (*self.there.values(), self.store):
            machine.switch_off()
        shutil.rmtree(self._base, ignore_errors=True)

    def add(self, *names: str) -> None:
        """Switch machines on and let them join, or be the head; those that were lost come back."""
        joining = {name: self._switched_on(name) for name in names}
        started = {name: self._start_ray(machine) for name, machine in joining.items()}
        for name, machine in joining.items():
            machine.said(started[name], "ray.log")
        self.there |= joining

    def poise(self, *arguments: str, on: str = "head", log: str) -> "subprocess.Popen[bytes]":
        """Start a command of Poise on a node, for the cluster."""
        command = [sys.executable, "-m", "poise", *arguments]
        return self.there[on].start(*command, log=log, RAY_ADDRESS=self.address)

    def worker(self, title: str) -> str:
        """Wait until a node other than the head is at some work; return its name."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            for name, machine in self.there.items():
                if name != "head" and machine.works(title):
                    return name
            time.sleep(0.02)
        raise TimeoutError(f"no node does {title}")

    def lose(self, name: str) -> None:
        """Let a node die; the kernel still answers for it, unless it was cut off before."""
        self.there.pop(name).switch_off()
        self._unplug(name)

    def cut(self, name: str) -> None:
        """Let a machine reach no other; nobody is told."""
        self._wire("link", "set", name, "nomaster")

    def mend(self, name: str) -> None:
        """Let it reach the others again."""
        self._wire("link", "set", name, "master", "bridge")

    def _switched_on(self, name: str) -> Machine:
        machine = Machine(self._base, name, self._env)
        inner = str(machine.first.pid)
        self._wire("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", inner)
        self._wire("link", "set", name, "up", "master", "bridge")
        _ip(machine, "addr", "add", f"{machine.address}/24", "dev", "eth0")
        _ip(machine, "link", "set", "eth0", "up")
        # A way out, by which Ray tells a node's address.
        _ip(machine, "route", "add", "default", "via", self.store.address)
        return machine

    def _start_ray(self, machine: Machine) -> "subprocess.Popen[bytes]":
        head = machine.name == "head"
        first = ("--head", "--port=6379", "--include-dashboard=false")
        (machine.disk / "ray.log").unlink(missing_ok=True)
        return machine.start(
            str(_BIN / "ray"),
            "start",
            *(first if head else (f"--address={self.address}",)),
            f"--node-ip-address={machine.address}",
            "--num-cpus=1",
            f"--object-store-memory={_OBJECT_STORE}",
            "--disable-usage-stats",
            log="ray.log",
            **(self._head if head else {}),
        )

    def _unplug(self, name: str) -> None:
        # The kernel does so too, at its leisure.
        _ip(self.store, "link", "del", name, check=False)

    def _wire(self, *words: str) -> None:
        _ip(self.store, *words)


def _ip(machine: Machine, *words: str, check: bool = True) -> None:
    enter = ["nsenter", "--target", str(machine.first.pid), "--net"]
    subprocess.run(
        [*enter, "ip", *words], check=check, stderr=None if check else subprocess.DEVNULL
    )
