import numpy as np
import pytest

from poise.evaluation.metrics import PoseErrors
from poise.evaluation.paired import Interval, Run, Runs, difference, what_is_drawn
from poise.evaluation.scored import Scored, by_person, from_csv, to_csv


def scored(name: str, mpjpe: float, subject: str = "S2", frames: int = 10) -> Scored:
    return Scored(name, subject, PoseErrors(mpjpe, 1.0, 0.5, 0.5, frames))


def runs(*errors: dict[str, float], frames: dict[str, int] | None = None) -> Runs:
    """A run for each seed, of one person."""
    frames = frames or {}
    return Runs.of(
        [
            Run(seed, 0, [scored(n, value, frames=frames.get(n, 10)) for n, value in some.items()])
            for seed, some in enumerate(errors)
        ]
    )


def people(*errors: float) -> Runs:
    """A fold and a sequence for each person."""
    return Runs.of(
        [Run(0, n, [scored(f"a{n}", value, f"S{n}")]) for n, value in enumerate(errors, start=1)]
    )


ZERO = {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # Two sequences: a quarter of the draws has the first twice, a quarter the second.
        (runs({"a": 1.0, "b": 3.0}), runs(ZERO), Interval(2.0, 1.0, 3.0)),
        (runs(ZERO), runs({"a": 1.0, "b": 3.0}), Interval(-2.0, -3.0, -1.0)),
        # The same difference everywhere is certain, whatever the sequences are like.
        (runs({"a": 7.0, "b": 90.0}), runs({"a": 6.0, "b": 89.0}), Interval(1.0, 1.0, 1.0)),
        # Sequences count by their frames.
        (
            runs({"a": 1.0, "b": 3.0}, frames={"a": 10, "b": 30}),
            runs(ZERO, frames={"a": 10, "b": 30}),
            Interval(2.5, 1.0, 3.0),
        ),
        # Seeds are drawn, too.
        (runs({"a": 1.0}, {"a": 3.0}), runs({"a": 0.0}), Interval(2.0, 1.0, 3.0)),
        # Those sequences count that both have.
        (runs({"a": 5.0}), runs({"a": 4.0, "b": 1.0}), Interval(1.0, 1.0, 1.0)),
        # Four people are always all there: each has one sequence, and nothing is left to chance.
        (people(0, 0, 0, 10), people(0, 0, 0, 0), Interval(2.5, 2.5, 2.5)),
        # Of five, the last comes B(5, 1/5) times, which is below 4 in 99.3 % of draws.
        (people(0, 0, 0, 0, 10), people(0, 0, 0, 0, 0), Interval(2.0, 0.0, 6.0)),
    ],
)
def test_differences_are_as_computed_by_hand(one: Runs, other: Runs, expected: Interval) -> None:
    found = difference(one, other, "mpjpe")
    assert found is not None
    numbers = [found.difference, found.low, found.high]
    assert numbers == pytest.approx([expected.difference, expected.low, expected.high])
    assert found == difference(one, other, "mpjpe")


def test_folds_count_alike_whatever_their_frames() -> None:
    def two(first: float, second: float) -> Runs:
        folds = [scored("a", first, "S1", 10), scored("b", second, "S2", 1000)]
        return Runs.of([Run(0, fold, [one]) for fold, one in enumerate(folds, start=1)])

    found = difference(two(1.0, 3.0), two(0.0, 0.0), "mpjpe")
    assert found is not None
    assert found.difference == 2.0


def test_what_cannot_be_compared_has_no_interval() -> None:
    assert difference(runs({"a": 1.0}), runs({"b": 1.0}), "mpjpe") is None
    assert difference(runs({"a": np.nan}), runs({"a": 1.0}), "mpjpe") is None
    assert difference(Runs.of([]), runs({"a": 1.0}), "mpjpe") is None
    unscored = Runs.of([Run(0, 0, [scored("a", np.nan, frames=0)])])
    assert difference(unscored, unscored, "mpjpe") is None


def test_it_is_said_what_is_drawn() -> None:
    assert "of the 6 people, the sequences of each" in what_is_drawn([people(*range(6))])
    assert "each of the 2 people, and say nothing of others" in what_is_drawn([people(1, 2)])
    assert "and their seeds" in what_is_drawn([runs(ZERO, ZERO)])
    assert not Interval(0.1, -0.1, 0.3).excludes_zero
    assert str(Interval(-0.5, -1.0, -0.25)) == "-0.50 [-1.00, -0.25]"


def test_sequences_are_read_as_they_were_written() -> None:
    some = [scored("a", 1 / 3, "Zoë, the first"), scored("b", np.inf, frames=0)]
    assert from_csv(to_csv(some)) == some
    (old,) = from_csv("sequence,mpjpe,pa_mpjpe,accel,accel_interior,frames\nx,3.0,2.0,1.0,1.5,9\n")
    assert (old.subject, old.errors) == ("", PoseErrors(3.0, 2.0, 1.0, 1.5, 9))


def test_people_are_pooled_by_frames() -> None:
    some = [scored("a", 1.0, frames=10), scored("b", 4.0, frames=20), scored("c", 9.0, "")]
    assert {name: errors.mpjpe for name, errors in by_person(some).items()} == {"S2": 3.0}
