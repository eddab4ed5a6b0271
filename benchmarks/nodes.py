"""What becomes of an ingest, a sweep and a service when a cluster of three nodes is disturbed.

    python -m benchmarks.nodes [--only WORD ...] [--data FOLDER]

Nodes are namespaces of the kernel (tests/support/nodes.py), so root runs this, on Linux. Each has
an address, a disk and a CPU of its own; an S3 and a folder of raw files are there for all. A row is
a run of the real command: what it made beside what one made that nobody disturbed. Its last two
columns are how often a trial was tried again, and the longest wait of how many requests. The head
is restarted only where there is a redis-server on the path.
"""

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import boto3  # type: ignore[import-untyped]
import numpy as np
import psutil
from tests.support.nodes import ADDRESSES, Nodes

from poise.client.client import Client
from poise.runtime.text.table import text_table

TRACK: Final = "uiprmd/kinect/3D"
PLAN: Final = """
name: three
tracks: [uiprmd/kinect/3D]
refiners:
  - input
  - {name: synspp, settings: {width: 8, feed_forward: 8, heads: 1, layers: 1, skip: low}}
budget: {epochs: 8, batch: 64, steps_per_epoch: 20}
seeds: [0, 1]
resources: {cpu: 1}
"""
ACCOUNT: Final = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",  # pragma: allowlist secret
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": f"http://{ADDRESSES['store']}:9000",
}
CUT_S: Final = 20.0
#: A slow store answers for so long, then not for so long.
AWAKE_S, ASLEEP_S = 0.3, 1.7
#: Clients of the service, how long they ask, and when it is disturbed.
CLIENTS, ASKED_S, DISTURBED_S = 4, 100.0, 10.0
HEADER: Final = ("run", "fault", "seconds", "as undisturbed", "tried again", "longest wait")


class Bench:
    """A cluster, and the rows of the table so far."""

    def __init__(self, nodes: Nodes) -> None:
        """Take a cluster of three."""
        self.nodes = nodes
        self.rows: list[list[str]] = []
        self._made: dict[str, Any] = {}

    def ingest(self, fault: str) -> None:
        """Ingest a track with its PVD, in a Milvus of the head."""
        lake = f"s3://poses/lake-{len(self.rows)}"
        words = ("ingest", "--track", TRACK, "--data", str(self.nodes.shared), "--lake", lake)
        began = time.monotonic()
        self._command(fault, "Map", "head", *words)
        self._row("ingest", fault, began, self._objects(lake))

    def sweep(self, fault: str, on: str = "head") -> None:
        """Run a plan of three trials."""
        records = f"s3://poses/sweeps-{len(self.rows)}"
        words = ("sweep", "--plan", str(self.nodes.shared / "three.yaml"))
        places = ("--lake", "s3://poses/lake-0", "--storage", records)
        began = time.monotonic()
        said = self._command(fault, "ImplicitFunc", on, *words, *places)
        rows = json.loads(self._read(f"{records}/three/tables/rows.json"))
        table = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        self._row("sweep", fault, began, table, str(said.count("its worker died")))

    def serve(self, fault: str) -> None:
        """Serve the model that ships on two nodes, and ask it all the time."""
        words = ("serve", "--model", "poise:general", "--replicas", "2", "--replicas-max", "2")
        head, log = self.nodes.there["head"], self._log()
        serving = self.nodes.poise(*words, log=log)
        while "Ctrl-C" not in (head.disk / log).read_text():
            if serving.poll() is not None:
                raise RuntimeError((head.disk / log).read_text())
            time.sleep(0.2)
        victim = self.nodes.worker("ServeReplica")
        client, waits = Client("http://127.0.0.1:8000"), list[float]()
        clip_FC = np.random.default_rng(0).normal(scale=0.3, size=(60, 51)).astype(np.float32)
        began = time.monotonic()
        threading.Timer(DISTURBED_S, self._disturb, (fault, victim)).start()

        answers = set[bytes]()

        def ask(_: int) -> None:
            while time.monotonic() < began + ASKED_S:
                start = time.monotonic()
                answers.add(client.refine(clip_FC).poses.tobytes())
                waits.append(time.monotonic() - start)

        head.inside(lambda: list(ThreadPoolExecutor(CLIENTS).map(ask, range(CLIENTS))))
        for process in psutil.Process(serving.pid).children():
            process.terminate()
        serving.wait(120)
        told = f"{max(waits):.1f} of {len(waits):,}"
        self._row("service", fault, began, answers, "", told)

    def _command(self, fault: str, title: str, on: str, *words: str) -> str:
        """Run a command of Poise, disturb a node that does its work; return what it said."""
        log = self._log()
        with self._slow_store() if fault == "slow store" else nullcontext():
            home = ("--home", f"home-{len(self.rows)}")
            running = self.nodes.poise(*words, *home, on=on, log=log)
            machine = self.nodes.there[on]
            if fault not in ("none", "slow store"):
                victim = self.nodes.worker(title)
                time.sleep(1.0)  # in the middle of it
                if running.poll() is not None:
                    raise RuntimeError(f"{words[0]} ended before it was disturbed")
                self._disturb(fault, victim)
            return machine.said(running, log)

    def _disturb(self, fault: str, victim: str) -> None:
        if fault == "node dies":
            self.nodes.lose(victim)
        elif fault == "node without current":
            self.nodes.cut(victim)
            self.nodes.lose(victim)
        elif fault == f"node cut off for {CUT_S:.0f} s":
            self.nodes.cut(victim)
            threading.Timer(CUT_S, self.nodes.mend, (victim,)).start()
        elif fault == "head restarted":
            self.nodes.lose("head")
            self.nodes.add("head")

    @contextmanager
    def _slow_store(self) -> Iterator[None]:
        over = threading.Event()
        store = [
            process
            for process in self.nodes.store.first.children(recursive=True)
            if "moto_server" in " ".join(process.cmdline())
        ]

        def slow() -> None:
            while not over.wait(AWAKE_S):
                for process in store:
                    process.suspend()
                over.wait(ASLEEP_S)
                for process in store:
                    process.resume()

        thread = threading.Thread(target=slow)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _log(self) -> str:
        return f"run-{len(self.rows)}.log"

    def _objects(self, lake: str) -> dict[str, str]:
        """The names and checksums of what a lake holds."""
        prefix = lake.removeprefix("s3://poses/") + "/"
        listed = self.nodes.store.inside(
            lambda: list(
                _s3().get_paginator("list_objects_v2").paginate(Bucket="poses", Prefix=prefix)
            )
        )
        found = [one for page in listed for one in page.get("Contents", [])]
        return {one["Key"].removeprefix(prefix): one["ETag"] for one in found}

    def _read(self, uri: str) -> bytes:
        key = uri.removeprefix("s3://poses/")
        found: bytes = self.nodes.store.inside(
            lambda: _s3().get_object(Bucket="poses", Key=key)["Body"].read()
        )
        return found

    def _row(
        self, run: str, fault: str, began: float, made: Any, again: str = "", wait: str = ""
    ) -> None:
        same = "yes" if made == self._made.setdefault(run, made) else "NO"
        self.rows.append([run, fault, f"{time.monotonic() - began:.0f}", same, again, wait])
        print(f"{time.strftime('%H:%M:%S')} {' | '.join(self.rows[-1])}", flush=True)
        missing = sorted(ADDRESSES.keys() - {"store"} - self.nodes.there.keys())
        if missing:
            self.nodes.add(*missing)


def _s3() -> Any:
    made = {name.lower(): value for name, value in ACCOUNT.items()}
    return boto3.client(
        "s3",
        endpoint_url=made["aws_endpoint_url"],
        region_name=made["aws_default_region"],
        aws_access_key_id=made["aws_access_key_id"],
        aws_secret_access_key=made["aws_secret_access_key"],
    )


@contextmanager
def cluster(data: Path, redis: str | None) -> Iterator[Bench]:
    """Three nodes, an S3 with a bucket, and Redis to remember what the head knew."""
    head = {} if redis is None else {"RAY_REDIS_ADDRESS": f"{ADDRESSES['store']}:6379"}
    with Nodes(ACCOUNT, head) as nodes:
        binaries, store = Path(sys.executable).parent, nodes.store
        store.start(str(binaries / "moto_server"), "-H", store.address, "-p", "9000", log="s3.log")
        if redis is not None:
            store.start(redis, "--bind", store.address, "--protected-mode", "no", log="redis.log")
        nodes.add("head")
        nodes.add("first", "second")
        store.inside(lambda: _s3().create_bucket(Bucket="poses"))
        shutil.copytree(
            data / "poses" / "uiprmd_kinect_3D", nodes.shared / "poses" / "uiprmd_kinect_3D"
        )
        (nodes.shared / "three.yaml").write_text(PLAN)
        yield Bench(nodes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=["ingest", "sweep", "serve", "head"])
    parser.add_argument("--data", type=Path, default=os.environ.get("POISE_DATA"))
    given = parser.parse_args()
    redis = shutil.which("redis-server")
    faults = ("none", "node dies", "node without current", f"node cut off for {CUT_S:.0f} s")
    with cluster(given.data, redis) as bench:
        runs: dict[str, Callable[[str], None]] = {
            "ingest": bench.ingest, "sweep": bench.sweep, "serve": bench.serve
        }  # fmt: skip
        if "ingest" not in given.only:
            bench.ingest("none")
        for name in given.only:
            for fault in faults if name in runs else ():
                runs[name](fault)
            if name in ("ingest", "sweep"):
                runs[name]("slow store")
        if "head" in given.only and redis is None:
            print("no redis-server on the path: the head is not restarted")
        elif "head" in given.only:
            bench.sweep("head restarted", on="first")
        print(text_table(HEADER, bench.rows, left=(0, 1, 3, 5)))


if __name__ == "__main__":
    main()
