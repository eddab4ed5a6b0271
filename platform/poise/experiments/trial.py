"""One trial: fit on training subjects, choose on held-out ones, score once on the test split."""

import csv
import io
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace

import torch

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, load_checkpoint, pose_spec, save_checkpoint
from poise.evaluation.evaluate import Evaluation, evaluate
from poise.evaluation.metrics import Scores
from poise.experiments.fit import EpochReport, Pause, fit
from poise.experiments.grid import TrialSpec
from poise.experiments.records import Epoch, Result, TrialFolder, now_ms
from poise.pvd.pose_bank import PoseBank
from poise.runtime import storage
from poise.runtime.errors import PlanError, PoiseError
from poise.training_data.examples import examples
from poise.training_data.split import TrackSplit, load_split, retrieves
from poise.training_data.streaming import StreamedSplit
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.base.refiner import Refiner
from poise_models.errors import NonFiniteLossError, RefinerError
from poise_models.fast.memory import keep_freed_memory
from poise_retrieval.errors import VectorError

log = logging.getLogger(__name__)

Report = Callable[[dict[str, float]], None]


def train_and_score(
    folder: TrialFolder,
    lake: str,
    cpus: float,
    gpus: float,
    report: Report,
    stream_gb: float | None = None,
) -> Result:
    """Run the trial a folder describes, from its last finished epoch, and write how it ended.

    A trial that cannot succeed (non-finite loss, data that do not fit) ends as failed and raises
    nothing; another try would end the same way.

    Args:
        folder: holds ``spec.json``; receives all records.
        lake: the data lake.
        cpus: threads to use.
        gpus: more than zero trains on the GPU.
        report: called with the metrics of every epoch of gradient descent, also of those that an
            earlier try finished.
        stream_gb: GiB of the training split to hold at once; None holds all of it.
    """
    spec = folder.spec()
    if spec is None:
        raise PlanError(f"{folder.uri} describes no trial")
    torch.set_num_threads(max(int(cpus), 1))
    keep_freed_memory()
    history = folder.history()
    started = history[0].ended - int(history[0].seconds * 1000) if history else now_ms()
    try:
        data = _Data(spec, lake, stream_gb)
        device = "cuda" if gpus > 0 else "cpu"
        _fit(spec, folder, data, device, lake, report)
        if spec.refit:
            _refit(spec, folder, data, device, lake, report)
        result = _score(spec, folder, data, started)
    except (PoiseError, RefinerError) as error:
        result = Result("failed", started, now_ms(), str(error))
    folder.finish(result)
    return result


def held_out(
    wanted: Iterable[str], track: Track, training_subjects: Iterable[str]
) -> tuple[str, ...]:
    """The training subjects a trial is validated on.

    By default the last in natural order: a rule that knows nothing of the data.

    Raises:
        PlanError: a subject is not in the train split, or none would be left to train on.
    """
    have = sorted(set(training_subjects), key=_natural)
    chosen = tuple(wanted) or tuple(have[-1:])
    unknown = [subject for subject in chosen if subject not in have]
    if unknown:
        raise PlanError(
            f"validation.subjects: {track} has no training subject {', '.join(unknown)}; "
            f"it has {', '.join(have)}"
        )
    if len(set(chosen)) == len(have):
        raise PlanError(
            f"validation.subjects: {track} has the training subjects {', '.join(have)}, and "
            "holding out " + ", ".join(chosen) + " leaves none to train on"
        )
    return chosen


class _Data:
    """A trial's splits; the test split is not touched before the end."""

    def __init__(self, spec: TrialSpec, lake: str, stream_gb: float | None) -> None:
        self.track = Track.parse(spec.track)
        self.lake = lake
        self.whole: TrackSplit | StreamedSplit
        self.train: TrackSplit | StreamedSplit
        self.bank: PoseBank | None
        if stream_gb is not None:
            self._stream(spec, int(stream_gb * 2**30))
            return
        whole = load_split(lake, self.track, "train")
        self.whole = whole
        self.subjects = held_out(spec.validation, self.track, whole.subjects)
        self.train = whole.without(self.subjects)
        self.validation = whole.only(self.subjects)
        # Whole: at test time the PVD holds every training subject too. A window's own subject is
        # never among its neighbours.
        self.bank = PoseBank(whole)

    def _stream(self, spec: TrialSpec, memory_bytes: int) -> None:
        self.whole = StreamedSplit(self.lake, self.track, memory_bytes=memory_bytes)
        listing, _ = self.whole.listing()
        self.subjects = held_out(spec.validation, self.track, listing.subjects)
        self.train = replace(self.whole, subjects=set(listing.subjects) - set(self.subjects))
        self.validation = load_split(self.lake, self.track, "train", self.subjects)
        self.bank = self.whole.bank() if retrieves(_fresh(spec, self)) else None

    def evaluate(self, refiner: Refiner, split: TrackSplit, seed: int) -> Evaluation:
        seen = examples(refiner, split, self.bank)
        return evaluate(refiner, seen.clips, seen.truths, seen.names, self.track, seed)

    def input_scores(self) -> tuple[float, float]:
        """MPJPE and Accel of the validation subjects as detected."""
        raw = catalogue.build("input", pose_spec(self.track), {})
        row = self.evaluate(raw, self.validation, 0).row
        return row.mpjpe, row.accel


def _fit(
    spec: TrialSpec, folder: TrialFolder, data: _Data, device: str, lake: str, report: Report
) -> None:
    raw = data.input_scores()
    epochs = {epoch.epoch: epoch for epoch in folder.history()}
    state = folder.state()
    for epoch in epochs.values():
        if "loss" in epoch.metrics:
            report({**epoch.metrics, "epoch": epoch.epoch})
    refiner = _fresh(spec, data)
    steps = fit(
        refiner, data.train, data.validation, data.bank, _budget(spec), spec.seed, device, state
    )
    for step in _finite(steps):
        if isinstance(step, Pause):
            _keep(folder, epochs, step)
            continue
        metrics = _metrics(step, raw)
        before = [e.metrics["score"] for e in epochs.values() if e.epoch < step.epoch]
        # The best weights go first: should this process die now, the epoch is done again.
        if metrics["score"] < min(before, default=math.inf):
            save_checkpoint(refiner, _card(spec, step.epoch, metrics, lake), folder.checkpoint)
        epochs[step.epoch] = Epoch(step.epoch, now_ms(), step.seconds, metrics)
        folder.save_epoch(list(epochs.values()), step.state)
        # A scheduler has nothing to decide about what is fitted in one go.
        if step.loss is not None:
            report({**metrics, "epoch": step.epoch})


def _refit(
    spec: TrialSpec, folder: TrialFolder, data: _Data, device: str, lake: str, report: Report
) -> None:
    """Fit anew on all training subjects; the validation metrics stay those of the first fit."""
    records = folder.refit
    epochs = {epoch.epoch: epoch for epoch in records.history()}
    refiner = _fresh(spec, data)
    steps = fit(
        refiner, data.whole, None, data.bank, _budget(spec), spec.seed, device, records.state()
    )
    for step in steps:
        if isinstance(step, Pause):
            _keep(records, epochs, step)
        elif step.loss is not None:
            metrics = {"loss": step.loss}
            epochs[step.epoch] = Epoch(step.epoch, now_ms(), step.seconds, metrics)
            records.save_epoch(list(epochs.values()), step.state)
            report({**metrics, "refit": step.epoch})
    best = _best(folder).metrics
    save_checkpoint(refiner, _card(spec, _budget(spec).epochs, best, lake), folder.checkpoint)


def _keep(records: TrialFolder, epochs: dict[int, Epoch], pause: Pause) -> None:
    records.save_epoch(list(epochs.values()), pause.state)
    log.info("epoch %d: %d of %d steps", pause.epoch, pause.steps, pause.of)


def _fresh(spec: TrialSpec, data: _Data) -> Refiner:
    torch.manual_seed(spec.seed)
    return catalogue.build(spec.refiner, pose_spec(data.track), spec.settings)


def _budget(spec: TrialSpec) -> Budget:
    return spec.budget or Budget(epochs=1)


def _best(folder: TrialFolder) -> Epoch:
    return min(folder.history(), key=lambda epoch: epoch.metrics["score"])


def _finite(steps: Iterator[EpochReport | Pause]) -> Iterator[EpochReport | Pause]:
    try:
        yield from steps
    except VectorError as error:
        raise NonFiniteLossError(
            "the refined poses of the validation subjects are not finite; lower learning_rate"
        ) from error


def _metrics(step: EpochReport, raw: tuple[float, float]) -> dict[str, float]:
    scores = step.validation
    assert scores is not None  # noqa: S101  (the first fit always validates)
    metrics = {"loss": step.loss} if step.loss is not None else {}
    metrics |= _named(scores)
    metrics["score"] = (scores.mpjpe / raw[0] + scores.accel / raw[1]) / 2
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if bad:
        raise NonFiniteLossError(f"{', '.join(bad)} not finite after epoch {step.epoch}")
    return metrics


def _named(scores: Scores) -> dict[str, float]:
    return {"mpjpe": scores.mpjpe, "pa_mpjpe": scores.pa_mpjpe, "accel": scores.accel}


def _card(spec: TrialSpec, epochs: int, metrics: dict[str, float], lake: str) -> ModelCard:
    return ModelCard(
        track=spec.track,
        refiner=spec.refiner,
        settings=spec.settings,
        seed=spec.seed,
        epochs=epochs,
        lake=lake,
        manifest=spec.manifest,
        metrics=metrics,
    )


def _score(spec: TrialSpec, folder: TrialFolder, data: _Data, started: int) -> Result:
    best, _ = load_checkpoint(folder.checkpoint)
    test = load_split(data.lake, data.track, "test")
    evaluation = data.evaluate(best, test, spec.seed)
    storage.write_bytes(folder.sequences, _sequences_csv(evaluation).encode())
    return Result(
        "finished",
        started,
        now_ms(),
        validation={k: v for k, v in _best(folder).metrics.items() if k != "loss"},
        held_out=data.subjects,
        row=evaluation.row,
    )


def _sequences_csv(evaluation: Evaluation) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = list(asdict(evaluation.sequences[0][1]))
    writer.writerow(["sequence", *columns])
    for name, scores in evaluation.sequences:
        writer.writerow([name, *asdict(scores).values()])
    return out.getvalue()


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
