"""What is written down of a submission's code, of machines, and of the sequences of a trial."""

import io
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.support.written_sweep import TRACK

from poise.checkpoints.checkpoint import pose_spec
from poise.evaluation.evaluate import Evaluation, Row
from poise.evaluation.metrics import PoseErrors
from poise.experiments.tracking import extremes, source
from poise.experiments.tracking.extremes import pictures
from poise.experiments.tracking.machine import machine, usage
from poise.experiments.tracking.source import LONGEST_DIFF, Source
from poise.runtime.settings import VARIABLES
from poise.training_data.examples import Examples
from poise_models import catalogue
from poise_models.base.clip import Clip


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, in which this module is taken to lie."""
    root = tmp_path / "checkout"
    module = root / "platform" / "poise" / "experiments" / "tracking" / "source.py"
    module.parent.mkdir(parents=True)
    module.write_text("first = 1\n")
    for command in (
        ["init", "-q", "-b", "work"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    monkeypatch.setattr(source, "__file__", str(module))
    monkeypatch.delenv(VARIABLES["commit"], raising=False)
    monkeypatch.setattr("sys.argv", ["/env/bin/poise", "sweep", "--plan", "demo"])
    return module


def test_a_clean_checkout(checkout: Path) -> None:
    found = Source.current()
    assert len(found.commit) == 40
    assert (found.branch, found.dirty, found.diff) == ("work", False, b"")
    assert found.command == "poise sweep --plan demo"
    assert b"\nmlflow==" in found.packages
    facts = found.facts()
    assert facts["dirty"] == "false"
    assert "diff" not in facts
    assert list(found.files()) == ["packages"]


def test_what_nobody_committed_is_kept(checkout: Path) -> None:
    checkout.write_text("first = 2\n")
    found = Source.current()
    assert found.dirty
    assert b"-first = 1\n+first = 2" in found.diff
    name, content = found.files()["diff"]
    assert content == found.diff
    assert found.facts()["diff"] == name
    assert name.startswith(found.commit[:12])


def test_a_long_diff_is_cut(checkout: Path) -> None:
    checkout.write_text("x = 1\n" * LONGEST_DIFF)
    diff = Source.current().diff
    assert LONGEST_DIFF < len(diff) < LONGEST_DIFF + 100
    assert b"the rest is left out" in diff[-100:]


def test_a_job_without_a_checkout_says_what_it_was_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLES["commit"], "feed")
    found = Source.current()
    assert (found.commit, found.dirty, found.diff) == ("feed", None, b"")
    assert "dirty" not in found.facts()


def test_an_installed_poise_knows_no_commit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "__file__", "/env/lib/python3/site-packages/poise/a/b/source.py")
    found = Source.current()
    assert (found.commit, found.dirty) == ("unknown", None)


def test_a_password_is_not_kept(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["poise", "sweep", "--tracking-uri", "https://me:pw@host:1/x"])
    assert Source.current().command == "poise sweep --tracking-uri https://host:1/x"


def test_a_machine_and_how_busy_it_is() -> None:
    told = machine("cpu")
    assert told["device"] == "cpu"
    assert int(told["cpus"]) >= 1
    found = usage()
    assert 0 <= found["cpu_utilization_percentage"] <= 100 * int(told["cpus"])
    assert 0 < found["process_memory_usage_megabytes"] < found["system_memory_usage_megabytes"] * 2


def test_the_worst_and_the_median_sequence_are_drawn() -> None:
    random = torch.Generator().manual_seed(0)
    truths = [torch.randn((30 + place, 51), generator=random) for place in range(5)]
    errors = [0.01, 0.5, 0.02, 0.03, 0.04]
    clips = [Clip(truth + error) for truth, error in zip(truths, errors, strict=True)]
    names = [f"take {place}" for place in range(5)]
    found = Examples(names, clips, truths)
    refiner = catalogue.build("input", pose_spec(TRACK), {})
    drawn = []

    def keep(poses: extremes.Poses, _: object) -> bytes:
        drawn.append(poses)
        return b""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extremes, "_drawn", keep)
        assert set(pictures(refiner, found, _scored(errors, names), TRACK)) == {"worst", "median"}
    assert [poses.name for poses in drawn] == ["take 1", "take 3"]
    assert drawn[0].error == "worst: MPJPE 500.0 mm"
    assert drawn[0].truth.shape == (31, 17, 3)
    for png in pictures(refiner, found, _scored(errors, names), TRACK).values():
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.size[0] > 800
            assert len(picture.getcolors() or []) > 4
        assert len(png) < 50_000


def test_nothing_is_drawn_of_sequences_that_nobody_scored() -> None:
    refiner = catalogue.build("input", pose_spec(TRACK), {})
    assert pictures(refiner, Examples([], [], []), _scored([], []), TRACK) == {}


def _scored(errors: list[float], names: list[str]) -> Evaluation:
    row = Row(str(TRACK), "input", 0, 1.0, 1.0, 1.0, 1.0, 10, 0, 0.1, "mm")
    each = [PoseErrors(1000 * one, 1.0, 1.0, 1.0, 30) for one in errors]
    return Evaluation(row, list(zip(names, each, strict=True)), [])
