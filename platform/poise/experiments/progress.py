"""A sweep's progress as plain lines, readable in a terminal and in ``ray job logs``."""

import logging
from collections.abc import Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import unit_of
from poise.experiments.grid import TrialSpec
from poise.experiments.records import Result, SweepFolder, now_ms

log = logging.getLogger(__name__)


class Progress(TrialProgressCallback):
    """Says what every trial does, and writes down the ends that a trial cannot write itself.

    It takes the place of Tune's own trial printer, which is always added where there is none.
    """

    def __init__(self, sweep: SweepFolder, pending: Sequence[TrialSpec]) -> None:
        super().__init__()
        self._sweep = sweep
        self._specs = {spec.key: spec for spec in pending}
        self._began = now_ms()
        #: Keys of trials that have not ended.
        self.open = set(self._specs)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Say how an epoch went."""
        spec = self._specs[trial.config["key"]]
        if spec.budget is None:
            return
        if "refit" in result:
            log.info(
                "%s: on all subjects, epoch %d/%d, loss %.4f",
                _name(spec), result["refit"], spec.budget.epochs, result["loss"],
            )  # fmt: skip
            return
        log.info(
            "%s: epoch %d/%d, loss %.4f, validation MPJPE %.2f, Accel %.2f %s",
            _name(spec), result["epoch"], spec.budget.epochs, result["loss"],
            result["mpjpe"], result["accel"], unit_of(Track.parse(spec.track)),
        )  # fmt: skip

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Say that a trial starts again."""
        spec = self._specs[trial.config["key"]]
        log.warning("%s: its worker died; it goes on from its last epoch", _name(spec))

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Say how a trial ended; one that wrote no end was stopped by the scheduler."""
        spec = self._specs[trial.config["key"]]
        folder = self._sweep.trial(spec.key)
        result = folder.result()
        if result is None:
            epochs = len(folder.history())
            result = Result("stopped", self._began, now_ms(), f"by the scheduler, epoch {epochs}")
            folder.finish(result)
        self._end(spec, result)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Write down a trial that died once too often."""
        spec = self._specs[trial.config["key"]]
        error = trial.get_error()
        lines = str(error).strip().splitlines() if error is not None else []
        reason = lines[-1] if lines else "its worker died again and again"
        result = Result("failed", self._began, now_ms(), reason)
        self._sweep.trial(spec.key).finish(result)
        self._end(spec, result)

    def _end(self, spec: TrialSpec, result: Result) -> None:
        self.open.discard(spec.key)
        done, total = len(self._specs) - len(self.open), len(self._specs)
        if result.row is None:
            log.warning("[%d/%d] %s %s: %s", done, total, _name(spec), result.status, result.reason)
            return
        row = result.row
        log.info(
            "[%d/%d] %s: test MPJPE %.2f, PA-MPJPE %.2f, Accel %.2f %s",
            done, total, _name(spec), row.mpjpe, row.pa_mpjpe, row.accel, row.unit,
        )  # fmt: skip


def _name(spec: TrialSpec) -> str:
    return f"{spec.title} on {spec.track}, seed {spec.seed}"
