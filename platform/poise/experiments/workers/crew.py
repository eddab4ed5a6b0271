"""The other workers of a trial, as its first one sees them."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from poise.experiments.grid import TrialSpec
from poise.experiments.shared_splits import SplitSource
from poise.experiments.workers.follower import Follower
from poise.experiments.workers.process_group import leave, open_meeting
from poise_models.base.team import Team
from poise_models.base.trainer import Trainer

#: Seconds that a worker may take for its data, or behind the first one.
_PATIENCE_S = 3600.0


class WorkerDiedError(RuntimeError):
    """A worker of a trial died; the trial is tried again from its last state."""


class Crew:
    """Workers that train along with this process.

    Attributes:
        team: this process among them; the first.
    """

    def __init__(self, actors: Sequence[Any]) -> None:
        """Take the other workers."""
        self._actors = actors
        self.team = Team(0, len(actors) + 1)

    def meet(self, device: str) -> None:
        """Join with the others, as soon as there is room for all."""
        self._all([actor.ready.remote() for actor in self._actors])
        meeting, store = open_meeting(device)
        joining = [
            actor.join.remote(meeting, Team(rank, self.team.size))
            for rank, actor in enumerate(self._actors, 1)
        ]
        meeting.join(self.team, store)
        self._all(joining)

    def begin(self, refit: bool, state: bytes) -> None:
        """Let the others get ready to train from a state."""
        kept = ray.put(state)
        self._all([actor.begin.remote(refit, kept) for actor in self._actors])

    def advance(self, trainer: Trainer, seconds: float) -> float | None:
        """Train together, as `Trainer.advance` says.

        Raises:
            WorkerDiedError: one of the others died.
        """
        following = [actor.advance.remote() for actor in self._actors]
        try:
            loss = trainer.advance(seconds)
        except RuntimeError:
            # What the connection says here is that it ended; why is known there.
            leave()
            self._all(following)
            raise
        self._all(following)
        return loss

    def _all(self, answers: list[Any]) -> None:
        for number, answer in enumerate(answers, 2):
            try:
                ray.get(answer, timeout=_PATIENCE_S)
            except RayActorError as error:
                raise WorkerDiedError(
                    f"worker {number} of {self.team.size} of the trial died"
                ) from error


@contextlib.contextmanager
def crew_of(
    spec: TrialSpec,
    source: SplitSource,
    stream_gb: float | None,
    resources: tuple[float, float],
    workers: int,
) -> Iterator[Crew]:
    """Start the other workers of a trial, in its placement group, and end them after the block.

    Args:
        spec: the trial.
        source: gives it its splits.
        stream_gb: GiB of the training split that each holds at once.
        resources: CPUs and GPUs of each worker.
        workers: how many, this process counted.

    Raises:
        WorkerDiedError: one died before the block.
    """
    cpus, gpus = resources
    group = ray.util.get_current_placement_group()
    actors = []
    for rank in range(1, workers):
        where = "DEFAULT" if group is None else PlacementGroupSchedulingStrategy(group, rank)
        actor = ray.remote(Follower).options(
            num_cpus=cpus, num_gpus=gpus, scheduling_strategy=where
        )
        actors.append(actor.remote(spec, source, stream_gb, cpus))
    crew = Crew(actors)
    try:
        crew.meet("cuda" if gpus else "cpu")
        yield crew
    finally:
        for actor in actors:
            ray.kill(actor)
        leave()
