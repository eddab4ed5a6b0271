"""How reading a track and writing its sequences scales over tasks, beside another checkout.

Run: python -m benchmarks.ingest_tasks --before ../an/older/checkout

Input as of `benchmarks.ingest`. Each run is a Ray of so many CPUs whose worker processes are up and
have imported Poise before the clock starts; what is timed is everything from raw files to
sequences in the lake. Every turn has all runs, one after the other.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.ingest import TRACK, make

HERE = Path(__file__).resolve().parents[1]
_ROOTS = ("platform", "models", "retrieval")


def run(folder: Path, cpus: int, checkout: Path) -> dict[str, Any]:
    """Run one ingest in a process of its own, with the code of a checkout."""
    lake = folder / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    paths = [str(checkout / root) for root in _ROOTS]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, __file__, "--one", str(folder), "--cpus", str(cpus)]
    env["PYTHONPATH"] += os.pathsep + str(HERE)
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    parts = sorted(lake.rglob("*.parquet"))
    found["parts"] = [hashlib.sha256(part.read_bytes()).hexdigest() for part in parts]
    return found


def one(folder: Path, cpus: int) -> None:
    """Ingest, and print what it took as JSON."""
    import ray

    from poise.catalog.tracks import Track
    from poise.ingest.draft import draft
    from poise.ingest.sources import RawTrack
    from poise.runtime.ray_cluster.join import connect

    raw = RawTrack.find(folder, Track.parse(TRACK))
    with connect(cpus):
        begin = ray.remote(_begin)
        ray.get([begin.remote() for _ in range(cpus)])
        before, clock, used = _peak(), time.monotonic(), time.process_time()
        draft(raw, str(folder / "lake"), lambda _: None)
        seconds, used = time.monotonic() - clock, time.process_time() - used
    print(json.dumps({"seconds": seconds, "driver": used, "grown": _peak() - before}))


def _begin() -> None:
    import poise.ingest.draft  # noqa: F401

    time.sleep(5)  # so that no process takes two


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--cpus", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--folder", type=Path, help="where to put some 4 GB for 1 M frames")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        one(given.one, given.cpus[0])
        return
    runs = [("this", cpus, HERE) for cpus in given.cpus]
    if given.before:
        runs[:0] = [("before", cpus, given.before.resolve()) for cpus in given.cpus[:2]]
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        sequences, frames = make(Path(name), given.frames)
        print(f"{sequences:,} sequences, {frames:,} frames, {os.cpu_count()} CPUs", flush=True)
        for _ in range(given.turns):
            for label, cpus, checkout in runs:
                load = os.getloadavg()[0]
                got = run(Path(name), cpus, checkout)
                found.setdefault((label, cpus), []).append({**got, "load": load})
                print(label, cpus, {**got, "load": load, "parts": len(got["parts"])}, flush=True)
    first = next(iter(found.values()))
    slowest = statistics.median(row["seconds"] for row in first)
    print("\n| code | tasks at once | seconds | ratio | driver's CPU | driver grew, MiB | bytes |")
    print("|" + "---|" * 7)
    for (label, cpus), rows in found.items():
        seconds = statistics.median(row["seconds"] for row in rows)
        share = max(row["driver"] / row["seconds"] for row in rows)
        grown = max(row["grown"] for row in rows) / 2**20
        same = all(row["parts"] == first[0]["parts"] for row in rows)
        print(
            f"| {label} | {cpus} | {seconds:.1f} | {slowest / seconds:.2f} | {share:.1%} "
            f"| {grown:.0f} | {'the same' if same else 'OTHERS'} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
