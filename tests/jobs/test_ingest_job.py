"""``jobs/ingest.py`` as a user runs it: a process of its own, with no Poise installed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.support.ingesting import ingest
from tests.support.lake_rows import read_sequences, read_windows

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.lake.manifest import has_track
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences

JOB = Path(__file__).parents[2] / "jobs" / "ingest.py"
TRACK = Track.parse("uiprmd/kinect/3D")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for split, people in (("train", 3), ("test", 1)):
        write_smoothnet(folder, TRACK, split, sequences(split, Size(people, 2, 24)))
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    data: Path, cluster: None, lite_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The lake of an ingest that nobody ends."""
    lake = tmp_path_factory.mktemp("undisturbed")
    ingest(TRACK, data=data, lake=lake, milvus_uri=lite_uri)
    return lake


def command(home: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    ours = ("PYTHONPATH", "POISE_DATA", "POISE_HOME", "POISE_MILVUS_URI", "RAY_ADDRESS")
    env = {key: value for key, value in os.environ.items() if key not in ours}
    env["POISE_HOME"] = str(home)
    return [sys.executable, str(JOB), *arguments], env


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line, env = command(home, *arguments)
    return subprocess.run(
        line, env=env, cwd=home.parent, capture_output=True, text=True, timeout=280, check=False
    )


def test_help_teaches(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert "ray job submit" in done.stdout
    assert "--no-pvd" in done.stdout


@pytest.mark.slow
def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "home", "--track", "uiprmd")
    assert done.returncode == 2
    assert done.stderr.startswith("ingest: 'uiprmd' is not a track")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.chaos
def test_ended_twice_in_the_middle_and_run_again_and_again(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for how in (signal.SIGINT, signal.SIGKILL):
        end_in_the_middle(how, home, "--data", str(data))
        assert not has_track(home / "lake", TRACK)
        assert leftovers(home) == []

    done = run(home, "--data", os.path.relpath(data, home.parent))
    assert done.returncode == 0, done.stderr
    assert "8 sequences, 192 frames, 136 windows" in done.stdout
    assert "Traceback" not in done.stderr
    for read in (read_sequences, read_windows):
        for split in SPLITS:
            assert read(home / "lake", TRACK, split) == read(undisturbed, TRACK, split)
    again = run(home, "--data", str(data))
    assert "up to date" in again.stdout
    assert leftovers(home) == []


def end_in_the_middle(how: signal.Signals, home: Path, *arguments: str) -> None:
    """Send a signal when the sequences are written and the windows are not."""
    line, env = command(home, *arguments)
    with subprocess.Popen(
        line, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if "sequences  " in said:
                process.send_signal(how)
                break
        process.wait(60)


def leftovers(home: Path) -> list[str]:
    """Processes of this home that are still there after a while to end."""
    for _ in range(100):
        running = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
        found = [line for line in running if str(home) in line]
        if not found:
            break
        time.sleep(0.2)
    return found
