"""A disk that is full, or cannot be written: one line, and nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.sweep_job import environment, prepare

from poise.catalog.tracks import Track
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences

EVALUATE = ["evaluate", "--refiner", "input", "--track", "uiprmd/kinect/3D", "--data"]
#: How a place is made what it is, in a name space of mounts that ends with the command.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
FULL = 'mount -t tmpfs -o size={size} poise "$0"'
ALONE = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture(scope="module", autouse=True)
def _mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = str(tmp_path_factory.mktemp("place"))
    try:
        tried = subprocess.run([*ALONE, FULL.format(size="4k"), place], check=False)
    except FileNotFoundError:
        pytest.skip("disks of any size are mounted by unshare, which is not here")
    if tried.returncode:
        pytest.skip("nothing can be mounted here, so no disk is full")


def run(
    place: Path, mount: str, arguments: list[str], **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command where ``place`` was mounted so; list afterwards what lies there."""
    script = f'{mount} && "$@"; code=$?; find "$0" -type f >&2 -printf "left %P\\n"; exit $code'
    command = [*ALONE, script, str(place), sys.executable, "-m", "poise", *arguments]
    root = Path(__file__).parents[2]
    roots = ":".join(str(root / one) for one in ("platform", "models", "retrieval"))
    return subprocess.run(
        command,
        env=environment(PYTHONPATH=roots, **more),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> tuple[list[str], list[str]]:
    """The lines of stderr, and the files left behind."""
    lines = done.stderr.splitlines()
    left = [line.removeprefix("left ") for line in lines if line.startswith("left ")]
    return [line for line in lines if not line.startswith("left ")], left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mount", "reason"),
    [(READ_ONLY, "Read-only file system"), (FULL.format(size="4k"), "No space left on device")],
    ids=["read-only", "full"],
)
def test_a_sweep_says_so_in_one_line(mount: str, reason: str, tmp_path: Path) -> None:
    made = prepare(tmp_path / "made")
    home = tmp_path / "home"
    home.mkdir()
    given = ["sweep", "--plan", str(made / "tiny.yaml"), "--lake", str(made / "lake")]
    done = run(home, mount, [*given, "--home", str(home)])
    said, left = told(done)
    assert done.returncode == 2
    assert len(said) == 1, done.stderr
    assert said[0].startswith("poise: cannot write to")
    assert reason in said[0]
    assert not any(Path(file).suffix for file in left)


@pytest.mark.slow
def test_a_sweep_whose_disk_fills_up_loses_what_it_could_not_write_alone(tmp_path: Path) -> None:
    made = prepare(tmp_path / "made")
    home = tmp_path / "home"
    home.mkdir()
    plan = (made / "tiny.yaml").read_text().replace("epochs: 40", "epochs: 2")
    (made / "tiny.yaml").write_text(plan)
    given = ["sweep", "--plan", str(made / "tiny.yaml"), "--lake", str(made / "lake")]
    done = run(home, FULL.format(size="128k"), [*given, "--home", str(home)])
    _, left = told(done)
    assert done.returncode == 2
    # A worker that Ray ends in the middle of something says so, in lines of its own.
    own = [line for line in done.stdout.splitlines() if "_run_one pid=" not in line]
    assert "Traceback" not in "".join(own) + done.stderr
    assert "failed: cannot write to" in done.stdout
    assert "No space left on device" in done.stderr.splitlines()[0]
    assert not [file for file in left if "/." in file]


@pytest.mark.slow
@pytest.mark.parametrize("mount", [READ_ONLY, FULL.format(size="4k")], ids=["read-only", "full"])
def test_an_evaluation_says_so_in_one_line(mount: str, tmp_path: Path) -> None:
    write_smoothnet(
        tmp_path, Track.parse("uiprmd/kinect/3D"), "test", sequences("test", Size(1, 1, 60))
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / "rows.json").write_text(json.dumps([]))
    given = [*EVALUATE, str(tmp_path), "--home", str(home), "--json", str(home / "rows.json")]
    if mount != READ_ONLY:
        mount += ' && head -c 4000 /dev/zero > "$0/other" '
    done = run(home, mount, given)
    said, left = told(done)
    assert done.returncode == 2, done.stderr
    assert len(said) == 1, done.stderr
    assert "cannot write to" in said[0]
    assert set(left) <= {"rows.json", "other"}
    if mount == READ_ONLY:
        model = ["evaluate", "--model", "poise-a-b-3D", "--track", "uiprmd/kinect/3D"]
        said, _ = told(run(home, mount, [*model, "--data", str(tmp_path), "--home", str(home)]))
        assert len(said) == 1
        assert "cannot be written" in said[0]
