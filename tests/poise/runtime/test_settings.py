"""Settings: what comes first, what a mistake says, and that the table in the docs is whole."""

import json
import os
import re
from pathlib import Path

import pytest

from poise.runtime.errors import CatalogueError, SettingsError
from poise.runtime.settings import VARIABLES, Settings, misspelt

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"
#: A value of each setting as its variable, and as the option or argument that goes before it.
VALUES = {
    "home": ("/env/home", "/given/home"),
    "data": ("/env/data", "/given/data"),
    "lake": ("s3://env/lake", "/given/lake"),
    "milvus_uri": ("http://env:19530", "http://given:19530"),
    "cache": ("/env/cache", "/given/cache"),
    "cache_gb": ("1.5", "2.5"),
    "tracking_uri": ("http://env:5000", "sqlite:////given.db"),
    "smpl": ("/env/smpl", "/given/smpl"),
    "datasets": ("/env/a.toml", "/given/a.toml"),
    "datasets_toml": ('["name = 1"]', '["name = 2"]'),
    "token": ("a-token-of-the-environment", "a-token-that-is-given"),
    "commit": ("abc", "def"),
    "ray_address": ("env:6379", "given:6379"),
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if isinstance(value, tuple):
        return json.dumps(value) if name == "datasets_toml" else os.pathsep.join(map(str, value))
    return str(value)


@pytest.mark.parametrize("name", VARIABLES)
def test_what_is_given_goes_before_the_environment_and_that_before_the_default(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_env, given = VALUES[name]
    default = shown(Settings.load(), name)
    monkeypatch.setenv(VARIABLES[name], "")  # as if it were not there
    assert shown(Settings.load(), name) == default
    monkeypatch.setenv(VARIABLES[name], from_env)
    assert shown(Settings.load(), name) == from_env != default
    assert shown(Settings.current(), name) == from_env
    assert shown(Settings.load(**{name: None}), name) == from_env
    assert shown(Settings.load(**{name: given}), name) == given


def test_defaults_lie_under_the_home(tmp_path: Path) -> None:
    settings = Settings.load()
    assert settings.home == tmp_path / ".poise"
    assert settings.lake == str(tmp_path / ".poise" / "lake")
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/.poise/mlflow.db"
    assert settings.artifacts == str(tmp_path / ".poise" / "mlartifacts")
    assert Settings.load(tracking_uri="http://mlflow:5000").artifacts is None
    assert Settings.load(home="~/x").home == Path.home() / "x"
    assert Settings.load(home="there", lake="../lake").lake == str(tmp_path.parent / "lake")


def test_results_of_a_ray_job_outlive_its_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unpacked = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    unpacked.mkdir(parents=True)
    monkeypatch.chdir(unpacked)
    assert Settings.current().home == Path.home() / ".poise"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("home", "a_file", "a_file is a file; name a folder"),
        ("data", "a_file", "a_file is a file; name a folder"),
        ("milvus_uri", "milvus:19530", "'milvus:19530' is no URI; write http://milvus:19530"),
        ("data", "s3://b/x?endpoint_override=h", "leave out the query of the URI (?...): AWS_END"),
        ("lake", "s3://b/x?endpoint_override=h", "leave out the query of the URI (?...): AWS_END"),
        ("datasets_toml", "{", "not a JSON list of TOML texts"),
    ],
)
def test_a_mistake_is_one_line_that_names_variable_or_option(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a_file").touch()
    option = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError, match=rf"^{option}: .*{re.escape(message)}.*$"):
        Settings.load(**{name: value})
    monkeypatch.setenv(VARIABLES[name], value)
    with pytest.raises(SettingsError, match=rf"^{VARIABLES[name]}: .*{re.escape(message)}.*$"):
        Settings.current()


def test_raw_tracks_may_be_behind_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load(data="file:///raw/of/us").data == Path("/raw/of/us")
    given = Settings.load(data="s3://bucket/raw")
    assert str(given.data) == "s3://bucket/raw"
    monkeypatch.setenv("POISE_DATA", str(given.data))
    assert Settings.current().data == given.data


def test_used_settings_are_those_of_the_process(tmp_path: Path) -> None:
    used = Settings.use(home="mine", milvus_uri="http://milvus:19530", smpl="body", lake="l")
    assert Settings.current() == used
    assert os.environ["POISE_HOME"] == str(tmp_path / "mine")
    assert os.environ["POISE_SMPL"] == str(tmp_path / "body")
    assert "POISE_DATA" not in os.environ
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_workers_are_told_of_body_model_and_own_data_sets(tmp_path: Path) -> None:
    assert Settings.load().worker_env() == {}
    (tmp_path / "one.toml").write_text("name = 1")
    datasets = tmp_path / "home" / "datasets"
    datasets.mkdir(parents=True)
    (datasets / "two.toml").write_text("name = 2")
    settings = Settings.load(home="home", datasets="one.toml", smpl="body")
    env = settings.worker_env()
    assert env.pop("POISE_SMPL") == str(tmp_path / "body")
    assert json.loads(env["POISE_DATASETS_TOML"]) == ["name = 1", "name = 2"]
    sent = Settings.load(datasets_toml=env["POISE_DATASETS_TOML"], datasets="/not/here")
    assert [text for _, text in sent.dataset_texts()] == ["name = 1", "name = 2"]
    assert sent.worker_env() == env
    with pytest.raises(CatalogueError, match=r"POISE_DATASETS names gone\.toml"):
        Settings.load(datasets="gone.toml").worker_env()


def test_the_table_in_the_docs_lists_exactly_the_settings() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCS.read_text().splitlines()
        if line.startswith("| `")
    ]
    assert {row[0].strip("`"): row[3] for row in rows} == {
        variable: Settings.model_fields[name].description for name, variable in VARIABLES.items()
    }


@pytest.mark.parametrize(
    "name", ["POISE_MILVUS", "POISE_DATASET", "POISE_MILVUS_URL", "poise_home"]
)
def test_variables_that_are_nearly_those_of_poise_are_found(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for right in ("POISE_LAKE", "POISE_SERVICE_HOST", "POISE_PORT"):  # two are of Kubernetes
        monkeypatch.setenv(right, "x")
    monkeypatch.setenv(name, "x")
    ((found, near),) = misspelt()
    assert found == name
    assert near in VARIABLES.values()
