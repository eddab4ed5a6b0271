"""``poise sweep``: what it refuses before it starts anything."""

import re
from pathlib import Path

import pytest
from tests.support.ports import free_port
from tests.support.sweep_job import PLAN
from tests.support.tiny_lake import write_tiny_lake

from poise.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--track", "nowhere/x/3D"], "tracks[0]: no data set 'nowhere'"),
        (["--epochs", "0"], "budget.epochs"),
        (["--plan", "dmeo"], "did you mean demo?"),
        (["--publish-only"], "holds nothing to publish"),
        (["--refiners", "input,synsp"], "--refiners: the plan has no 'synsp'; it has input"),
        (["--tracks", "h36m/*"], "--tracks: the plan has no 'h36m/*'; it has uiprmd/kinect/3D"),
        (["--only", "finished"], "'finished' is not one of 'failed', 'missing'"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(PLAN)
    assert main(["sweep", "--plan", str(tmp_path / "tiny.yaml"), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("poise: ")
    assert message in said


def test_a_dry_run_shows_the_grid_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_lake(tmp_path / "lake")
    (tmp_path / "tiny.yaml").write_text(
        PLAN.replace("[uiprmd/kinect/3D]", "[uiprmd/kinect/3D, h36m/fcn/3D]")
    )
    before = sorted(tmp_path.rglob("*"))
    given = ["--plan", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path), "--dry-run"]
    assert main(["sweep", *given, "--data", str(tmp_path), "--refiners", "input,syn*"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    said = capsys.readouterr().out
    assert re.search(r"plan tiny: 6 trials, each on 1 CPU", said)
    assert re.search(r"uiprmd/kinect/3D +SynSP\+\+ +1 +0 +0 +1 +40 x 2 batches of 16", said)
    assert not re.search(r"uiprmd/kinect/3D +Offset", said)
    assert "2 trials are not selected" in said
    assert re.search(r"h36m/fcn/3D +\? +\? +no data", said)
    assert "2 trials to run; for 2 there is no rate yet" in said
    assert "80 batches" in said
    assert f"missing: h36m/fcn/3D: no data: neither in the lake {tmp_path / 'lake'}" in said


def test_a_dry_run_of_a_search_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_lake(tmp_path / "lake")
    space = "space: {budget: {learning_rate: {loguniform: [0.0001, 0.1]}}}"
    plan = PLAN.replace("  - input\n  - offset\n", "")
    (tmp_path / "tiny.yaml").write_text(f"{plan}search: {{trials: 4, {space}}}\n")
    given = ["--plan", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path), "--dry-run"]
    assert main(["sweep", *given]) == 0
    said = capsys.readouterr().out
    assert "plan tiny: a search by tpe over learning_rate, at most 4 trials; each on 1 CPU" in said
    assert "each trial: 40 x 2 batches of 16" in said
    assert "0 trials ended before, 0 were cut off and go on, 4 to run" in said


def test_a_plan_that_wants_a_gpu_is_refused_before_hours_of_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "big.yaml").write_text(f"{PLAN}resources: {{gpu: 0.5}}\n")
    given = ["--plan", str(tmp_path / "big.yaml"), "--home", str(tmp_path / "home")]
    assert main(["sweep", *given, "--track", "synthetic/simulated/3D"]) == 2
    assert "plan tiny wants 0.5 GPU a trial: there is none here" in capsys.readouterr().err
    assert not (tmp_path / "home" / "lake").exists()


def test_a_tracking_server_that_does_not_answer_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(PLAN)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    given = ["--plan", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path / "home")]
    assert main(["sweep", *given, "--data", str(tmp_path)]) == 2  # there is nothing to ingest
    said = capsys.readouterr().out
    assert "$MLFLOW_TRACKING_URI: start it" in said
    assert "The sweep goes on" in said


def test_a_track_or_folder_with_a_slip_is_told_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(PLAN)
    given = ["sweep", "--plan", str(tmp_path / "tiny.yaml"), "--home", str(tmp_path), "--dry-run"]
    main([*given, "--track", "uiprmd/kinct/3D", "--data", str(tmp_path)])
    assert "did you mean uiprmd/kinect/3D?" in capsys.readouterr().out
    main([*given, "--data", str(tmp_path / "elsewhere")])
    assert f"there is no folder {tmp_path / 'elsewhere'}" in capsys.readouterr().out
