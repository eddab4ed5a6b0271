"""One trial: fit on training subjects, choose on held-out ones, score once on the test split."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from poise.checkpoints.checkpoint import ModelCard, load_checkpoint, save_checkpoint
from poise.evaluation.scored import scored
from poise.experiments.fit import PAUSE_S, Crew, EpochReport, Pause, fit, goes_on
from poise.experiments.grid import TrialSpec
from poise.experiments.live.beat import REFITTING, SCORING, TRAINING, TUNING, beating
from poise.experiments.records import Epoch, TrialFolder, TrialResult, now_ms
from poise.experiments.shared_splits import SplitSource
from poise.experiments.tracking.machine import machine, usage
from poise.experiments.trial_data import TrialData, budget_of, fresh_refiner, load_data
from poise.experiments.workers.crew import crew_of
from poise.runtime import activity
from poise.runtime.errors import PlanError, PoiseError
from poise.runtime.places import cannot_write, is_of_a_place
from poise_models.base.refiner import Refiner
from poise_models.errors import NonFiniteLossError, RefinerError
from poise_models.fast.memory import keep_freed_memory
from poise_retrieval.errors import VectorError

log = logging.getLogger(__name__)

#: Callback with the metrics of an epoch of gradient descent.
Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrialSetup:
    """What a trial runs on.

    Attributes:
        source: gives it its splits.
        cpus: threads to use, of each worker.
        gpus: of each worker; more than zero trains on the GPU.
        stream_gb: GiB of the training split to hold at once; None holds all of it.
        workers: how many train a network together.
    """

    source: SplitSource
    cpus: float = 1.0
    gpus: float = 0.0
    stream_gb: float | None = None
    workers: int = 1


def run_trial(folder: TrialFolder, setup: TrialSetup, report: Report) -> TrialResult:
    """Run the trial a folder describes, from its last finished epoch, and write how it ended.

    A trial that cannot succeed (non-finite loss, data that do not fit) ends as failed and raises
    nothing; another try would end the same way.

    Args:
        folder: holds ``spec.json``; receives all records.
        setup: data and machine.
        report: callback with the metrics of every epoch of gradient descent, also of those that an
            earlier try finished.

    Raises:
        PlanError: the folder describes no trial.
    """
    spec = folder.spec()
    if spec is None:
        raise PlanError(f"{folder.uri} describes no trial")
    torch.set_num_threads(max(int(setup.cpus), 1))
    keep_freed_memory()
    folder.keep_facts("machine", machine("cuda" if setup.gpus > 0 else "cpu"))
    history = folder.history()
    started = history[0].began if history else now_ms()
    try:
        with beating(folder), _crew(spec, setup) as crew:
            result = Trial.prepare(spec, folder, setup, report, crew).run(started)
    except (PoiseError, RefinerError) as error:
        result = TrialResult("failed", started, now_ms(), str(error))
    except OSError as error:
        if not is_of_a_place(error):
            raise
        result = TrialResult("failed", started, now_ms(), cannot_write(folder.uri, error))
    folder.finish(result)
    return result


@dataclass(frozen=True)
class Trial:
    """A trial at work.

    Attributes:
        spec: what it is.
        folder: its records.
        data: its splits.
        device: where to train.
        report: callback with the metrics of every epoch.
        start: a trained network to go on from; None builds one with fresh weights.
        pause_s: seconds of training that a crash may cost.
        crew: other workers that train along; None trains alone.
    """

    spec: TrialSpec
    folder: TrialFolder
    data: TrialData
    device: str
    report: Report
    start: Refiner | None = None
    pause_s: float = PAUSE_S
    crew: Crew | None = None

    @classmethod
    def prepare(
        cls,
        spec: TrialSpec,
        folder: TrialFolder,
        setup: TrialSetup,
        report: Report,
        crew: Crew | None = None,
    ) -> "Trial":
        """Load the training split, or get ready to stream it."""
        activity.stage("reading data")
        data = load_data(spec, setup.source, setup.stream_gb)
        device = "cuda" if setup.gpus > 0 else "cpu"
        return cls(spec, folder, data, device, report, crew=crew)

    def run(self, started: int) -> TrialResult:
        """Fit, fit anew on everybody if the plan wants it, and score; a search only fits."""
        if self.spec.candidates:
            self.tune()
        else:
            self.fit()
        if not self.folder.validated():
            self.validate()
        if self.spec.untested:
            return self.untested(started)
        if self.spec.refit:
            self.refit()
        return self.score(started)

    def fit(self) -> None:
        """Fit on the training subjects; keep the weights that are best on the held-out ones."""
        activity.stage("scoring the input")
        raw = self.data.input_errors()
        activity.stage(TRAINING)
        refiner = self.start or fresh_refiner(self.spec)
        epochs, state = _so_far(self.folder, refiner)
        for epoch in epochs.values():
            if "loss" in epoch.metrics:
                self.report({**epoch.metrics, "epoch": epoch.epoch})
        wanted = replace(
            self.data.request(self.spec, self.device),
            trained=self.start is not None,
            crew=self.crew,
        )
        for step in _finite(fit(refiner, wanted, state, self.pause_s)):
            if isinstance(step, Pause):
                _keep(self.folder, epochs, step)
                continue
            metrics = self.keep_best(refiner, epochs, step, raw)
            # A scheduler has nothing to decide about what is fitted in one go.
            if step.loss is not None:
                self.report({**metrics, "epoch": step.epoch})

    def tune(self) -> None:
        """Keep the candidate that is best on the held-out subjects; each is an epoch in records."""
        activity.stage("scoring the input")
        raw = self.data.input_errors()
        activity.stage(TUNING)
        epochs = {epoch.epoch: epoch for epoch in self.folder.history()}
        wanted = self.data.request(self.spec, self.device)
        for number in range(len(epochs) + 1, len(self.spec.candidates) + 1):
            activity.turn("candidate", number, len(self.spec.candidates))
            refiner = fresh_refiner(self.spec.with_candidate(number))
            (step,) = _finite(fit(refiner, wanted))
            assert isinstance(step, EpochReport)  # noqa: S101  (what is tuned has one epoch)
            self.keep_best(refiner, epochs, replace(step, epoch=number), raw)

    def validate(self) -> None:
        """Score each sequence of the held-out subjects with the kept weights, before a refit."""
        best, _ = load_checkpoint(self.folder.checkpoint)
        evaluation = self.data.evaluate(best, self.data.validation, self.spec.seed)
        self.folder.save_validation(scored(evaluation))

    def refit(self) -> None:
        """Fit anew on all training subjects; the validation metrics stay those of the first fit."""
        activity.stage(REFITTING)
        records = self.folder.refit
        number = self.best().epoch
        spec = self.spec.with_candidate(number) if self.spec.candidates else self.spec
        refiner = fresh_refiner(spec)
        epochs, state = _so_far(records, refiner)
        wanted = replace(self.data.refit_request(self.spec, self.device), crew=self.crew)
        for step in fit(refiner, wanted, state):
            if isinstance(step, Pause):
                _keep(records, epochs, step)
            elif step.loss is not None:
                metrics = {"loss": step.loss}
                epochs[step.epoch] = Epoch(step.epoch, now_ms(), step.seconds, metrics, usage())
                records.save_epoch(list(epochs.values()), step.state)
                self.report({**metrics, "refit": step.epoch})
        self._save(refiner, budget_of(self.spec).epochs, self.best().metrics)

    def score(self, started: int) -> TrialResult:
        """Evaluate the kept weights on the test split."""
        activity.stage(SCORING)
        best, _ = load_checkpoint(self.folder.checkpoint)
        evaluation, pictures = self.data.test(best, self.spec.seed)
        self.folder.save_sequences(scored(evaluation))
        for name, picture in pictures.items():
            self.folder.save_picture(name, picture)
        raw = self.data.input_errors()
        return TrialResult(
            "finished",
            started,
            now_ms(),
            validation={k: v for k, v in self.best().metrics.items() if k != "loss"}
            | {"input_mpjpe": raw[0], "input_accel": raw[1]},
            held_out=self.data.subjects,
            tested=self.data.tested,
            device=self.device,
            row=evaluation.row,
            chosen=self.spec.candidates[self.best().epoch - 1] if self.spec.candidates else {},
        )

    def untested(self, started: int) -> TrialResult:
        """End with the errors on the validation subjects, as a search does."""
        mpjpe, accel = self.data.input_errors()
        known = {k: v for k, v in self.best().metrics.items() if k != "loss"}
        return TrialResult(
            "finished",
            started,
            now_ms(),
            validation={**known, "input_mpjpe": mpjpe, "input_accel": accel},
            held_out=self.data.subjects,
        )

    def keep_best(
        self,
        refiner: Refiner,
        epochs: dict[int, Epoch],
        step: EpochReport,
        raw: tuple[float, float],
    ) -> dict[str, float]:
        """Write an epoch down, and the weights where none before was better."""
        metrics = _metrics(step, raw)
        before = [e.metrics["score"] for e in epochs.values() if e.epoch < step.epoch]
        # The best weights go first: should this process die now, the epoch is done again.
        if metrics["score"] < min(before, default=math.inf):
            self._save(refiner, step.epoch, metrics)
        epochs[step.epoch] = Epoch(step.epoch, now_ms(), step.seconds, metrics, usage())
        self.folder.save_epoch(list(epochs.values()), step.state)
        return metrics

    def best(self) -> Epoch:
        """Return the epoch whose weights are kept."""
        return min(self.folder.history(), key=lambda epoch: epoch.metrics["score"])

    def _save(self, refiner: Refiner, epochs: int, metrics: dict[str, float]) -> None:
        card = ModelCard(
            track=self.spec.track,
            refiner=self.spec.refiner,
            settings=refiner.settings(),
            seed=self.spec.seed,
            epochs=epochs,
            lake=self.data.source.lake,
            manifest=self.spec.manifest,
            metrics=metrics,
            tuned_from=self.spec.tuned_from,
        )
        save_checkpoint(refiner, card, self.folder.checkpoint)


def _so_far(records: TrialFolder, refiner: Refiner) -> tuple[dict[int, Epoch], bytes | None]:
    """Return the epochs of a fit by number, and where it goes on; nothing if not with this one."""
    state = records.state()
    if state and not goes_on(refiner, state):
        log.warning(
            "%s: its training state is damaged, or of another network than %s as it is now: "
            "training begins anew",
            records.uri,
            refiner.name,
        )
        return {}, None
    return {epoch.epoch: epoch for epoch in records.history()}, state


def _crew(spec: TrialSpec, setup: TrialSetup) -> AbstractContextManager[Crew | None]:
    """Return the other workers; there are none for what is not trained by gradient."""
    if setup.workers == 1 or spec.budget is None:
        return nullcontext()
    each = (setup.cpus, setup.gpus)
    return crew_of(spec, setup.source, setup.stream_gb, each, setup.workers)


def _keep(records: TrialFolder, epochs: dict[int, Epoch], pause: Pause) -> None:
    records.save_epoch(list(epochs.values()), pause.state)
    log.info("epoch %d: %d of %d steps", pause.epoch, pause.steps, pause.of)


def _finite(steps: Iterator[EpochReport | Pause]) -> Iterator[EpochReport | Pause]:
    try:
        yield from steps
    except VectorError as error:
        raise NonFiniteLossError(
            "the refined poses of the validation subjects are not finite; lower learning_rate"
        ) from error


def _metrics(step: EpochReport, raw: tuple[float, float]) -> dict[str, float]:
    errors = step.validation
    assert errors is not None  # noqa: S101  (the first fit always validates)
    metrics = {"loss": step.loss} if step.loss is not None else {}
    metrics |= {"mpjpe": errors.mpjpe, "pa_mpjpe": errors.pa_mpjpe, "accel": errors.accel}
    metrics["score"] = (errors.mpjpe / raw[0] + errors.accel / raw[1]) / 2
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise NonFiniteLossError(f"{', '.join(bad)} not finite after epoch {step.epoch}")
    return metrics
