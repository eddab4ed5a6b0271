"""What a running service adds to its network: python -m benchmarks.serve [--model M] [--rounds N].

Clients, each of an address of its own, post sequences as fast as they are answered, to a service
(one replica, one core for its network), and to the same model behind plain FastAPI and uvicorn (one
call of the network at a time, too), in turn; the bare network refines the same sequences in the
same turns. Everything shares this machine: time of the processor is told beside that of the clock.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psutil
import torch
import uvicorn
from fastapi import FastAPI

from poise.checkpoints.models import load_model
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs
from poise_models.base.clip import Clip
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.memory import keep_freed_memory

#: What the processes are called that answer.
NAMES = {"poise": ("ray::ServeReplica", "ray::ProxyActor"), "plain": ("--plain",)}


@dataclass(frozen=True)
class Load:
    """What some clients got.

    Attributes:
        seconds: until all had their answers.
        cpu_s: of the processes that answered.
        waits_s: for each answer.
        stages: that each answer tells.
    """

    seconds: float
    cpu_s: float
    waits_s: list[float]
    stages: list[dict[str, float]]


async def load(url: str, bodies: list[bytes], clients: int, names: Sequence[str]) -> Load:
    """Post sequences, so many at a time; ``names`` are of the processes that answer."""
    left, waits, stages = list(bodies), list[float](), list[dict[str, float]]()
    kind = {"Content-Type": "application/json"}

    async def client(number: int) -> None:
        address = f"127.0.1.{number + 1}"  # one address may not have a whole service
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(local_address=address), timeout=600
        ) as http:
            while left:
                body, began = left.pop(), time.perf_counter()
                answer = await http.post(url, content=body, headers=kind)
                waits.append(time.perf_counter() - began)
                answer.raise_for_status()
                stages.append(timing_of(answer.content))

    start, cpu_s = time.perf_counter(), cpu_of(names)
    await asyncio.gather(*map(client, range(clients)))
    return Load(time.perf_counter() - start, cpu_of(names) - cpu_s, waits, stages)


def cpu_of(names: Sequence[str]) -> float:
    """Seconds of the processor that children of these names have had."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(name in " ".join(process.cmdline()) for name in names):
                times = process.cpu_times()
                total += times.user + times.system
    return total


def timing_of(answer: bytes) -> dict[str, float]:
    """The stages that an answer tells, without reading its poses."""
    _, there, rest = answer.partition(b'"timing":')
    found: dict[str, float] = json.loads(rest[: rest.index(b"}") + 1]) if there else {}
    return found


def bare_s(refiner: WindowRefiner, sequences: list[np.ndarray]) -> float:
    """Seconds of the processor that the network takes for sequences, whole chunks at a time."""
    columns = [refiner.inputs_of(Clip(torch.from_numpy(one))) for one in sequences]
    joined = [torch.cat(column) for column in zip(*columns, strict=True)]
    began = time.thread_time()
    with torch.inference_mode():
        for first in range(0, len(joined[0]), refiner.chunk_size):
            refiner.predict(*(column[first : first + refiner.chunk_size] for column in joined))
    return time.thread_time() - began


@contextmanager
def plain_service(model: str) -> Iterator[str]:
    """The same model as anybody would put it behind FastAPI."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.serve", "--model", model, "--plain", str(port)]
    process = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{url}/openapi.json")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def serve_plainly(model: str, port: int) -> None:
    """Be that service, until terminated."""
    torch.set_num_threads(1)
    keep_freed_memory()
    refiner, _ = load_model(model)
    app, lock = FastAPI(), threading.Lock()

    @app.post("/v1/refine")
    def refine(body: dict[str, Any]) -> dict[str, Any]:
        poses_FC = torch.tensor(body["poses"], dtype=torch.float32).flatten(1)
        with lock, torch.inference_mode():
            [refined] = refiner.refine([Clip(poses_FC)])
        error = None if refined.error_FJ is None else refined.error_FJ.tolist()
        return {"poses": refined.poses_FC.tolist(), "error": error}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="poise:general")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--frames", type=int, default=120, help="of a sequence")
    parser.add_argument("--sequences", type=int, default=64, help="of a turn, at least")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        serve_plainly(options.model, options.plain)
        return
    torch.set_num_threads(1)
    keep_freed_memory()
    refiner, _ = load_model(options.model)
    if not isinstance(refiner, WindowRefiner):
        parser.error(f"{options.model} is no network")
    channels, rng = refiner.spec.channels, np.random.default_rng(0)
    walks = rng.normal(0, 0.002, (options.sequences, options.frames, channels)).cumsum(1)
    sequences = list((rng.normal(0, 0.3, channels) + walks).astype(np.float32))
    bodies = [
        json.dumps({"poses": one.astype(float).round(5).tolist()}).encode() for one in sequences
    ]
    print(
        f"{options.model}, {options.frames} frames a sequence, {options.sequences} a turn, median "
        f"of {options.rounds} turns; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n"
        "clients   behind   sequences/s   frames/s   p50 ms   p99 ms   cpu ms   of it no network"
    )
    arguments = ServiceArgs(model=options.model, max_queued=512)
    with running_service(arguments, port=0) as ours, plain_service(options.model) as plain:
        urls = {"poise": f"{ours}/v1/refine", "plain": f"{plain}/v1/refine"}
        for who, url in urls.items():
            asyncio.run(load(url, bodies[:16], 4, NAMES[who]))
        for clients in options.clients:
            compare(refiner, sequences, bodies, urls, clients, options.rounds)


def compare(
    refiner: WindowRefiner,
    sequences: list[np.ndarray],
    bodies: list[bytes],
    urls: Mapping[str, str],
    clients: int,
    rounds: int,
) -> None:
    """Turns of both services and the bare network, with so many clients."""
    count = len(bodies) if clients > 1 else max(len(bodies) // 4, 1)
    bare: list[float] = []
    found: dict[str, list[Load]] = {who: [] for who in urls}
    for _ in range(rounds):
        bare.append(bare_s(refiner, sequences[:count]))
        for who, url in urls.items():
            found[who].append(asyncio.run(load(url, bodies[:count], clients, NAMES[who])))
    bare_ms = 1e3 * float(np.median(bare)) / count
    for who, loads in found.items():
        rate = count / float(np.median([one.seconds for one in loads]))
        waits = 1e3 * np.array([wait for one in loads for wait in one.waits_s])
        cpu_ms = 1e3 * float(np.median([one.cpu_s for one in loads])) / count
        print(
            f"{clients:7d} {who:>8} {rate:13.1f} {rate * len(sequences[0]):10.0f} "
            f"{np.median(waits):8.0f} {np.quantile(waits, 0.99):8.0f} {cpu_ms:8.1f} "
            f"{1 - bare_ms / cpu_ms:18.0%}",
            flush=True,
        )
    pairs = zip(found["plain"], found["poise"], strict=True)
    ratio = float(np.median([plain.seconds / ours.seconds for plain, ours in pairs]))
    told = [one for each in found["poise"] for one in each.stages]
    stages = [f"{key} {1e3 * np.median([one[key] for one in told]):.0f}" for key in told[0]]
    print(f"        {ratio:.2f} of plain's throughput; the bare network {bare_ms:.1f} cpu ms;")
    print(f"        ms of a request: {', '.join(stages)}", flush=True)


if __name__ == "__main__":
    main()
