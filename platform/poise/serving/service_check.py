"""Check a running service on test sequences: against their truth, and against offline refining."""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import load_checkpoint
from poise.evaluation.metrics import PoseErrors, pool, pose_errors
from poise.lake.manifest import read_manifest
from poise.lake.split_index import SplitIndex
from poise.pvd.pose_bank import PoseBank
from poise.pvd.retriever import retrieves
from poise.runtime.settings import Settings
from poise.training_data.examples import examples
from poise.training_data.split import TrackSplit, load_split
from poise_models.base.clip import Refined
from poise_models.base.refiner import Refiner

#: Sequences that are sent, spread evenly over the test split.
TEST_SEQUENCES = 12
REQUEST_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ServiceCheck:
    """How well a service refined some test sequences.

    Attributes:
        before: errors of the sequences as detected.
        after: errors as the service refined them.
        deviation: largest difference to the same sequences refined offline, of poses and of what
            is said of their errors, in stored units.
        sequences: how many were sent.
        retrieval: what the service said of its neighbours, for example ``used``.
        seconds: for all requests together.
    """

    before: PoseErrors
    after: PoseErrors
    deviation: float
    sequences: int
    retrieval: str
    seconds: float


def check_service(url: str, checkpoint: str, lake: str, track: Track) -> ServiceCheck:
    """Send some test sequences of a track to a service, one after the other, gaps and all.

    Args:
        url: of the service.
        checkpoint: folder of the model it serves.
        lake: where the track is.
        track: the model's, with ground truth.
    """
    test = load_split(lake, track, "test")
    count = len(test.index)
    rows = torch.linspace(0, count - 1, min(TEST_SEQUENCES, count)).int().tolist()
    test = test.take(rows)
    refiner, _ = load_checkpoint(checkpoint)
    start = time.perf_counter()
    sent = test.with_gaps() if refiner.takes_missing else test
    answers = [_post(url, track, one) for one in sent.detected()]
    seconds = time.perf_counter() - start
    refined = [torch.tensor(answer["poses"]).flatten(1) for answer in answers]
    offline = refined_offline(refiner, lake, track, test)
    return ServiceCheck(
        before=_scores(test.detected(), test, track),
        after=_scores(refined, test, track),
        deviation=max(map(_deviation, answers, offline)),
        sequences=len(answers),
        retrieval=", ".join(sorted({answer["retrieval"] for answer in answers})),
        seconds=seconds,
    )


def refined_offline(refiner: Refiner, lake: str, track: Track, test: TrackSplit) -> list[Refined]:
    """Refine sequences of a split here, with the gaps and neighbours that the refiner reads."""
    bank = None
    if retrieves(refiner):
        bank = PoseBank.read(SplitIndex.read(lake, read_manifest(lake, track), "train"))
    return refiner.refine(examples(refiner, test, bank).clips)


def _deviation(answer: dict[str, Any], offline: Refined) -> float:
    apart = (torch.tensor(answer["poses"]).flatten(1) - offline.poses_FC).abs().max()
    if offline.error_FJ is not None:
        apart = apart.maximum((torch.tensor(answer["error"]) - offline.error_FJ).abs().max())
    return float(apart)


def _scores(poses: list[Tensor], test: TrackSplit, track: Track) -> PoseErrors:
    return pool(
        [
            pose_errors(one, truth, track.info)
            for one, truth in zip(poses, test.truths(), strict=True)
        ]
    )


def _post(url: str, track: Track, detected_FC: Tensor) -> dict[str, Any]:
    info = track.info
    poses = detected_FC.reshape(-1, info.joints, info.dims).tolist()
    request = urllib.request.Request(  # noqa: S310  (our own service)
        f"{url}/v1/refine",
        data=json.dumps({"track": str(track), "poses": poses}).encode(),
        headers={"Content-Type": "application/json", **_shown()},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:  # noqa: S310
        answer: dict[str, Any] = json.load(response)
    return answer


def _shown() -> dict[str, str]:
    token = Settings.current().token
    return {} if token is None else {"Authorization": f"Bearer {token}"}
