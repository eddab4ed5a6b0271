"""Whether a service's memory stays flat: python -m benchmarks.serve_memory [--model M].

A real service (one replica) is asked as fast as it answers for an hour's frames as sequences, then
for an hour's frames of streams, then for 1,000 streams that are opened and closed. The memory of
its replica and its proxy (resident set) is read every second, after a warm-up of sequences and
streams. The slope is a straight line through means of five seconds, after the first quarter, with
its standard error.
"""

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import psutil
from numpy.typing import NDArray

from poise.checkpoints.models import load_model
from poise.client import Client
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs

#: Of one person at 30 a second.
HOUR_FRAMES = 108_000
#: Frames of a sequence; at a time, of as many clients.
FRAMES, CLIENTS = 300, 8
SESSIONS = 1000
PROCESSES = {"replica": "ray::ServeReplica", "proxy": "ray::ProxyActor"}


class Memory:
    """What the processes of the service have, second by second."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.bytes: dict[str, list[int]] = {name: [] for name in PROCESSES}
        children = psutil.Process().children(recursive=True)
        self._processes = {
            name: next(one for one in children if any(title in part for part in one.cmdline()))
            for name, title in PROCESSES.items()
        }
        self._over = threading.Event()

    @contextmanager
    def read(self) -> Iterator["Memory"]:
        """Read inside the block."""
        thread = threading.Thread(target=self._read)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def slope(self, name: str) -> tuple[float, float]:
        """KB a minute, and its standard error."""
        minutes = np.array(self.times) / 60
        kilobytes = np.array(self.bytes[name]) / 1e3
        late = minutes > minutes[0] + (minutes[-1] - minutes[0]) / 4
        count = max(int(late.sum()) // 5, 3)
        x, y = (
            np.array([part.mean() for part in np.array_split(values[late], count)])
            for values in (minutes, kilobytes)
        )
        (slope, _), residuals, *_ = np.polyfit(x, y, 1, full=True)
        spread = float(np.sqrt(residuals.sum() / (count - 2) / ((x - x.mean()) ** 2).sum()))
        return float(slope), spread

    def _read(self) -> None:
        while not self._over.wait(1.0):
            self.times.append(time.monotonic())
            for name, process in self._processes.items():
                self.bytes[name].append(process.memory_info().rss)


def side_by_side(count: int, does: Callable[[int], int], longest_s: float) -> int:
    """Do something so many times, some at a time; return the sum of what was done in the time."""
    end = time.monotonic() + longest_s
    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(lambda turn: does(turn) if time.monotonic() < end else 0, range(count)))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="poise:general")
    parser.add_argument("--longest", type=float, default=300.0, help="seconds of each part")
    options = parser.parse_args()
    refiner, _ = load_model(options.model)
    rng = np.random.default_rng(0)
    drift = rng.normal(0, 0.002, (FRAMES, refiner.spec.channels)).cumsum(0)
    poses = (rng.normal(0, 0.3, refiner.spec.channels) + drift).astype(np.float32)
    print(f"{options.model}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    print("| | done | s | replica MB | KB/min | proxy MB | KB/min |")
    print("|---|---|" + "---:|" * 5)
    with running_service(ServiceArgs(model=options.model, max_queued=64), port=0) as url:
        for does in (refined(url, poses), streamed(url, poses, FRAMES)):  # to warm up
            side_by_side(SESSIONS, does, options.longest / 2)
        show("sequences", options.longest, HOUR_FRAMES // FRAMES, refined(url, poses))
        show("streams", options.longest, HOUR_FRAMES // FRAMES, streamed(url, poses, FRAMES))
        show("sessions of 2 frames", options.longest, SESSIONS, streamed(url, poses, 2))


def refined(url: str, poses: NDArray[np.float32]) -> Callable[[int], int]:
    """Have a sequence refined."""
    client = Client(url)
    return lambda _: len(client.refine(poses).poses)


def streamed(url: str, poses: NDArray[np.float32], frames: int) -> Callable[[int], int]:
    """Open a stream, send frames as fast as they are taken, and close it."""

    def does(_: int) -> int:
        with Client(url).stream(fps=30, lag=4) as stream:
            for pose in poses[:frames]:
                stream.push(pose)
            stream.finish()
        return frames

    return does


def show(name: str, longest_s: float, count: int, does: Callable[[int], int]) -> None:
    """Print what the memory did meanwhile."""
    began = time.monotonic()
    with Memory().read() as memory:
        done = side_by_side(count, does, longest_s)
    columns = []
    for process in PROCESSES:
        slope, spread = memory.slope(process)
        columns.append(f"{memory.bytes[process][-1] / 1e6:.0f} | {slope:+.0f} ± {spread:.0f}")
    taken = time.monotonic() - began
    print(f"| {name} | {done:,} frames | {taken:.0f} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
