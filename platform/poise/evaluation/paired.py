"""Differences between refiners on the same sequences, with bootstrap intervals.

Every draw takes people, sequences of each, and seeds of each refiner, with replacement, the same
people and sequences for both refiners. Where there are fewer than `FEWEST_PEOPLE`, their draws
would say nothing, and all of them are in every draw: the interval is then about these people.

Shape letters: R draws, P people, S sequences, N runs (seeds) of a refiner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from poise.evaluation.scored import Scored

Floats = NDArray[np.float64]

DRAWS = 2000
#: From so many on, people are drawn too.
FEWEST_PEOPLE = 5
_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A difference of means, and where it is with 95 % confidence."""

    difference: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the difference can be told from none."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.difference:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


@dataclass(frozen=True)
class Run:
    """A refiner with one seed, scored on one fold (0 where there are none)."""

    seed: int
    fold: int
    sequences: Sequence[Scored]


@dataclass(frozen=True)
class Runs:
    """All runs of one refiner.

    Attributes:
        by_seed: the sequences of all folds, by name.
        folds: the fold of each sequence.
    """

    by_seed: Mapping[int, Mapping[str, Scored]]
    folds: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "Runs":
        """Gather runs; of a sequence that no frame was scored of, nothing is said."""
        by_seed: dict[int, dict[str, Scored]] = {}
        folds: dict[str, int] = {}
        for run in runs:
            some = {one.name: one for one in run.sequences if one.errors.frames}
            by_seed.setdefault(run.seed, {}).update(some)
            folds |= dict.fromkeys(some, run.fold)
        return cls(by_seed, folds)

    @property
    def sequences(self) -> list[Scored]:
        """Those of every seed."""
        return [one for some in self.by_seed.values() for one in some.values()]

    @property
    def names(self) -> set[str]:
        """The sequences that every seed has."""
        seeds = [set(some) for some in self.by_seed.values()]
        return set.intersection(*seeds) if seeds else set()

    def errors(self, metric: str, names: Sequence[str]) -> Floats:
        """Return a metric of sequences, a row for each seed, (N, S)."""
        rows = [
            [getattr(some[name].errors, metric) for name in names] for some in self.by_seed.values()
        ]
        return np.array(rows, np.float64)


def difference(one: Runs, other: Runs, metric: str) -> Interval | None:
    """Return by how much a metric of one refiner is larger than that of another.

    Sequences count by their frames and folds alike, as in the means of a table. Where a refiner
    was not run on all of them, those count that both have.

    Returns:
        The difference; None where they share no sequence, or one has no such errors.
    """
    names = sorted(one.names & other.names)
    if not names:
        return None
    pair = one.errors(metric, names), other.errors(metric, names)
    if not all(np.isfinite(errors_NS).all() for errors_NS in pair):
        return None
    some = next(iter(other.by_seed.values()))
    weight_S = _weights(
        [some[name].errors.frames for name in names], [other.folds[name] for name in names]
    )
    draws_RS = _draws(tuple(some[name].subject for name in names), tuple(weight_S.tolist()))
    # The seeds of two refiners have nothing in common, so each has draws of its own.
    drawn = [_drawn(errors_NS, draws_RS, turn) for turn, errors_NS in enumerate(pair)]
    low, high = np.percentile(drawn[0] - drawn[1], _PERCENTILES)
    means = [float(errors_NS.mean(0) @ weight_S) for errors_NS in pair]
    return Interval(means[0] - means[1], float(low), float(high))


def what_is_drawn(every: Sequence[Runs]) -> str:
    """Say in a sentence what the intervals between some refiners are about."""
    subjects = {one.subject for runs in every for one in runs.sequences}
    seeds = " and their seeds" if any(len(runs.by_seed) > 1 for runs in every) else ""
    if len(subjects) >= FEWEST_PEOPLE:
        what = f"the {len(subjects)} people, the sequences of each{seeds}"
    elif subjects == {""}:
        what = f"the sequences{seeds}"
    else:
        whom = "one person" if len(subjects) == 1 else f"each of the {len(subjects)} people"
        what = f"the sequences of {whom}{seeds}, and say nothing of others"
    return f"Intervals are of {DRAWS:,} bootstrap draws of {what}"


def _weights(frames_S: Sequence[int], folds_S: Sequence[int]) -> Floats:
    frames, (_, fold) = np.array(frames_S, np.float64), np.unique(folds_S, return_inverse=True)
    of_fold = np.bincount(fold, frames)
    weight_S: Floats = frames / of_fold[fold] / len(of_fold)
    return weight_S


@lru_cache(maxsize=4)
def _draws(people_S: tuple[str, ...], weight_S: tuple[float, ...]) -> Floats:
    """Return the weight of each sequence in each draw, (R, S); a table asks for the same often."""
    random = np.random.default_rng(0)
    _, person_S = np.unique(people_S, return_inverse=True)
    people = int(person_S.max()) + 1
    times_RP = np.ones((DRAWS, people), np.int64)
    if people >= FEWEST_PEOPLE:
        times_RP = random.multinomial(people, np.full(people, 1 / people), DRAWS)
    draws_RS = np.empty((DRAWS, len(people_S)))
    for person in range(people):
        own = np.flatnonzero(person_S == person)
        draws_RS[:, own] = random.multinomial(
            times_RP[:, person] * len(own), np.full(len(own), 1 / len(own))
        )
    draws_RS *= weight_S
    draws_RS /= draws_RS.sum(1, keepdims=True)
    return draws_RS


def _drawn(errors_NS: Floats, draws_RS: Floats, turn: int) -> Floats:
    """Return the mean of each draw, (R,)."""
    means_RN = draws_RS @ errors_NS.T
    runs = len(errors_NS)
    times_RN = np.random.default_rng((1, turn)).multinomial(runs, np.full(runs, 1 / runs), DRAWS)
    mean_R: Floats = (means_RN * times_RN).sum(1) / runs
    return mean_R
