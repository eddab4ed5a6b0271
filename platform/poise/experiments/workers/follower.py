"""A worker that trains along: it takes the first worker's steps, on its own share of each batch."""

import torch
from safetensors.torch import load as load_tensors

from poise.experiments.fit import start_training
from poise.experiments.grid import TrialSpec
from poise.experiments.shared_splits import SplitSource
from poise.experiments.trial_data import TrialData, fresh_refiner, load_data
from poise.experiments.workers.process_group import Meeting, leave
from poise_models.base.team import Team
from poise_models.base.trainer import Trainer
from poise_models.base.window_refiner import WindowRefiner


class Follower:
    """Runs as a Ray actor, in the placement group of the trial."""

    def __init__(
        self, spec: TrialSpec, source: SplitSource, stream_gb: float | None, cpus: float
    ) -> None:
        """Take a trial's description; nothing is read yet."""
        torch.set_num_threads(max(int(cpus), 1))
        self._spec, self._source, self._stream_gb = spec, source, stream_gb
        self._data: TrialData | None = None
        self._trainer: Trainer | None = None
        self._team = Team()
        self._device = "cpu"

    def ready(self) -> None:
        """Answer, once there is a place to run."""

    def join(self, meeting: Meeting, team: Team) -> None:
        """Join the other workers."""
        self._team, self._device = team, meeting.device
        meeting.join(team)

    def begin(self, refit: bool, state: bytes) -> None:
        """Get ready to train from the first worker's state.

        Args:
            refit: whether on all training subjects.
            state: as of `poise.experiments.fit.EpochReport`.
        """
        if self._data is None:
            self._data = load_data(self._spec, self._source, self._stream_gb)
        prepare = self._data.refit_request if refit else self._data.request
        refiner = fresh_refiner(self._spec)
        assert isinstance(refiner, WindowRefiner)  # noqa: S101  (nothing else is trained together)
        self._trainer = start_training(refiner, prepare(self._spec, self._device), self._team)
        self._trainer.load_state(load_tensors(state))

    def advance(self) -> None:
        """Train along to where the first worker stops."""
        assert self._trainer is not None  # noqa: S101  (it has begun)
        try:
            self._trainer.advance()
        except BaseException:
            leave()
            raise
