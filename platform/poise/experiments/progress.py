"""A sweep's progress as plain lines, readable in a terminal and in ``ray job logs``."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import unit_of
from poise.experiments.grid import TrialSpec
from poise.experiments.live.pulse import Pulse
from poise.experiments.records import SweepFolder, TrialResult, now_ms
from poise.runtime.places import cannot_write

log = logging.getLogger(__name__)


class Progress(TrialProgressCallback):
    """Says what every trial does, and writes down the ends that a trial cannot write itself.

    It takes the place of Tune's own trial printer, which is always added where there is none.
    """

    def __init__(self, sweep: SweepFolder, pending: Sequence[TrialSpec], pulse: Pulse) -> None:
        super().__init__()
        self._sweep = sweep
        self._pulse = pulse
        self._specs = {spec.key: spec for spec in pending}
        self._began = now_ms()
        #: Keys of trials that have not ended.
        self.open = set(self._specs)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune writes its callbacks down, and nobody ever restores these."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Say how an epoch went."""
        spec = self._specs[trial.config["key"]]
        if spec.budget is None:
            return
        epochs, loss = spec.budget.epochs, result["loss"]
        if "refit" in result:
            epoch = result["refit"]
            log.info(f"{spec.name}: on all subjects, epoch {epoch}/{epochs}, loss {loss:.4f}")
            return
        log.info(
            f"{spec.name}: epoch {result['epoch']}/{epochs}, loss {loss:.4f}, validation "
            f"MPJPE {result['mpjpe']:.2f}, Accel {result['accel']:.2f} "
            f"{unit_of(Track.parse(spec.track))}"
        )

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Hear its heartbeats from now on."""
        self._pulse.began(self._specs[trial.config["key"]])

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Say that a trial starts again."""
        spec = self._specs[trial.config["key"]]
        log.warning(f"{spec.name}: its worker died; it goes on from its last epoch")

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Say how a trial ended; one that wrote no end was stopped by the scheduler."""
        spec = self._specs[trial.config["key"]]
        folder = self._sweep.trial(spec.key)
        result = folder.result()
        if result is None:
            epochs = len(folder.history())
            result = TrialResult(
                "stopped", self._began, now_ms(), f"by the scheduler, epoch {epochs}"
            )
            result = self._written(spec, result)
        self._end(spec, result)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Write down a trial that died once too often."""
        spec = self._specs[trial.config["key"]]
        error = trial.get_error()
        lines = str(error).strip().splitlines() if error is not None else []
        reason = lines[-1] if lines else "its worker died again and again"
        result = TrialResult("failed", self._began, now_ms(), reason)
        self._end(spec, self._written(spec, result))

    def _written(self, spec: TrialSpec, result: TrialResult) -> TrialResult:
        """Write an end down, and return it, or the reason why that cannot be."""
        folder = self._sweep.trial(spec.key)
        try:
            folder.finish(result)
        # Tune would take it for its own fault. A trial without an end is open, and tried again.
        except OSError as error:
            return replace(result, status="failed", reason=cannot_write(folder.uri, error))
        return result

    def _end(self, spec: TrialSpec, result: TrialResult) -> None:
        self.open.discard(spec.key)
        self._pulse.ended(spec.key, result)
        total = len(self._specs)
        done = total - len(self.open)
        ended, far = f"[{done}/{total}] {spec.name}", {"done": done, "total": total}
        if result.row is None:
            log.warning(f"{ended} {result.status}: {result.reason}", extra=far)
            return
        row = result.row
        log.info(
            f"{ended}: test MPJPE {row.mpjpe:.2f}, PA-MPJPE {row.pa_mpjpe:.2f}, "
            f"Accel {row.accel:.2f} {row.unit}",
            extra=far,
        )
        if row.retrieval == "unavailable":
            log.warning(f"{spec.name}: trained and scored without retrieval: the lake has no PVD")
