"""A sweep's own process and its trials: what they say, and what is written for others."""

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.support.written_sweep import INPUT, NETWORK, OFFSET, SPECS, begun_sweep, finish, train

from poise.experiments.live.beat import (
    REFITTING,
    SCORING,
    TRAINING,
    TUNING,
    Beat,
    beating,
    fraction,
    read_beat,
)
from poise.experiments.live.pace import Pace, seconds_of
from poise.experiments.live.pulse import Pulse
from poise.experiments.live.rows import LiveRow
from poise.experiments.live.status import Running, Status, duration
from poise.experiments.records import SweepFolder
from poise.runtime import activity, storage
from poise.runtime.activity import Activity


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    return begun_sweep(tmp_path)


def write(sweep: SweepFolder, number: int, at: Activity) -> None:
    beat = Beat(number, "machine", 7, at)
    storage.write_bytes(sweep.trial(NETWORK.key).beat, json.dumps(asdict(beat)).encode())


class Seen:
    """What was shown, and a way to wait for the next of it."""

    def __init__(self) -> None:
        self.shown: list[tuple[Status, Sequence[LiveRow]]] = []
        self._new = threading.Condition()

    def __call__(self, status: Status, rows: Sequence[LiveRow]) -> None:
        with self._new:
            self.shown.append((status, rows))
            self._new.notify_all()

    def wait(self, text: str) -> Status:
        """Return the first status that says a text."""
        with self._new:
            assert self._new.wait_for(lambda: self._found(text), 60), self.shown
            found = self._found(text)
            assert found is not None
            return found

    def _found(self, text: str) -> Status | None:
        return next((status for status, _ in self.shown if text in str(status)), None)


def test_a_sweep_says_where_its_trials_are_and_how_long_they_take(sweep: SweepFolder) -> None:
    seen = Seen()
    with Pulse(sweep, SPECS, {}, seen, every=0.02) as pulse:
        seen.wait("0 of 3 trials done, starting")
        pulse.began(NETWORK)
        seen.wait(f"{NETWORK.name}: waiting for a machine")
        write(sweep, 1, Activity(TRAINING, "epoch", 1, 3, "step", 0, 100))
        seen.wait("training, epoch 1/3, step 0/100")
        write(sweep, 2, Activity(TRAINING, "epoch", 2, 3, "step", 1_200, 2_400))
        halfway = seen.wait("epoch 2/3, step 1,200/2,400")
        assert "time left not known yet" not in str(halfway)
        (running,) = halfway.running
        assert running.done == pytest.approx(0.5, abs=0.03)
        pulse.ended(NETWORK.key, finish(sweep, NETWORK))
        seen.wait("1 of 3 trials done")
        pulse.publishes()
        seen.wait("writing tables and MLflow's runs")
    last, rows = seen.shown[-1]
    assert last.state == "finished"
    assert json.loads(Path(sweep.live).read_text()) == json.loads(json.dumps(last.to_json()))
    assert [row.cells[2:4] for row in rows] == [["0/1", ""], ["0/1", ""], ["1/1", "50.00"]]


def test_a_sweep_that_is_cut_short_says_so(sweep: SweepFolder) -> None:
    seen = Seen()
    with pytest.raises(KeyboardInterrupt), Pulse(sweep, SPECS, {}, seen, every=60.0):
        raise KeyboardInterrupt
    assert seen.shown[-1][0].state == "interrupted"


def test_what_cannot_be_shown_or_written_stops_nothing(sweep: SweepFolder) -> None:
    def broken(*_: object) -> None:
        raise OSError("no terminal")

    Path(sweep.live).mkdir()
    with Pulse(sweep, SPECS, {}, broken, every=0.01) as pulse:
        pulse.began(INPUT)
        pulse.ended(INPUT.key, finish(sweep, INPUT))


def test_a_trial_beats_while_it_works_and_its_end_ends_the_beat(sweep: SweepFolder) -> None:
    folder = sweep.trial(NETWORK.key)
    activity.stage(TRAINING)
    activity.turn("epoch", 1, 3)
    steps = [0]
    activity.follow(lambda: ("step", steps[0], 9))
    told = []
    with beating(folder, every=0.01):
        for step in (4, 7):
            steps[0] = step
            while (beat := read_beat(folder)) is None or beat.activity.done != step:
                pass
            told.append(beat)
    assert [str(beat.activity) for beat in told] == [
        "training, epoch 1/3, step 4/9",
        "training, epoch 1/3, step 7/9",
    ]
    assert told[0].number < told[1].number
    finish(sweep, NETWORK)
    assert not storage.exists(folder.beat)


STILL = Running("k", "a", Activity("scoring", part="sequence", done=3, of=40), 0.5, 9.0, 61.0, 1.0)


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (replace(STILL, still_s=5.0), "a: scoring, sequence 3/40"),
        (STILL, "a: scoring, sequence 3/40 (for 1 min)"),
        (
            replace(STILL, quiet_s=840.0, still_s=845.0),
            "a: scoring, sequence 3/40 (nothing heard of it for 14 min)",
        ),
        (replace(STILL, activity=Activity(), still_s=0.0), "a: waiting for a machine"),
    ],
)
def test_a_trial_that_stands_still_is_told_from_one_that_is_silent(
    running: Running, said: str
) -> None:
    assert str(running) == said


def test_a_line_names_three_trials_and_counts_the_others() -> None:
    status = Status(1, 0, "m", 1, "running", "p", 20, 12, 2, 15_000.0, (STILL,) * 5)
    assert str(status).startswith("p: 12 of 20 trials done, 2 of them without a result, 4 h 10 min")
    assert str(status).endswith("; and 2 more")
    assert Status.from_json(json.loads(json.dumps(status.to_json()))) == status


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.6, "1 min"), (840, "14 min"), (15_000, "4 h 10 min"), (187_200, "2 d 4 h")],
)
def test_durations_in_words(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("refit", "at", "part"),
    [
        (False, Activity("reading data"), 0.0),
        (False, Activity(TRAINING, "epoch", 1, 4, "step", 5, 10), 0.125),
        (False, Activity(TRAINING, "epoch", 1, 4, "sequence", 0, 10), 0.25),
        (True, Activity(TRAINING, "epoch", 3, 4), 0.25),
        (True, Activity(REFITTING, "epoch", 3, 4), 0.75),
        (False, Activity(TUNING, "candidate", 3, 4, "sequence", 5, 10), 0.625),
        (False, Activity(SCORING, part="sequence", done=0, of=10), 1.0),
    ],
)
def test_how_much_of_a_trial_is_done(refit: bool, at: Activity, part: float) -> None:
    assert fraction(replace(NETWORK, refit=refit), at) == pytest.approx(part, rel=0.06)


def test_time_left_is_that_of_trials_like_those_that_ended() -> None:
    pace = Pace()
    assert pace.left([], [NETWORK], 2) is None
    pace.learn(NETWORK, 100.0)
    pace.learn(OFFSET, 1.0)
    other_seed = replace(NETWORK, key="other", seed=1)
    other_network = replace(NETWORK, key="third", refiner="hanet")
    assert pace.expected(other_seed) == pace.expected(other_network) == 100.0
    assert pace.left([50.0], [other_seed, other_network], 2) == 125.0
    assert pace.left([300.0], [other_seed], 4) == 300.0
    assert pace.left([None], [other_seed], 2) is None


def test_a_night_between_two_epochs_is_no_part_of_a_trial(sweep: SweepFolder) -> None:
    train(sweep, NETWORK, 3)
    folder = sweep.trial(NETWORK.key)
    night = [replace(e, ended=n * 1000 + 10**8 * (n > 2)) for n, e in enumerate(folder.history())]
    folder.save_epoch(night, b"")
    finish(sweep, NETWORK)
    assert seconds_of(folder) == 3.0
    assert seconds_of(sweep.trial(INPUT.key)) is None
