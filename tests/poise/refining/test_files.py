"""``poise refine`` from end to end: which file goes where, what is said, what is left behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.support.walking import motion_of, walking

import poise
from poise.cli.main import main

BUTTERWORTH = ["--refiner", "butterworth"]


def clip(path: Path, people: int = 1, frames: int = 60, seed: int = 0) -> Path:
    """Write COCO results of people who walk, one of whom lacks a wrist for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    poses = [walking(frames) + 250 * place + rng.normal(0, 1, (frames, 17, 2))
             for place in range(people)]  # fmt: skip
    poses[0][20:24, 9] = np.nan
    motion_of(*poses).write(path)
    return path


def files(folder: Path) -> list[str]:
    found = (one.relative_to(folder) for one in folder.rglob("*") if one.is_file())
    return sorted(map(str, found))


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["a.json"], ["a.poise.json"]),
        (["a.json", "-o", "b.json"], ["b.json"]),
        (["a.json", "-o", "b.csv"], ["b.csv"]),
        (["a.json", "-o", "out"], ["out/a.json"]),
        (["a.json", "day/b.json", "-o", "out"], ["out/a.json", "out/b.json"]),
        (["day", "-o", "out"], ["out/b.json", "out/deep/c.json"]),
        (["day"], ["day/b.poise.json", "day/deep/c.poise.json"]),
        (["day/*.json"], ["day/b.poise.json"]),
        (["day/**/*.json"], ["day/b.poise.json", "day/deep/c.poise.json"]),
    ],
)
def test_files_go_where_they_should(
    arguments: list[str], written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    for name in ("a.json", "day/b.json", "day/deep/c.json"):
        clip(Path(name), frames=20)
    Path("day/notes.txt").write_text("left knee hurts\n")
    before = {name: Path(name).read_bytes() for name in files(tmp_path)}
    assert main(["refine", *arguments, *BUTTERWORTH]) == 0
    assert sorted(set(files(tmp_path)) - set(before)) == written
    assert all(Path(name).read_bytes() == content for name, content in before.items())
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_what_another_format_cannot_hold_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clip(tmp_path / "a.json")
    assert main(["refine", str(path), "-o", str(tmp_path / "b.trc"), *BUTTERWORTH]) == 2
    assert main(["refine", str(path), "-o", str(tmp_path / "b.npy"), *BUTTERWORTH]) == 0
    told = capsys.readouterr().out
    assert "note: not in b.npy: confidences" in told
    assert main(["refine", str(path), "-o", str(tmp_path / "c.json"), *BUTTERWORTH]) == 0
    assert "not in" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.json"], "none.json: no such file"),
        (["none*.json"], "none*.json: no file is called like that"),
        (["a.json", "-o", "a.json"], "a.json: is an input"),
        (["a.json", "./a.json", "-o", "out"], "would both be written to"),
        (["a.json", "--in-place", "-o", "b.json"], "exclude each other"),
        (["a.json", "--cutoff", "6"], "--cutoff is a filter's"),
        (["a.json", "--refiner", "magic"], "a network is named with --model"),
        (["a.json", "--refiner", "median", "--cutoff", "fast"], "fast: is no number"),
        (["a.json", "--refiner", "butterworth", "--cutoff", "-1"], "must be 0.01 Hz or more"),
        (["a.json", "--refiner", "median", "--cutoff", "5e-324"], "must be 0.01 Hz or more"),
        (["a.json", "--refiner", "butterworth", "--cutoff", "20"], "more than 40 frames"),
        (["a.json", "--fill", "-1"], "must be seconds"),
        (["a.json", "--person", "9"], "nobody is called '9'"),
        (["a.json", "-o", "b.xyz"], "no format is written to .xyz"),
        (["a.json", "--model", "nowhere/at-all"], "nowhere/at-all"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    clip(Path("a.json"), frames=20)
    assert main(["refine", *arguments]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert files(tmp_path) == ["a.json"]


def test_a_damaged_file_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    clip(tmp_path / "a.json", frames=20)
    whole = clip(tmp_path / "c.json", frames=20).read_text()
    (tmp_path / "b.json").write_text(whole[: len(whole) // 2])
    assert main(["refine", str(tmp_path), *BUTTERWORTH]) == 2
    assert files(tmp_path) == ["a.json", "a.poise.json", "b.json", "c.json", "c.poise.json"]
    assert f"poise: {tmp_path / 'b.json'}, line" in capsys.readouterr().err


def test_what_is_done_is_not_done_again_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    for name in ("a.json", "b.json"):
        clip(tmp_path / name, frames=20)
    assert main(["refine", str(tmp_path), *BUTTERWORTH]) == 0
    (tmp_path / "b.poise.json").unlink()
    capsys.readouterr()
    assert main(["refine", str(tmp_path), *BUTTERWORTH]) == 0
    said = capsys.readouterr()
    assert "1 of 2 are done already (--overwrite does them again)" in said.err
    assert "b.poise.json" in said.out
    assert "a.poise.json" not in said.out
    assert main(["refine", str(tmp_path), "--overwrite", *BUTTERWORTH]) == 0
    assert "a.poise.json" in capsys.readouterr().out


def test_what_is_there_is_not_written_over_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    clip(Path("in/a.json"), frames=20)
    for given, other in (
        (["in/a.json"], "in/a.poise.json"),
        (["in/a.json", "-o", "b.json"], "b.json"),
        (["in/a.json", "-o", "c.json", "--plot", "c.png"], "c.png"),
        (["in/a.json", "-o", "d.json", "--report", "d.html"], "d.html"),
        (["in", "-o", "out"], "out/a.json"),  # it is older than what would be refined
    ):
        Path(other).parent.mkdir(exist_ok=True)
        Path(other).write_text("mine")
        os.utime(other, (0, 0))
        assert main(["refine", *given, *BUTTERWORTH]) == 2
        assert f"{other}: is already there" in capsys.readouterr().err
        assert Path(other).read_text() == "mine"
        assert main(["refine", *given, "--overwrite", *BUTTERWORTH]) == 0
        if other.endswith(".json"):
            assert len(poise.read(other)) == 20
        else:
            assert Path(other).stat().st_size > 1000


def test_in_place_writes_over_the_input(tmp_path: Path) -> None:
    file = clip(tmp_path / "a.json")
    before = poise.read(file)
    assert main(["refine", str(file), "--in-place", "--fps", "30", *BUTTERWORTH]) == 0
    after = poise.read(file)
    assert files(tmp_path) == ["a.json"]
    assert after.poses_FPJD.shape == before.poses_FPJD.shape
    assert after.seen_FPJ.all()


def test_the_report_says_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = clip(tmp_path / "a.json", people=2)
    assert main(["refine", str(file), "--fps", "30", *BUTTERWORTH]) == 0
    said = capsys.readouterr().out
    for part in (
        "60 frames at 30 fps, 2 people, 17 joints (coco17) in 2D, px",
        "refined by butterworth, 6 Hz",
        "person 0: 60 frames, 0 to 59",
        "1 filled (4 places)",
        "of the range of motion (least: ",
        "of the peak speed",
        "acceleration ",
        "above 6 Hz ",
        f"wrote {tmp_path / 'a.poise.json'}",
    ):
        assert part in said
    again = ["--overwrite", "--json", *BUTTERWORTH]
    assert main(["refine", str(file), "--fps", "30", *again]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    first, second = report["people"]
    assert (first["gaps_filled"], second["gaps_filled"]) == (1, 0)
    assert first["jitter"][0] > 2 * first["jitter"][1]
    assert 90 < first["range_kept"] < 101
    assert {one["joint"]: one["filled"] for one in first["joints"]}["left_wrist"] == 4


def test_the_general_network_needs_no_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = clip(tmp_path / "a.json")
    assert main(["refine", str(file), "--fps", "30"]) == 0
    said = capsys.readouterr().out
    assert "poise:general, 12 joints as a body, 5 by themselves" in said
    assert "expected error" in said
    after = poise.read(tmp_path / "a.poise.json")
    assert after.seen_FPJ.all()
    truth = walking(60)
    before = poise.read(file).poses_FPJD[:, 0]
    off = [np.nanmean(np.linalg.norm(one - truth, axis=-1)) for one in
           (before, after.poses_FPJD[:, 0])]  # fmt: skip
    assert off[1] < 1.5 * off[0]


@pytest.mark.slow
def test_several_files_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for number in range(3):
        clip(tmp_path / f"{number}.json", frames=20)
    assert main(["refine", str(tmp_path), *BUTTERWORTH]) == 0
    assert [name for name in files(tmp_path) if ".poise." in name] == [
        f"{number}.poise.json" for number in range(3)
    ]


@pytest.mark.slow
@pytest.mark.chaos
def test_nothing_half_written_is_left_by_a_kill(tmp_path: Path) -> None:
    for number in range(4):
        clip(tmp_path / f"{number}.json", frames=400)
    command = [sys.executable, "-m", "poise", "refine", str(tmp_path), *BUTTERWORTH]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 120
    while time.monotonic() < until and not list(tmp_path.glob("*.poise.json")):
        if running.poll() is not None:
            break
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    for written in tmp_path.glob("*.poise.json"):
        assert len(poise.read(written)) == 400
    shutil.rmtree(tmp_path)


def test_a_plot_and_a_page_of_what_was_done(tmp_path: Path) -> None:
    file = clip(tmp_path / "a.json", people=2)
    plot, page = tmp_path / "a.png", tmp_path / "a.html"
    auto = ["--refiner", "butterworth", "--cutoff", "auto", "--fps", "30"]
    made = ["--plot", str(plot), "--report", str(page)]
    assert main(["refine", str(file), *auto, *made]) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert text.count("</script>") == 1
    assert "http" not in text
    (data,) = re.findall(r"^const data = (.*);$", text, re.MULTILINE)
    found = json.loads(data)
    assert [one["person"] for one in found["report"]["people"]] == ["0", "1"]
    assert len(found["people"][0]["after"]) == 60
    assert len(found["people"][0]["after"][0]) == 17


def test_several_files_have_folders_of_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    for name in ("a.json", "b.json"):
        clip(tmp_path / "in" / name, frames=20)
    given = ["refine", str(tmp_path / "in"), *BUTTERWORTH, "--plot"]
    assert main([*given, str(tmp_path / "one.png")]) == 2
    assert "name a folder" in capsys.readouterr().err
    assert main([*given, str(tmp_path / "plots")]) == 0
    assert files(tmp_path / "plots") == ["a.json.png", "b.json.png"]
