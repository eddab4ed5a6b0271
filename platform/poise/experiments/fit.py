"""Fit any refiner on a track: by gradient, in closed form, or, most filters, not at all.

`fit` reports after every epoch with all that is needed to go on from there, so whoever runs it
(a sweep's trial, a test) decides what to keep and when to stop.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from poise.evaluation.evaluate import evaluate
from poise.evaluation.metrics import PoseErrors, pool
from poise.pvd.pose_bank import PoseBank
from poise.runtime import activity
from poise.training_data.examples import examples, training_windows
from poise.training_data.split import TrackSplit
from poise.training_data.streaming import StreamedSplit
from poise_models.base.budget import Budget
from poise_models.base.refiner import ClosedFormRefiner, Refiner
from poise_models.base.team import ALONE, Team
from poise_models.base.trainer import Trainer
from poise_models.base.window_refiner import WindowRefiner
from poise_models.filters.offset import Offset, OffsetConfig

#: Seconds of training that a crash may cost.
PAUSE_S = 300.0


@dataclass(frozen=True)
class EpochReport:
    """Where a fit stands after an epoch.

    Attributes:
        loss: mean training loss; None where nothing was trained by gradient.
        validation: errors on the validation subjects; None where there are none.
        seconds: of training, this epoch.
        state: tensors to resume from, safetensors bytes; empty where there is nothing to resume.
    """

    epoch: int
    epochs: int
    loss: float | None
    validation: PoseErrors | None
    seconds: float
    state: bytes

    @property
    def done(self) -> bool:
        """Whether this was the last epoch."""
        return self.epoch >= self.epochs


@dataclass(frozen=True)
class Pause:
    """Where a fit stands within an epoch: ``steps`` of ``of`` are done.

    ``state`` is what to go on from, as in `EpochReport`.
    """

    epoch: int
    steps: int
    of: int
    state: bytes


class Crew(Protocol):
    """Other workers that train a network along with this process."""

    team: Team

    def begin(self, refit: bool, state: bytes) -> None:
        """Let them get ready to train on what the fit, or refit, trains on, from a state."""

    def advance(self, trainer: Trainer, seconds: float) -> float | None:
        """Train together, as `Trainer.advance` says."""


@dataclass(frozen=True)
class FitRequest:
    """What to fit on, and for how long.

    Attributes:
        train: sequences to learn from, in memory, or streamed where they do not fit.
        validation: sequences of other subjects; None where nothing is left to choose.
        bank: poses of the PVD; None trains without retrieval.
        budget: length and speed of the training.
        seed: of every random choice.
        device: where to train.
        trained: whether the network was trained before, and goes on from where it is.
        crew: other workers that train along; None trains alone.
    """

    train: TrackSplit | StreamedSplit
    validation: TrackSplit | None
    bank: PoseBank | None
    budget: Budget
    seed: int = 0
    device: str = "cpu"
    trained: bool = False
    crew: Crew | None = None


def fit(
    refiner: Refiner, request: FitRequest, resume: bytes | None = None, pause_s: float = PAUSE_S
) -> Iterator[EpochReport | Pause]:
    """Fit a refiner in place, and score it on the validation subjects after every epoch.

    Args:
        refiner: built with fresh weights, after seeding torch, or trained before.
        request: data, budget, seed and device.
        resume: ``state`` of an earlier report or pause of the same fit.
        pause_s: seconds of an epoch after which to pause, for a caller that keeps the state.

    Yields:
        One report an epoch, a single one for refiners that are not trained by gradient; and the
        pauses of long epochs. What is fitted does not depend on the pauses.

    Raises:
        LakeError: the splits lack what the refiner looks at.
        NonFiniteLossError: the loss became NaN or infinite.
    """
    if isinstance(refiner, WindowRefiner) and refiner.learns:
        yield from _descend(refiner, request, resume, pause_s)
        return
    start = time.perf_counter()
    if isinstance(refiner, ClosedFormRefiner):
        refiner.fit(request.train.pairs())
    seconds = time.perf_counter() - start
    yield EpochReport(1, 1, None, validate(refiner, request), seconds, b"")


def goes_on(refiner: Refiner, state: bytes) -> bool:
    """Say whether a training state is of this very network; it may be another's, or damaged."""
    try:
        tensors = load_tensors(state)
    except SafetensorError:
        return False
    own = {f"weights.{name}": weight.shape for name, weight in refiner.state_dict().items()}
    return own == {k: v.shape for k, v in tensors.items() if k.startswith("weights.")}


def _descend(
    network: WindowRefiner, request: FitRequest, resume: bytes | None, pause_s: float
) -> Iterator[EpochReport | Pause]:
    crew = request.crew
    trainer = start_training(network, request, ALONE if crew is None else crew.team)
    if not request.trained:
        network.start_from(_mean_offset(network, request.train))
    if resume:
        trainer.load_state(load_tensors(resume))
    if crew is not None:
        crew.begin(request.validation is None, _state(trainer))
    seconds = 0.0
    while not trainer.done:
        activity.turn("epoch", trainer.epochs_done + 1, request.budget.epochs)
        activity.follow(lambda: ("step", trainer.steps_done, trainer.steps))
        start = time.perf_counter()
        loss = trainer.advance(pause_s) if crew is None else crew.advance(trainer, pause_s)
        seconds += time.perf_counter() - start
        state = _state(trainer)
        if loss is None:
            yield Pause(trainer.epochs_done + 1, trainer.steps_done, trainer.steps, state)
            continue
        errors = validate(network, request)
        epochs = request.budget.epochs
        yield EpochReport(trainer.epochs_done, epochs, loss, errors, seconds, state)
        seconds = 0.0


def start_training(network: WindowRefiner, request: FitRequest, team: Team) -> Trainer:
    """Put a network before the windows of a request; raise `LakeError` as `fit` does."""
    network.to(request.device)
    windows = training_windows(network, request.train, request.bank, request.device)
    return Trainer(network, windows, request.budget, request.seed, team)


def _state(trainer: Trainer) -> bytes:
    state: bytes = save_tensors({k: v.contiguous() for k, v in trainer.state().items()})
    return state


def _mean_offset(refiner: Refiner, train: TrackSplit | StreamedSplit) -> Tensor:
    offset = Offset(refiner.spec, OffsetConfig())
    offset.fit(train.pairs())
    return offset.offset_C


def validate(refiner: Refiner, request: FitRequest) -> PoseErrors | None:
    """Score a refiner on the validation subjects; None where there are none."""
    if request.validation is None:
        return None
    seen = examples(refiner, request.validation, request.bank)
    found = evaluate(refiner, seen, request.validation.track, seed=0)
    return pool([errors for _, errors in found.sequences])
