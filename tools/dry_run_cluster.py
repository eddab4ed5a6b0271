#!/usr/bin/env python3
"""Run the commands of a file of ``ray up`` in a bare root file system: a head and a worker.

Root only, on Linux. Make the root first: ``debootstrap --include=ca-certificates,sudo,procps
bookworm ROOT``. Each node has name spaces of its own for processes, network and mounts; what it
starts ends with this program. Setting up goes through this machine's network.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

USER, HOME = "ubuntu", "/home/ubuntu"
HEAD, WORKER = "192.0.2.1", "192.0.2.2"
#: As Ray's launcher runs a command over ssh.
SHELL = "source ~/.bashrc; export OMP_NUM_THREADS=1 PYTHONWARNINGS=ignore; {variables} ({command})"
PATIENCE_S = 900
#: Wait until both nodes are there; ask for them by way of a job.
TWO_NODES = (
    "for i in $(seq 60); do ray list nodes -f state=ALIVE | grep -c ALIVE | grep -qx 2 && break; "
    "sleep 1; done"
)
NODES = (
    "import ray; ray.init(log_to_driver=False); "
    'print(sorted({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}))'
)

#: Whoever has no token.
REFUSED = "grep -o 'Authentication token is missing or incorrect'"


class Node:
    """The root file system in name spaces of its own."""

    def __init__(self, root: Path, binds: list[str], *, network: bool) -> None:
        self._root = root
        spaces = ["--pid", "--mount", *([] if network else ["--net"])]
        self._init = subprocess.Popen(
            ["unshare", *spaces, "--fork", "--kill-child", "sleep", "infinity"]
        )
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children")
        while not (found := children.read_text().split()):
            time.sleep(0.05)
        self.pid = found[0]
        self._enter = ["nsenter", "--target", self.pid, "--pid", "--mount"]
        self._enter += [] if network else ["--net"]
        mounts = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]
        mounts += [f"mount -t tmpfs -o mode=1777 tmpfs {root}/{own}" for own in ("dev/shm", "tmp")]
        mounts += [f"mkdir -p {root}{one} && mount --bind {one} {root}{one}" for one in binds]
        self.outside(" && ".join(mounts))

    def outside(self, command: str) -> None:
        """Run a command of this machine's in the name spaces."""
        subprocess.run([*self._enter, "sh", "-ec", command], check=True)

    def run(self, command: str, **variables: str) -> None:
        """Run a command as the launcher would, and show it with what it says."""
        print(f"$ {command}", flush=True)
        given = " ".join(f"export {name}={shlex.quote(one)};" for name, one in variables.items())
        line = SHELL.format(variables=given, command=command)
        inside = [*self._enter, "chroot", str(self._root), "setpriv", "--reuid", USER, "--regid"]
        inside += [USER, "--init-groups", "--reset-env", "bash", "--login", "-c", "-i", line]
        begun = time.monotonic()
        done = subprocess.run(
            inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        print("".join(f"  {text}\n" for text in done.stdout.strip().splitlines()[-12:]), end="")
        print(f"  exit code {done.returncode}, {time.monotonic() - begun:.0f} s", flush=True)
        if done.returncode:
            sys.exit(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._init.kill()
        self._init.wait()


def main() -> None:
    """Set up, start a head and a worker, look at the cluster, run on it, stop both."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--set-up", action="store_true", help="it is: only start Ray and stop it")
    parser.add_argument("--bind", nargs="*", default=[], help="folders of this machine to be there")
    given = parser.parse_args()
    config = prepare_config(yaml.safe_load(given.file.read_text()))
    validate_config(config)
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    with Node(given.root, given.bind, network=True) as node:
        prepare(given.root, config)
        for command in [] if given.set_up else config["setup_commands"]:
            node.run(command, **pip)
    with (
        Node(given.root, [], network=False) as head,
        Node(given.root, [], network=False) as worker,
    ):
        connect(head, worker)
        for command in config["head_start_ray_commands"]:
            head.run(command)
        for command in config["worker_start_ray_commands"]:
            worker.run(command, RAY_HEAD_IP=HEAD)
        head.run(f"{TWO_NODES}; ray status")
        worker.run(f"export RAY_ADDRESS={HEAD}:6379; python -c '{NODES}'")
        worker.run(f"RAY_AUTH_MODE=disabled ray status --address {HEAD}:6379 2>&1 | {REFUSED}")
        worker.run("ray stop")
        head.run("ray stop")


def prepare(root: Path, config: dict[str, Any]) -> None:
    """Make the user, and put there what the launcher copies."""
    home = root / HOME.lstrip("/")
    if not home.exists():
        subprocess.run(
            ["chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", USER],
            check=True,
        )
        (root / "etc/sudoers.d/launcher").write_text(f"{USER} ALL=(ALL) NOPASSWD:ALL\n")
    for name in ("resolv.conf", "hosts"):
        (root / "etc" / name).write_bytes(Path("/etc", name).read_bytes())
    mounts = {there: Path(here).expanduser() for there, here in config["file_mounts"].items()}
    for there, here in mounts.items():
        place = home / there.removeprefix("~/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(here.read_bytes())
    # A head finds there what it copies to workers.
    told = {**config, "file_mounts": {there: there for there in mounts}}
    (home / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(told))
    subprocess.run(["chroot", str(root), "chown", "-R", f"{USER}:", HOME], check=True)


def connect(head: Node, worker: Node) -> None:
    """Lay a cable between two nodes."""
    cable = f"ip link add eth0 type veth peer name eth0 netns {worker.pid}"
    for node, address, first in ((head, HEAD, cable), (worker, WORKER, "true")):
        up = f"{first}; ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up"
        up += "; ip route add default dev eth0"  # by which Ray tells a node's own address
        # Not in its name space of processes, in which the other's number means nothing.
        subprocess.run(["nsenter", "--target", node.pid, "--net", "sh", "-ec", up], check=True)


if __name__ == "__main__":
    main()
