"""Which model a name, an alias, a folder or nothing stands for."""

from pathlib import Path

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.serving import replica, save_untrained

from poise.checkpoints.mlflow_client import mlflow_client
from poise.runtime.errors import ModelError
from poise.serving.model import ServedModel
from poise.serving.model_lookup import find_model


def test_a_checkpoint_folder_needs_no_registry(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path / "mine")
    found = find_model(folder, "http://127.0.0.1:9")
    assert (found.name, found.version, found.checkpoint) == ("mine", None, folder)


def test_an_empty_registry_says_what_to_run(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    with pytest.raises(ModelError, match=r"poise sweep"):
        find_model(None, uri)
    with pytest.raises(ModelError, match="no model poise-x"):
        find_model("poise-x@champion", uri)


def _register(uri: str, artifacts: Path, name: str) -> None:
    """Register an untrained checkpoint as version 1 of a model, and make it the champion."""
    client = mlflow_client(uri)
    experiment = client.create_experiment(name, artifact_location=str(artifacts / name))
    run = client.create_run(experiment)
    save_untrained(Path(run.info.artifact_uri) / "model" / "data" / "checkpoint")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
    client.set_registered_model_alias(name, "champion", "1")


def test_the_only_champion_is_found_and_pinned_to_its_version(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    _register(uri, tmp_path, "poise-a")
    for asked in (None, "poise-a", "poise-a@champion", "poise-a/1"):
        found = find_model(asked, uri)
        assert (found.name, found.version) == ("poise-a", "1")
        assert ServedModel(replica(found.checkpoint)).card.epochs == 0
    _register(uri, tmp_path, "poise-b")
    with pytest.raises(ModelError, match="poise-a, poise-b"):
        find_model(None, uri)
