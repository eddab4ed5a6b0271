"""A sweep as its folder shows it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.written_sweep import INPUT, NETWORK, OFFSET, SPECS, begun_sweep, finish

from poise.cli.main import main
from poise.experiments.live import watching
from poise.experiments.live.pulse import Pulse
from poise.experiments.live.status import Running, State, Status
from poise.experiments.live.watching import Watcher
from poise.experiments.records import SweepFolder, TrialResult, now_ms
from poise.runtime import storage
from poise.runtime.activity import Activity
from poise.runtime.errors import PlanError

AT = Activity("training", "epoch", 2, 3, "step", 5, 9)
UNDER_WAY = Running(NETWORK.key, NETWORK.name, AT, 0.5, 60.0, 1.0, 1.0)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    monkeypatch.setattr(watching, "EVERY_S", 0.01)
    return begun_sweep(tmp_path)


def said(sweep: SweepFolder, state: State, age_s: float = 0.0, number: int = 4) -> Status:
    """Write what a sweep's process said some time ago."""
    at, running = now_ms() - int(age_s * 1000), (UNDER_WAY,) if state == "running" else ()
    status = Status(number, at, "far", 12, state, sweep.name, 3, 1, 0, 60.0, running)
    storage.write_bytes(sweep.live, json.dumps(status.to_json()).encode())
    return status


def test_a_sweep_at_work_fills_its_table(sweep: SweepFolder) -> None:
    finish(sweep, INPUT)
    said(sweep, "running")
    watcher = Watcher(sweep)
    view = watcher.look_surely()
    assert not view.over
    assert view.advice == ""
    assert [row.mpjpe for row in view.rows] == [50.0, None, None]
    assert view.rows[2].now == "seed 0: training, epoch 2/3, step 5/9"
    finish(sweep, OFFSET)
    finish(sweep, NETWORK)
    said(sweep, "finished")
    last = watcher.look()
    assert last.done
    assert [row.mpjpe for row in last.rows] == [50.0, 50.0, 50.0]


@pytest.mark.parametrize(
    ("state", "age_s", "advice"),
    [
        ("running", 840.0, "(process 12 on far) has not been heard of for 14 min: it was killed"),
        ("publishing", 840.0, "has not been heard of for 14 min"),
        ("interrupted", 10**6, "it was interrupted; the same command goes on"),
        ("finished", 10**6, ""),
        ("running", 5.0, ""),
    ],
)
def test_a_dead_driver_is_told_from_one_that_ended(
    sweep: SweepFolder, state: State, age_s: float, advice: str
) -> None:
    said(sweep, state, age_s)
    found = Watcher(sweep).look_surely().advice
    assert advice in found
    assert bool(advice) == bool(found)


@pytest.mark.parametrize("age_s", [3600.0, -3600.0])
def test_clocks_that_differ_kill_nobody(sweep: SweepFolder, age_s: float) -> None:
    said(sweep, "running", age_s)
    watcher = Watcher(sweep)
    watcher.look()
    said(sweep, "running", age_s, number=5)
    assert not watcher.look_surely().over


def test_a_sweep_of_before_heartbeats_is_done_where_all_trials_have_ended(
    sweep: SweepFolder,
) -> None:
    view = Watcher(sweep).look_surely()
    assert "no process has said that it runs this sweep" in view.advice
    for spec in SPECS:
        finish(sweep, spec)
    assert Watcher(sweep).look_surely().done


def test_a_trial_that_failed_and_runs_again_is_read_again(sweep: SweepFolder) -> None:
    watcher = Watcher(sweep)
    sweep.trial(NETWORK.key).finish(TrialResult("failed", 1, 2, "loss is nan"))
    said(sweep, "interrupted")
    assert watcher.look().rows[2].cells[2] == "1/1, 1 failed"
    sweep.trial(NETWORK.key).reopen()
    with Pulse(sweep, SPECS, {}, every=60.0) as pulse:
        pulse.began(NETWORK)
    assert watcher.look().rows[2].cells[2] == "0/1"


@pytest.mark.parametrize(
    ("state", "age_s", "finished", "code"),
    [
        ("running", 0.0, 1, 0),
        ("running", 840.0, 1, 1),
        ("interrupted", 0.0, 1, 1),
        ("finished", 0.0, 3, 0),
        ("finished", 0.0, 0, 1),
    ],
)
def test_the_verb(
    sweep: SweepFolder,
    state: State,
    age_s: float,
    finished: int,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for spec in SPECS[:finished]:
        finish(sweep, spec)
    status = said(sweep, state, age_s)
    assert main(["watch", sweep.uri, "--once"]) == code
    shown = capsys.readouterr().out
    assert "Refiner" in shown
    assert status.far in shown
    assert ("not been heard of" in shown) == (age_s > 0)
    home = str(Path(sweep.uri).parents[1])
    assert main(["watch", sweep.name, "--home", home, "--once", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert Status.from_json(told["status"]) == status
    assert len(told["rows"]) == 3
    assert told["lost"] == (age_s > 0)


def test_the_verb_follows_a_sweep_to_its_end(
    sweep: SweepFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(sweep, "running")

    def meanwhile(_: float) -> None:
        for spec in SPECS:
            finish(sweep, spec)
        said(sweep, "finished")

    monkeypatch.setattr("poise.cli.watch.time.sleep", meanwhile)
    assert main(["watch", sweep.uri]) == 0
    shown = capsys.readouterr().out
    assert "training, epoch 2/3, step 5/9" in shown
    assert shown.splitlines()[-1] == f"{sweep.name}: {replace(said(sweep, 'finished')).far}"


def test_no_sweep_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no sweep is there"):
        Watcher(SweepFolder(str(tmp_path / "nobody")))
