"""How many live streams a service takes: python -m benchmarks.stream [--model M] [--seconds S].

A real service (one replica) and its clients run on this machine and share its cores. Every session
sends a frame every 1/30 s; an answer is late where it comes more than a frame's time after the
frame that it had to wait for. The bare network refines the same number of windows in the same run.
"""

import argparse
import asyncio
import os
import time
from dataclasses import dataclass

import numpy as np
import torch

from poise.checkpoints.models import load_model
from poise.client.async_client import AsyncClient
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs
from poise_models.base.window_refiner import WindowRefiner

FPS = 30


@dataclass(frozen=True)
class Load:
    """What a number of sessions got.

    Attributes:
        sent: frames.
        late_s: seconds from the frame that was waited for to each answer.
        behind_s: how far behind its clock a client sent at most: the machine had no time for it.
    """

    sent: int
    late_s: list[float]
    behind_s: float


async def session(
    client: AsyncClient, lag: int, frames: int, start: float, poses: np.ndarray
) -> Load:
    """One person, who begins at a time of its own within a frame."""
    sent: list[float] = []
    late: list[float] = []
    behind = 0.0
    async with client.stream(fps=FPS, lag=lag) as stream:

        async def hear() -> None:
            async for refined in stream:
                if refined.number + lag < frames:
                    late.append(time.perf_counter() - sent[refined.number + lag])

        hearing = asyncio.create_task(hear())
        for number in range(frames):
            due = start + number / FPS
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            behind = max(behind, time.perf_counter() - due)
            sent.append(time.perf_counter())
            await stream.push(poses[number % len(poses)])
        await stream.end()
        await hearing
    return Load(len(sent), late, behind)


async def load(url: str, count: int, lag: int, seconds: float, poses: np.ndarray) -> Load:
    """Some sessions at a time."""
    client = AsyncClient(url)
    start = time.perf_counter() + 1.0 + count / 50
    rng = np.random.default_rng(0)
    found = await asyncio.gather(
        *(
            session(client, lag, int(seconds * FPS), start + rng.uniform(0, 1 / FPS), poses)
            for _ in range(count)
        )
    )
    late = [one for each in found for one in each.late_s]
    return Load(sum(one.sent for one in found), late, max(one.behind_s for one in found))


def bare_ms(refiner: WindowRefiner, count: int) -> float:
    """Milliseconds of the network for one window of each session."""
    windows = torch.randn(count, refiner.window, refiner.spec.channels)
    near = windows[:, None].expand(-1, refiner.neighbours, -1, -1)
    far = torch.ones(count, refiner.neighbours)
    took = []
    for _ in range(12):
        began = time.perf_counter()
        refiner.predict(windows, near, far)
        took.append(time.perf_counter() - began)
    return 1e3 * float(np.median(took[2:]))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="poise:general")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--lag", type=int, default=4)
    parser.add_argument("--cpus", type=float, default=1.0, help="cores of the replica")
    options = parser.parse_args()
    refiner, _ = load_model(options.model)
    if not isinstance(refiner, WindowRefiner):
        parser.error(f"{options.model} is no network")
    torch.set_num_threads(max(1, int(options.cpus)))
    body = np.random.default_rng(0).normal(0, 0.3, refiner.spec.channels)
    drift = np.random.default_rng(1).normal(0, 0.02, (300, refiner.spec.channels)).cumsum(0)
    poses = (body + drift * 0.1).astype(np.float32)
    others, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{options.model}, lag {options.lag}, {FPS} fps, {options.seconds:g} s; {cores} cores, ")
    print(f"load {others:.1f} before the start, clients on the same machine")
    print("sessions   frames   late   p50 ms   p99 ms   longest   clients behind   bare network ms")
    arguments = ServiceArgs(model=options.model, cpus=options.cpus, streams=1024)
    with running_service(arguments, port=0) as url:
        asyncio.run(load(url, 1, options.lag, 2, poses))
        for count in options.sessions:
            bare = bare_ms(refiner, count)
            got = asyncio.run(load(url, count, options.lag, options.seconds, poses))
            late = 1e3 * np.array(got.late_s)
            beyond = int((late > 1e3 / FPS).sum())
            print(
                f"{count:8d} {got.sent:8d} {beyond:6d} {np.median(late):8.1f} "
                f"{np.quantile(late, 0.99):8.1f} {late.max():9.1f} {1e3 * got.behind_s:16.1f} "
                f"{bare:17.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
