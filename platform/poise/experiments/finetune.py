"""Go on training a network on a user's own pairs, and keep what is best on people held out.

It is a trial like a sweep's, in a folder that is the checkpoint as well: records and training state
lie beside weights and card, so that the same command goes on where it was cut off.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import CARD, pose_spec
from poise.checkpoints.models import load_model
from poise.checkpoints.shipped import GENERAL
from poise.evaluation.evaluate import unit_of
from poise.experiments.fit import EpochReport, validate
from poise.experiments.grid import SCHEMA, TrialSpec
from poise.experiments.records import Epoch, TrialFolder, TrialResult, now_ms
from poise.experiments.shared_splits import SplitSource
from poise.experiments.trial import Trial
from poise.experiments.trial_data import TrialData
from poise.lake.manifest import manifest_hash, read_manifest
from poise.runtime import storage
from poise.runtime.errors import CheckpointError, PlanError
from poise.runtime.settings import Settings
from poise.training_data.split import TrackSplit
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.memory import keep_freed_memory

log = logging.getLogger(__name__)

#: Looks at the people held out are so many steps apart, and at most so many.
_LOOK_STEPS, _LOOKS = 100, 10
_PAUSE_S = 20.0
_BUDGET = Budget(
    batch=96,
    learning_rate=2e-3,
    schedule="cosine",
    optimiser="adamw",
    warm_up=0.1,
    ema=0.95,
    scale=0.1,
)
#: Windows are turned by up to so many radians, where it is known about which axis.
_HEADING = 0.3


@dataclass(frozen=True)
class TuneRequest:
    """What to tune, on what, and for how long.

    Attributes:
        model: a trained network: a registered model's name, or a checkpoint folder.
        track: of the pairs; it has to be in the lake.
        hold_out: training subjects to choose on; the last in natural order where none is named.
        steps: of gradient descent, about.
        out: folder of the tuned checkpoint.
        seed: of every random choice.
    """

    model: str
    track: Track
    hold_out: Sequence[str]
    steps: int
    out: str
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """How a tuning ended: errors on the subjects that were held out.

    Attributes:
        subjects: who they are.
        unit: of their errors.
        raw: MPJPE and Accel of the input.
        before: of the network as it came.
        best: of what was kept; equal to ``before`` where nothing was better.
        step: after which it was kept; 0 where it came so.
    """

    subjects: tuple[str, ...]
    unit: str
    raw: tuple[float, float]
    before: tuple[float, float]
    best: tuple[float, float]
    step: int


class TunedFolder(TrialFolder):
    """A trial's records, in the folder of the checkpoint that comes of it."""

    @property
    def checkpoint(self) -> str:
        """The folder itself."""
        return self.uri


def finetune(request: TuneRequest, settings: Settings) -> Tuned:
    """Tune a network on the training subjects of a track, and keep the best weights in a folder.

    The folder is a checkpoint from the first look at the held-out subjects on. Progress is logged,
    at least twice a minute.

    Raises:
        CheckpointError: the model is no network, or was made for other joints.
        PlanError: nobody would be left to train on, or the folder holds something else.
        LakeError: the track is not in the lake, or has no ground truth.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    keep_freed_memory()
    network = _trained(request, settings)
    spec = _spec(request, settings, network)
    folder = _begun(request.out, spec)
    data = TrialData.load(spec, SplitSource(settings.lake))
    budget = _budget(request.steps, data, network)
    spec = replace(spec, budget=budget)
    unit, apart = unit_of(request.track), budget.steps_per_epoch or 0

    def report(metrics: dict[str, float]) -> None:
        log.info(
            f"step {int(metrics['epoch']) * apart:,} of {budget.epochs * apart:,}: loss "
            f"{metrics['loss']:.4f}, held-out MPJPE {metrics['mpjpe']:.2f}, "
            f"Accel {metrics['accel']:.2f} {unit}"
        )

    device = "cuda" if torch.cuda.is_available() else "cpu"
    trial = Trial(spec, folder, data, device, report, network, _PAUSE_S)
    raw = data.input_errors()
    started = now_ms()
    if not folder.history():
        start = validate(network, data.request(spec, device))
        trial.keep_best(network, {}, EpochReport(0, budget.epochs, None, start, 0.0, b""), raw)
    before = _errors(folder.history()[0])
    log.info(
        f"held out {', '.join(data.subjects)}: MPJPE {before[0]:.2f}, Accel {before[1]:.2f} {unit} "
        f"as it comes, of the input {raw[0]:.2f}, {raw[1]:.2f}"
    )
    if folder.result() is None:
        trial.fit()
        kept = {k: v for k, v in trial.best().metrics.items() if k != "loss"}
        folder.finish(TrialResult("finished", started, now_ms(), "", kept, data.subjects))
    best = trial.best()
    return Tuned(data.subjects, unit, raw, before, _errors(best), best.epoch * apart)


def _errors(epoch: Epoch) -> tuple[float, float]:
    return epoch.metrics["mpjpe"], epoch.metrics["accel"]


def _trained(request: TuneRequest, settings: Settings) -> WindowRefiner:
    """Load the network, for the track's poses: their axes may be others than those it knows."""
    ours = request.track
    refiner, card = load_model(request.model, settings.tracking_uri, pose_spec(ours))
    if not isinstance(refiner, WindowRefiner):
        raise CheckpointError(
            f"{request.model} is {refiner.title}: networks can be tuned, others are fitted anew"
        )
    theirs, spec = refiner.spec, pose_spec(ours)
    if (theirs.names, theirs.dims) != (spec.names, spec.dims):
        raise CheckpointError(
            f"{request.model} was trained on {card.track}, whose joints are not those of {ours}: "
            f"tune a network of the same joints in the same order, or {GENERAL}"
        )
    built = catalogue.build(card.refiner, spec, card.settings)
    assert isinstance(built, WindowRefiner)  # noqa: S101  (as it was)
    built.load_state_dict(refiner.state_dict())
    return built


def _spec(request: TuneRequest, settings: Settings, network: WindowRefiner) -> TrialSpec:
    spec = TrialSpec(
        key="",
        track=str(request.track),
        manifest=manifest_hash(read_manifest(settings.lake, request.track)),
        refiner=network.name,
        label="",
        settings=network.settings(),
        budget=None,
        seed=request.seed,
        validation=tuple(request.hold_out),
        refit=False,
        tuned_from=request.model,
    )
    weights = hashlib.sha256(save_tensors(network.state_dict())).hexdigest()
    told = [SCHEMA, spec.to_json(), request.steps, weights]
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return replace(spec, key=key)


def _begun(out: str, spec: TrialSpec) -> TunedFolder:
    """Return the folder, which is new or of the same tuning."""
    folder = TunedFolder(out)
    there = folder.spec()
    if there is None and storage.exists(storage.join(out, CARD)):
        raise PlanError(f"{out} holds a checkpoint: name a folder that does not")
    if there is not None and there.key != spec.key:
        raise PlanError(
            f"{out} holds another tuning, of {there.tuned_from} on {there.track}: name a new "
            "folder, or remove it"
        )
    folder.begin(spec)
    return folder


def _budget(steps: int, data: TrialData, network: WindowRefiner) -> Budget:
    """So many steps, with a look at the held-out subjects after each part of them."""
    assert isinstance(data.train, TrackSplit)  # noqa: S101  (loaded, not streamed)
    windows_S = np.maximum(data.train.index.frames_S - network.window + 1, 0)
    whole = max(int(windows_S.sum()) // _BUDGET.batch, 1)
    apart = min(max(steps // _LOOKS, min(_LOOK_STEPS, steps)), whole)
    return replace(
        _BUDGET,
        epochs=max(round(steps / apart), 1),
        steps_per_epoch=apart,
        mirror=network.spec.flip is not None,
        heading=_HEADING if network.spec.up is not None else 0.0,
    )
