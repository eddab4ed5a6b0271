"""What clients see of a service's faults: python -m benchmarks.serve_faults [--only NAME ...].

`serve deploy` puts the service on a Ray of this machine, beside an MLflow and a Milvus Lite of its
own. Clients of the client library ask at a steady rate, and streams send 30 frames a second, while
something is killed, moved, or rolled out. Times are of requests that ended before it happened,
of those under way from then until all was as it should be, and of those that came after.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real_service import MODEL, RealService
from benchmarks.steady_load import Asked, Retries, SteadyLoad, quantiles_ms
from tests.support.serving import clip

from poise.checkpoints.mlflow_client import mlflow_client

#: Seconds of steady load before something happens, and after it is over.
BESIDE_S = 8.0
CLIENTS = 4
#: Requests in a row that show that something is so.
ENOUGH = 12
POSES_FC = clip(60)


@dataclass(frozen=True)
class Happening:
    """Something that happens under load.

    Attributes:
        does: makes it happen, waits until all is as it should be, and returns what is to be told.
        args: of the service that it happens to.
        rate: requests a second of each client.
        streams: that go on beside them.
    """

    does: Callable[[RealService, SteadyLoad], str]
    args: dict[str, object]
    rate: float = 3.0
    streams: int = 4


def replica_killed(service: RealService, _: SteadyLoad) -> str:
    """One of two; another takes its place."""
    gone = service.kill("ray::ServeReplica")
    service.wait(lambda: service.settled(2, {gone}))
    return ""


def proxy_killed(service: RealService, _: SteadyLoad) -> str:
    """The only one: nobody is there to take connections until it is back."""
    service.kill("ray::ProxyActor")
    service.wait(lambda: bool(service.health()))
    return ""


def controller_killed(service: RealService, _: SteadyLoad) -> str:
    """Serve's, and then a replica, so that it is seen to have work done again."""
    service.kill("ray::ServeController")
    gone = service.kill("ray::ServeReplica")
    service.wait(lambda: service.settled(2, {gone}))
    return "and a replica with it"


def milvus_killed(service: RealService, load: SteadyLoad) -> str:
    """A replica that dies meanwhile starts without neighbours, and finds them afterwards."""
    service.milvus.kill()
    gone = service.kill("ray::ServeReplica")
    service.wait(lambda: service.settled(2, {gone}))
    unassisted = retrieval_of(load.asked).count("unavailable")
    service.milvus.start()
    service.wait(lambda: set(retrieval_of(load.asked[-ENOUGH:])) == {"used"})
    unassisted = max(retrieval_of(load.asked).count("unavailable"), unassisted)
    return f"and a replica; back when another ran; {unassisted} answers unassisted"


def mlflow_killed(service: RealService, load: SteadyLoad) -> str:
    """A replica that dies meanwhile starts all the same; aliases are followed afterwards."""
    service.mlflow.kill()
    gone = service.kill("ray::ServeReplica")
    service.wait(lambda: service.settled(2, {gone}))
    service.mlflow.start()
    told = moved("1")(service, load)
    moved("2")(service, load)
    return f"and a replica; back when another ran, {told}"


def moved(version: str) -> Callable[[RealService, SteadyLoad], str]:
    """The champion's alias is set to a version."""

    def does(service: RealService, load: SteadyLoad) -> str:
        client, began = mlflow_client(service.mlflow.uri), time.monotonic()
        client.set_registered_model_alias(MODEL, "champion", version)
        service.wait(lambda: {one.version for one in load.asked[-ENOUGH:]} == {version})
        return f"followed within {time.monotonic() - began:.1f} s"

    return does


def rolled_out(service: RealService, _: SteadyLoad) -> str:
    """Another config, which has all replicas start anew."""
    before = service.replicas()
    service.deploy(**{**TWO, "max_queued": 65})
    service.wait(lambda: service.settled(len(before), before))
    return f"{len(before)} replicas"


def scaled(service: RealService, load: SteadyLoad) -> str:
    """Twelve clients more, as fast as they are answered, until a second replica is there."""
    with SteadyLoad(service.url, POSES_FC, 12).running() as step:
        up_s = service.wait(lambda: service.settled(2))
        time.sleep(BESIDE_S)
    load.asked += step.asked
    down_s = service.wait(lambda: service.settled(1))
    return f"2 after {up_s:.0f} s of the step, 1 after {down_s:.0f} s without it"


def woken(service: RealService) -> str:
    """None runs where nobody asks; whoever does then waits for the first."""
    began = time.monotonic()
    load = SteadyLoad(service.url, POSES_FC, 1, 1, 3.0)
    with load.running():
        service.wait(lambda: bool(load.asked))
        first_s = time.monotonic() - began
    told = [one.wrong for one in load.asked] + [one.wrong for one in load.streams]
    wrong = [one for one in told if one]
    down_s = service.wait(lambda: service.settled(0))
    return f"first answer after {first_s:.1f} s; none after {down_s:.0f} s; wrong: {wrong}"


TWO: dict[str, object] = {"replicas": 2, "replicas_max": 2}
HAPPENINGS = {
    "replica killed": Happening(replica_killed, TWO),
    "proxy killed": Happening(proxy_killed, TWO),
    "controller killed": Happening(controller_killed, TWO),
    "Milvus killed": Happening(milvus_killed, TWO),
    "MLflow killed": Happening(mlflow_killed, TWO),
    "alias moved": Happening(moved("1"), TWO),
    "alias rolled back": Happening(moved("2"), TWO),
    "config rolled out": Happening(rolled_out, TWO),
    "step load": Happening(
        scaled, {"replicas": 1, "replicas_max": 2, "downscale_delay_s": 15}, rate=0.5, streams=1
    ),
}


def show(name: str, happening: Happening, service: RealService) -> None:
    """Let it happen under load, and print what became of the load."""
    load = SteadyLoad(service.url, POSES_FC, CLIENTS, happening.streams, happening.rate)
    with Retries().counting() as retries, load.running():
        time.sleep(BESIDE_S)
        began = time.monotonic()
        told = happening.does(service, load)
        over = time.monotonic()
        time.sleep(BESIDE_S)
    asked, streams = load.asked, load.streams
    before = [one for one in asked if one.ended < began]
    after = [one for one in asked if one.began > over]
    during = [one for one in asked if one not in before and one not in after]
    failed = [one.wrong for one in asked if one.wrong]
    broken = [one.wrong for one in streams if one.wrong]
    lost = sum(one.lost for one in streams)
    print(
        f"| {name} | {told} | {len(asked):,} | {len(failed)} | {len(retries.times)} "
        f"| {quantiles_ms(before)} | {quantiles_ms(during)} | {quantiles_ms(after)} "
        f"| {over - began:.1f} | {sum(one.sent for one in streams):,} | {lost + len(broken)} "
        f"| {sum(one.opened - 1 for one in streams)} |",
        flush=True,
    )
    for one in sorted({*failed, *broken}):
        print(f"  what they were told: {one}")


def retrieval_of(asked: Sequence[Asked]) -> list[str | None]:
    """What answers said of their neighbours."""
    return [one.retrieval for one in asked if one.wrong is None]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[*HAPPENINGS, "to zero"])
    wanted = parser.parse_args().only or [*HAPPENINGS, "to zero"]
    print(
        f"{CLIENTS} clients ask 3 times a second each, {len(POSES_FC)} frames, beside 4 streams of "
        f"30 fps (step load: every 2 s, and 1); {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} before\n\n"
        "| | | requests | failed | asked again | ms before | ms meanwhile | ms after | s until all "
        "was well | frames streamed | lost | streams opened again |\n"
        "|---|---|" + "---:|" * 10,
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder, RealService(Path(folder)) as service:
        deployed: dict[str, object] = {}
        for name in wanted:
            if name == "to zero":
                continue
            happening = HAPPENINGS[name]
            if happening.args != deployed:
                service.deploy(**happening.args)
                service.ready(int(str(happening.args["replicas"])))
                deployed = happening.args
            show(name, happening, service)
        if "to zero" in wanted:
            service.deploy(replicas=0, replicas_max=1, downscale_delay_s=10)
            service.ready(0)
            print(f"\nto zero: {woken(service)}")


if __name__ == "__main__":
    main()
