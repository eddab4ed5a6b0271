"""``poise demo``: everything once, on this machine alone."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from poise.cli.shared.commands import resumable
from poise.cli.shared.options import SYNTHETIC, CpuOk, with_settings
from poise.cli.shared.output import Screen
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings

if TYPE_CHECKING:
    from poise.experiments.plan import Plan
    from poise.experiments.sweep import SweepResult
    from poise.pvd.progress import Report
    from poise.serving.service_check import ServiceCheck

EXAMPLES = """
examples:
  poise demo                   a synthetic body, where there is no $POISE_DATA
  poise demo --data ~/data     uiprmd/kinect/3D: a Kinect beside a Vicon system

Ingests a track into the lake and its poses into Milvus (an embedded one where
no other is named), trains and compares all refiners of the plan, serves the
best one, and refines held-out sequences over HTTP. Whatever a run finished,
the next one reuses; Ctrl-C is safe at any time.
"""


@with_settings("home", "data", "lake", "milvus_uri", "tracking_uri")
def demo(
    settings: Settings,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="the paper's networks and training length (plan demo-full), best on a GPU",
        ),
    ] = False,
    cpu_ok: CpuOk = False,
) -> None:
    """See everything once: raw poses in, a served refiner out."""
    with resumable("the next run goes on from here"):
        from poise.catalog.tracks import Track
        from poise.cli.shared.results import print_result
        from poise.experiments.plan import load_plan

        start = time.monotonic()
        tracks = () if settings.data else (SYNTHETIC,)
        plan = load_plan("demo-full" if full else "demo").changed(tracks, cpu_ok=cpu_ok)
        with Screen("demo", "\n[{seconds:5.0f} s] {line}") as screen:
            screen.take_logs("      %(message)s")
            result, served = _run(plan, settings, screen.say)
        print_result(result)
        print(_summary(served, Track.parse(plan.tracks[0]).info.unit))
        print(
            f"\nDone in {time.monotonic() - start:.0f} s; everything this started has stopped. "
            "Next:\n"
            "  make ui      the comparison in MLflow\n"
            "  make serve   the champion behind an endpoint\n"
            f"  table, plot  {settings.sweeps}/{plan.name}/tables"
        )


def _run(plan: "Plan", settings: Settings, say: "Report") -> "tuple[SweepResult, ServiceCheck]":
    """Run every stage; what an earlier run finished is reused. The first track is served."""
    from poise.catalog.tracks import Track
    from poise.checkpoints.registry import CHAMPION, model_name, resolve
    from poise.experiments.sweep import run_sweep
    from poise.ingest.track import ensure_ingested
    from poise.pvd.collection import pvd_store
    from poise.runtime.ray_cluster.join import connect
    from poise.serving.running_service import running_service
    from poise.serving.service_args import ServiceArgs
    from poise.serving.service_check import TEST_SEQUENCES, check_service

    lake, uri = settings.lake, settings.tracking_uri
    with connect(), pvd_store(settings) as milvus_uri:
        settings = settings.model_copy(update={"milvus_uri": milvus_uri})
        say(f"1/4 ingest: {', '.join(plan.tracks)} into {lake}")
        for name in plan.tracks:
            ensure_ingested(Track.parse(name), settings)
        say(f"2/4 sweep: plan {plan.name}")
        result = run_sweep(plan, lake, settings.sweeps, uri, settings.artifacts)
        if not result.entries:
            failures = "; ".join(f"{trial}: {reason}" for trial, reason in result.failures)
            raise PoiseError(f"no trial finished: {failures}")
        track = Track.parse(plan.tracks[0])
        model = f"{model_name(track)}@{CHAMPION}"
        say(f"3/4 serve: {model}")
        args = ServiceArgs(
            model=model,
            home=str(settings.home),
            lake=lake,
            milvus_uri=milvus_uri,
            tracking_uri=uri,
        )
        with running_service(args, port=0) as url:
            say(f"4/4 refine {TEST_SEQUENCES} held-out sequences through {url}/v1/refine")
            served = check_service(url, resolve(model, uri), lake, track)
    return result, served


def _summary(served: "ServiceCheck", unit: str) -> str:
    """Say in words what the service did to the held-out sequences."""
    before, after = served.before, served.after
    return (
        f"\nOver HTTP, {served.sequences} held-out sequences ({before.frames} frames) in "
        f"{served.seconds:.1f} s, retrieval {served.retrieval}:\n"
        f"  before  MPJPE {before.mpjpe:6.2f} {unit}   Accel {before.accel:5.2f} {unit}/frame²\n"
        f"  after   MPJPE {after.mpjpe:6.2f} {unit}   Accel {after.accel:5.2f} {unit}/frame²\n"
        f"  largest difference to the same refinement offline: {served.deviation:.1e}"
    )
