"""A search's progress as plain lines: every epoch, and every trial as it ends."""

import logging
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from poise.catalog.tracks import Track
from poise.evaluation.evaluate import unit_of
from poise.experiments.live.pulse import Pulse
from poise.experiments.records import TrialResult, now_ms
from poise.experiments.search.limits import Limits
from poise.experiments.search.points import words
from poise.experiments.search.trials import SearchTrials, Tried

log = logging.getLogger(__name__)


class SearchProgress(TrialProgressCallback):
    """Says what trials do, writes down ends that they cannot write themselves, counts the time.

    It takes the place of Tune's own trial printer, which is always added where there is none.
    """

    def __init__(self, trials: SearchTrials, limits: Limits, gpus: float, pulse: Pulse) -> None:
        super().__init__()
        self._pulse = pulse
        self._trials, self._limits, self._gpus = trials, limits, gpus
        self._began = now_ms()
        self._ended = sum(one.result is not None for one in trials.tried())
        #: What each of Tune's trials was and is; a member of a population becomes another one.
        self._keys: dict[str, list[str]] = {}
        #: Epochs that were told: members of a population begin again and again.
        self._said: set[tuple[str, int]] = set()
        #: Tune's trials that have not ended.
        self.open: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune writes its callbacks down, and nobody ever restores these."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        """Count the time."""
        running = sum(trial.status == Trial.RUNNING for trial in trials)
        self._limits.tick(running * self._gpus)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Take a trial up."""
        keys = self._keys.setdefault(trial.trial_id, [])
        if _key(trial) not in keys:
            keys.append(_key(trial))
        self.open.add(trial.trial_id)
        self._hear(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        """Say how an epoch went."""
        key = _key(trial)
        if self._trials.find(key) is None:  # what it is to be next has not begun
            key = self._keys[trial.trial_id][-1]
        for old in self._keys[trial.trial_id]:
            if old != key:
                self._replace(old, key)
        if len(self._keys[trial.trial_id]) > 1:
            self._hear(trial)
        self._keys[trial.trial_id] = [key]
        tried = self._trials.find(key)
        said = (key, int(result["epoch"]))
        if tried is None or tried.spec.budget is None or said in self._said:
            return
        self._said.add(said)
        log.info(
            f"{words(tried.values)}: epoch {result['epoch']}/{tried.spec.budget.epochs}, loss "
            f"{result['loss']:.4f}, validation score {result['score']:.4f} (MPJPE "
            f"{result['mpjpe']:.2f}, Accel {result['accel']:.2f} {self._unit(tried)})"
        )

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Say that a trial starts again."""
        tried = self._trials.find(_key(trial))
        if tried is not None:
            log.warning(f"{words(tried.values)}: its worker died; it goes on from its last epoch")
            self._hear(trial)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        """Say how a trial ended; one that wrote no end was stopped."""
        self.open.discard(trial.trial_id)
        tried = self._trials.find(_key(trial))
        if tried is None:
            return
        if tried.result is None:
            why = self._limits.spent or f"by the scheduler, epoch {len(tried.scores)}"
            tried = self._stop(tried, "stopped", why)
        self._end(tried)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        """Write down a trial that died once too often."""
        self.open.discard(trial.trial_id)
        tried = self._trials.find(_key(trial))
        if tried is None:
            return
        error = trial.get_error()
        lines = str(error).strip().splitlines() if error is not None else []
        why = lines[-1] if lines else "its worker died again and again"
        self._end(self._stop(tried, "failed", why))

    def stop_open(self) -> None:
        """End the trials that Tune stopped together with the search: it says nothing of them."""
        for tried in self._trials.tried():
            if tried.result is None:
                self._end(self._stop(tried, "stopped", self._limits.spent))

    def _hear(self, trial: Trial) -> None:
        tried = self._trials.find(_key(trial))
        if tried is not None:
            self._pulse.began(tried.spec)

    def _replace(self, old: str, new: str) -> None:
        """Say that a member of the population went on as a changed copy of a better one."""
        before, after = self._trials.find(old), self._trials.find(new)
        if before is None or after is None:
            return
        if before.result is None:
            self._stop(before, "stopped", f"a better one took its place: {words(after.values)}")
        log.info(f"{words(before.values)}: gives way to {words(after.values)}")

    def _stop(self, tried: Tried, status: Any, why: str) -> Tried:
        """Write an end down. Where that cannot be, the trial is open, and tried again."""
        result = TrialResult(status, self._began, now_ms(), why)
        self._pulse.ended(tried.spec.key, result)
        try:
            self._trials.sweep.trial(tried.spec.key).finish(result)
        except OSError as error:
            log.warning("%s: its end cannot be written: %s", words(tried.values), error)
        return Tried(tried.spec, tried.values, tried.scores, result)

    def _end(self, tried: Tried) -> None:
        self._ended += 1
        total = self._trials.points.search.trials
        far = {"done": self._ended, "total": total} if total else {}
        ended = f"[{self._ended}{f'/{total}' if total else ''}] {words(tried.values)}"
        result = tried.result
        if result is not None:
            self._pulse.ended(tried.spec.key, result)
        if tried.best is None or result is None:
            said = "failed" if result is None else f"{result.status}: {result.reason}"
            log.warning(f"{ended}: {said}", extra=far)
            return
        leader = min(one.best for one in self._trials.tried() if one.best is not None)
        why = f" ({result.reason})" if result.reason else ""
        log.info(f"{ended}: score {tried.best:.4f}{why}; best so far {leader:.4f}", extra=far)

    @staticmethod
    def _unit(tried: Tried) -> str:
        return unit_of(Track.parse(tried.spec.track))


def _key(trial: Trial) -> str:
    return str(trial.config["member"]["key"])
