"""From measured rates to a billion frames: hours, nodes, bytes, and what gives first.

python -m benchmarks.scale [--rates benchmarks/scale_rates.json] [--cores 32] [--memory 128]
    [--night 8] [--gpu WINDOWS_A_SECOND]

Arithmetic alone: nothing runs. The rates are those of `benchmarks.scale_rates`; docs/scale.md holds
what this prints, and says what is assumed. A GPU's rate is unknown until somebody measures one:
`python -m benchmarks.refiners --epoch` prints it on a machine that has a GPU.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RATES = Path(__file__).with_name("scale_rates.json")
DECADES = (10**6, 10**7, 10**8, 10**9)
#: Numbers of a pose (17 joints in 3D), of a vector, bytes of a float, and neighbours of a window.
POSE, VECTOR, FLOAT, NEAR = 51, 84, 4, 3
#: Bytes of a row with its neighbours in the lake: CMU's 2,983,854 for 163,433 windows.
ROW_BYTES = 18.3
#: Bytes of a row in Milvus Lite's files: 388,964,571 for five tracks of 559,793 rows.
MILVUS_BYTES = 695.0
#: CPU seconds of a row sent to a full-size Milvus, ours and its (benchmarks.pvdingest, 1 M rows).
MILVUS_S = 45.4e-6
#: Seconds that an ingest takes whatever its size: Ray and Ray Data start (benchmarks.ingest).
START_S = 25.6
#: Share of a node's memory that an index or the poses of a track may have.
SHARE = 0.5
#: What the paper of DiskANN says of 10^9 vectors of 128 bytes on 16 cores, 64 GB and an SSD.
DISKANN_QUERIES_S = 5000.0
#: Multiply-adds of all pairs are counted at a round 10 TFLOP/s: of no card, to be divided.
TERA = 1e12
EPOCHS = 30
GB = 1e9
INGEST = ("read", "write", "embed", "index", "neighbours", "Milvus")


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: an assumption, not a measurement."""

    cores: int
    memory: float  # bytes


@dataclass(frozen=True)
class Size:
    """A track of so many frames on such nodes; windows are taken for as many as frames."""

    frames: int
    rates: dict[str, Any]
    node: Node

    @property
    def index(self) -> float:
        """Bytes of an index in memory, vectors included."""
        return self.frames * float(self.rates["index_bytes"])

    @property
    def shards(self) -> int:
        """How many nodes an index is shared out to."""
        return math.ceil(self.index / (SHARE * self.node.memory))

    @property
    def poses(self) -> float:
        """Bytes of training data in memory: detections, truth, ids and distances of neighbours."""
        return float(self.frames * (2 * POSE * FLOAT + NEAR * (8 + FLOAT)))

    def hours(self) -> dict[str, float]:
        """Core-hours of each stage."""
        part = self.frames / self.shards
        seconds = {
            "read": self.rates["read"],
            "write": self.rates["write"],
            "embed": 2 * self.rates["embed"],  # truth for the index, detections to ask it
            "index": self._grown("build", part),
            "neighbours": self.shards * self._grown("query", part),  # each asks every shard
            "Milvus": MILVUS_S,
        }
        return {name: self.frames * each / 3600 for name, each in seconds.items()}

    def network(self, name: str, what: str) -> float:
        """Core-hours of a pass over all windows, or of refining all frames."""
        return self.frames * float(self.rates["networks"][name][what]) / 3600

    def _grown(self, what: str, rows: float) -> float:
        """Seconds a row: cells grow as the root of the rows, in number and in length."""
        known = self.rates["neighbours"]
        return float(known[what]) * math.sqrt(rows / float(known["rows"]))


def bottleneck(size: Size) -> str:
    """What gives first, going from raw files to a trained network, and why."""
    hours = size.hours()
    ingest = sum(hours.values()) / size.node.cores * 3600
    found = []
    if ingest < START_S:
        found.append(f"the start of Ray: {START_S:.0f} s beside {ingest:.0f} s of work on a node")
    if size.index > SHARE * size.node.memory:
        found.append(
            f"memory: the index of {_bytes(size.index)} lies on {size.shards} nodes, and each "
            "query asks all of them"
        )
    if size.poses > SHARE * size.node.memory:
        found.append(
            f"memory: {_bytes(size.poses)} of poses do not fit a node; `stream_gb` reads them from "
            "the lake"
        )
    most = max(hours, key=lambda name: hours[name])
    share = hours[most] / sum(hours.values())
    found.append(f"{most}: {share:.0%} of the core-hours up to the neighbour tables")
    epochs = EPOCHS * size.network("synspp", "train")
    found.append(
        f"training: {EPOCHS} epochs of SynSP++ are {epochs / sum(hours.values()):,.0f} times that"
    )
    return "; ".join(found)


def tables(rates: dict[str, Any], node: Node, night: float, gpu: float | None) -> Iterable[str]:
    """The page's tables, a line at a time."""
    sizes = [Size(frames, rates, node) for frames in DECADES]

    def table(title: str, rows: dict[str, Callable[[Size], str]]) -> Iterable[str]:
        yield f"\n{title}\n"
        yield f"| | {' | '.join(f'10^{round(math.log10(size.frames))}' for size in sizes)} |"
        yield "|---|" + "---:|" * len(sizes)
        for name, cell in rows.items():
            yield f"| {name} | {' | '.join(cell(size) for size in sizes)} |"

    yield from table(
        "**Storage**, by frames",
        {
            "raw files": lambda s: _bytes(s.frames * rates["raw_bytes"]),
            "lake: sequences": lambda s: _bytes(s.frames * rates["lake_bytes"]),
            "lake: windows and their neighbours": lambda s: _bytes(s.frames * ROW_BYTES),
            "vectors beside the lake": lambda s: _bytes(s.frames * VECTOR * FLOAT),
            "Milvus, its files": lambda s: _bytes(s.frames * MILVUS_BYTES),
            "index in memory": lambda s: _bytes(s.index),
            "nodes that hold it": lambda s: f"{s.shards}",
            "training data in memory": lambda s: _bytes(s.poses),
        },
    )
    rows: dict[str, Callable[[Size], str]] = {
        name: lambda s, name=name: _hours(s.hours()[name])  # type: ignore[misc]
        for name in INGEST
    }
    rows["all of it"] = lambda s: _hours(sum(s.hours().values()))
    rows[f"nodes for {night:.0f} hours"] = lambda s: _nodes(sum(s.hours().values()), s, night)
    yield from table("**Core-hours from raw files to neighbour tables**", rows)
    rows = {}
    for name, title in (("synspp", "SynSP++"), ("smoothnet", "SmoothNet"), ("poise", "Poise")):
        rows[f"{title}, an epoch"] = lambda s, n=name: _hours(s.network(n, "train"))  # type: ignore[misc]
        rows[f"{title}, refining all frames"] = lambda s, n=name: _hours(  # type: ignore[misc]
            s.network(n, "refine")
        )
    rows[f"nodes for {EPOCHS} epochs of SynSP++ in {night:.0f} hours"] = lambda s: _nodes(
        EPOCHS * s.network("synspp", "train"), s, night
    )
    rows[f"GPU-hours of {EPOCHS} epochs"] = lambda s: (
        "unknown" if gpu is None else _hours(EPOCHS * s.frames / gpu / 3600)
    )
    yield from table("**Core-hours of networks at their published sizes**", rows)
    yield from table(
        "**Neighbours of all windows, by kind of index**",
        {
            "cells (IVF), core-hours": lambda s: _hours(s.hours()["neighbours"]),
            "cells (IVF), nodes in memory": lambda s: f"{s.shards}",
            "DiskANN, hours of one machine": lambda s: _hours(s.frames / DISKANN_QUERIES_S / 3600),
            "all pairs, hours at 10 TFLOP/s": lambda s: _hours(
                2 * VECTOR * s.frames**2 / (10 * TERA) / 3600
            ),
        },
    )
    yield "\n**The first bottleneck of each decade**\n"
    yield "| frames | what gives first, and next |\n|---|---|"
    for size in sizes:
        yield f"| 10^{round(math.log10(size.frames))} | {bottleneck(size)} |"


def _nodes(hours: float, size: Size, night: float) -> str:
    return f"{max(math.ceil(hours / size.node.cores / night), 1):,}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _bytes(count: float) -> str:
    gigabytes = count / GB
    return f"{gigabytes:,.0f} GB" if gigabytes >= 10 else f"{gigabytes:.2g} GB"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rates", type=Path, default=RATES)
    add("--cores", type=int, default=32, help="of a node")
    add("--memory", type=float, default=128, help="of a node, GB")
    add("--night", type=float, default=8, help="hours in which it should be done")
    add("--gpu", type=float, help="windows a second in training, of the GPU you have")
    given = parser.parse_args()
    rates = json.loads(given.rates.read_text())
    node = Node(given.cores, given.memory * GB)
    print("\n".join(tables(rates, node, given.night, given.gpu)).lstrip())


if __name__ == "__main__":
    main()
