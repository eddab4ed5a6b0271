"""A home is moved, copied, or lies in a folder with an odd name: its models stay its own."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from tests.support.mlflow_server import fresh_store
from tests.support.written_sweep import NETWORK, PLAN, SPECS, TRACK, begun_sweep, finish, train

from poise.checkpoints.registry import model_name, resolve
from poise.checkpoints.run_files import follow_home
from poise.cli.main import main
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.promote import Candidate, promote
from poise.experiments.records import SweepFolder
from poise.runtime.errors import ModelError
from poise.runtime.settings import Settings

MODEL = f"{model_name(TRACK)}@champion"


def publish(home: Path) -> None:
    """Send a home's sweep to its store, and make its network the champion, as a new process."""
    _artifact_repos_cache.clear()
    settings = Settings.load(home=home)
    sweep = SweepFolder(f"{settings.sweeps}/{PLAN.name}")
    mirror = MlflowMirror(sweep, settings.tracking_uri, settings.artifacts)
    mirror.publish(running=False)
    result = sweep.trial(NETWORK.key).result()
    assert result is not None
    list(promote(mirror, Candidate(NETWORK, result)))


def made(home: Path) -> Path:
    """A home with a finished sweep and a champion."""
    fresh_store(home)
    sweep = begun_sweep(home)
    for spec in SPECS:
        train(sweep, spec, 1)
        finish(sweep, spec)
    publish(home)
    return home


@pytest.fixture(scope="module")
def a_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("first") / "home")


@pytest.fixture
def old(a_home: Path, tmp_path: Path) -> Path:
    """A home as it was made in its first place, which nobody else uses."""
    home = tmp_path / "old"
    shutil.copytree(a_home, home)
    publish(home)  # names the new place
    return home


def found_in(home: Path) -> Path:
    return Path(resolve(MODEL, Settings.load(home=home).tracking_uri))


def places(home: Path) -> set[str]:
    with closing(sqlite3.connect(home / "mlflow.db")) as connection:
        return {
            str(place)
            for query in (
                "SELECT artifact_location FROM experiments WHERE name != 'Default'",
                "SELECT artifact_uri FROM runs",
            )
            for (place,) in connection.execute(query)
        }


def test_a_moved_home_finds_its_models(old: Path, tmp_path: Path) -> None:
    new = old.rename(tmp_path / "new")
    assert found_in(new).is_relative_to(new)
    assert (found_in(new) / "checkpoint.json").exists()


def test_a_copied_home_uses_nothing_of_the_first(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shutil.copytree(old, new)
    assert found_in(new).is_relative_to(new)
    assert found_in(old).is_relative_to(old)


def test_a_copy_without_the_files_says_where_it_reads_them(
    old: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(old / "mlflow.db", new)
    assert found_in(new).is_relative_to(old)
    assert "an earlier home" in caplog.text


def test_the_next_submission_writes_into_the_copy_alone(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    shutil.copytree(old, new)
    before = sorted(path for path in old.rglob("*"))
    sweep = SweepFolder(f"{new}/sweeps/{PLAN.name}")
    sweep.write_table("table.md", b"| anew |")
    publish(new)
    assert all(place.startswith(f"{new}/") for place in places(new))
    assert sorted(path for path in old.rglob("*")) == before
    tables = {path.read_bytes() for path in new.glob("mlartifacts/*/artifacts/table.md")}
    assert tables == {b"| anew |"}
    mlflow.set_tracking_uri(Settings.load(home=new).tracking_uri)
    assert Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}"), "MLmodel").exists()


def test_a_home_that_another_container_has_elsewhere_is_written_to_where_it_is(
    old: Path, tmp_path: Path
) -> None:
    settings = Settings.load(home=old)
    sweep = SweepFolder(f"{settings.sweeps}/{PLAN.name}")
    mirror = MlflowMirror(sweep, settings.tracking_uri, settings.artifacts)
    _artifact_repos_cache.clear()
    assert mirror.client.search_experiments()
    # The other container sees the same files below /other, and connects.
    other = old.rename(tmp_path / "other")
    follow_home(Settings.load(home=other).tracking_uri)
    assert all(place.startswith(f"{other}/") for place in places(other))
    other.rename(old)
    sweep.write_table("table.md", b"| second |")
    mirror.publish(running=False)
    result = sweep.trial(NETWORK.key).result()
    assert result is not None
    list(promote(mirror, Candidate(NETWORK, result)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]
    tables = {path.read_bytes() for path in old.glob("mlartifacts/*/artifacts/table.md")}
    assert tables == {b"| second |"}
    assert (found_in(old) / "checkpoint.json").exists()


def test_files_in_a_folder_that_the_user_chose_stay_there(tmp_path: Path) -> None:
    fresh_store(tmp_path / "home")
    sweep = begun_sweep(tmp_path / "home")
    for spec in SPECS:
        finish(sweep, spec)
    store = Settings.load(home=tmp_path / "home").tracking_uri
    for _ in range(2):
        mirror = MlflowMirror(sweep, store, str(tmp_path / "elsewhere" / "mlartifacts"))
        mirror.publish(running=False)
    assert all(place.startswith(f"{tmp_path}/elsewhere/") for place in places(tmp_path / "home"))


def test_a_damaged_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 99)
    sweep = begun_sweep(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        MlflowMirror(sweep, f"sqlite:///{tmp_path}/mlflow.db", None).publish(running=False)


@pytest.mark.parametrize(
    "name", ["que?ry", "per%41cent", "ha#sh", "bl ank", "Zoë 阿", "a;b&c=d", "%"]
)
def test_a_home_may_be_called_anything(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = made(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert found_in(home).is_relative_to(home)
    assert (home / "mlartifacts").is_dir()
    assert main(["export", MODEL, str(tmp_path / "m.pt2"), "--home", str(home)]) == 0
    assert not any("sqlite" in path.name for path in home.rglob("*"))
    mlflow.set_tracking_uri(Settings.load(home=home).tracking_uri)
    assert Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}"), "MLmodel").exists()
