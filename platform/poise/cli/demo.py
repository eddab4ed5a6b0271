"""The whole road on one machine: ingest, sweep, serve, and refine held-out motion over HTTP."""

import json
import logging
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.registry import CHAMPION, model_name, resolve
from poise.evaluation.metrics import PoseErrors, pool, pose_errors
from poise.experiments.plan import Plan
from poise.experiments.sweep import SweepResult, run_sweep
from poise.ingest.track import ensure_ingested
from poise.lake.manifest import read_manifest
from poise.lake.split_index import SplitIndex
from poise.pvd.collection import pvd_store
from poise.pvd.pose_bank import PoseBank
from poise.runtime.cluster import connect
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise.serving.app import ServiceArgs
from poise.serving.running_service import running_service
from poise.training_data.split import TrackSplit, load_split
from poise_models.base.clip import Refined

log = logging.getLogger(__name__)

#: Test sequences that are sent to the service, spread evenly over the split.
HELD_OUT = 12
REQUEST_TIMEOUT_S = 120.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Served:
    """What came back over HTTP for the held-out sequences.

    Attributes:
        deviation: largest difference to the same sequences refined offline, in stored units.
    """

    before: PoseErrors
    after: PoseErrors
    deviation: float
    sequences: int
    retrieval: str
    seconds: float


def run_demo(
    plan: Plan, settings: Settings, data: Path | None, say: Say
) -> tuple[SweepResult, Served]:
    """Run every stage; what an earlier run finished is reused.

    Args:
        plan: with one track at least; the first one's champion is served.
        settings: where everything is kept.
        data: raw data; None for a synthetic track.
        say: told what happens.
    """
    lake, home = settings.lake, str(settings.home)
    track = Track.parse(plan.tracks[0])
    with connect(), pvd_store(settings) as milvus_uri:
        given = {"data": data, "milvus_uri": milvus_uri}
        say(f"1/4 ingest: {', '.join(plan.tracks)} into {lake}")
        for name in plan.tracks:
            ensure_ingested(Track.parse(name), settings.model_copy(update=given))
        say(f"2/4 sweep: plan {plan.name}")
        uri = settings.tracking_uri
        outcome = run_sweep(plan, lake, settings.sweeps, uri, settings.artifacts)
        if not outcome.entries:
            raise PoiseError(
                "no trial finished: " + "; ".join(f"{t}: {r}" for t, r in outcome.failures)
            )
        model = f"{model_name(track)}@{CHAMPION}"
        say(f"3/4 serve: {model}")
        args = ServiceArgs(model=model, home=home, milvus_uri=milvus_uri)
        with running_service(args, port=0) as url:
            say(f"4/4 refine {HELD_OUT} held-out sequences through {url}/v1/refine")
            served = _compare(url, resolve(model, uri), lake, track)
    return outcome, served


def _compare(url: str, checkpoint: str, lake: str, track: Track) -> Served:
    test = load_split(lake, track, "test")
    count = len(test.index)
    rows = torch.linspace(0, count - 1, min(HELD_OUT, count)).int().tolist()
    test = test.take(rows)
    start = time.perf_counter()
    answers = [_post(url, track, one) for one in test.detected()]
    seconds = time.perf_counter() - start
    refined = [torch.tensor(answer["poses"]).flatten(1) for answer in answers]
    offline = _offline(checkpoint, lake, track, test)
    deviation = max(
        float((a - b.poses_FC).abs().max()) for a, b in zip(refined, offline, strict=True)
    )
    return Served(
        before=_scores(test.detected(), test, track),
        after=_scores(refined, test, track),
        deviation=deviation,
        sequences=len(answers),
        retrieval=", ".join(sorted({answer["retrieval"] for answer in answers})),
        seconds=seconds,
    )


def _offline(checkpoint: str, lake: str, track: Track, test: TrackSplit) -> list[Refined]:
    refiner, _ = load_checkpoint(checkpoint)
    bank = PoseBank.read(SplitIndex.read(lake, read_manifest(lake, track), "train"))
    return refiner.refine(test.clips(bank))


def _scores(poses: list[Tensor], test: TrackSplit, track: Track) -> PoseErrors:
    return pool([pose_errors(p, t, track.info) for p, t in zip(poses, test.truths(), strict=True)])


def _post(url: str, track: Track, detected_FC: Tensor) -> dict[str, Any]:
    info = track.info
    poses = detected_FC.reshape(-1, info.joints, info.dims).tolist()
    request = urllib.request.Request(  # noqa: S310  (our own service)
        f"{url}/v1/refine",
        data=json.dumps({"track": str(track), "poses": poses}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer
