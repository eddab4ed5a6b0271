"""Which model a name, an alias, a folder or nothing stands for."""

from pathlib import Path

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.serving import register_untrained, replica, save_untrained

from poise.checkpoints.shipped import GENERAL
from poise.runtime.errors import ModelError
from poise.serving.model import ServedModel
from poise.serving.model_lookup import find_model


def test_a_checkpoint_folder_needs_no_registry(tmp_path: Path) -> None:
    folder = save_untrained(tmp_path / "mine")
    found = find_model(folder, "http://127.0.0.1:9")
    assert (found.name, found.version, found.checkpoint) == ("mine", None, folder)


def test_with_an_empty_registry_there_is_the_general_model(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    assert find_model(None, uri).name == GENERAL
    with pytest.raises(ModelError, match="no model poise-x"):
        find_model("poise-x@champion", uri)


def test_the_only_champion_is_found_and_pinned_to_its_version(tmp_path: Path) -> None:
    uri = fresh_store(tmp_path)
    register_untrained(uri, tmp_path, "poise-a")
    for asked in (None, "poise-a", "poise-a@champion", "poise-a/1"):
        found = find_model(asked, uri)
        assert (found.name, found.version) == ("poise-a", "1")
        assert ServedModel(replica(found.checkpoint)).card.epochs == 0
    register_untrained(uri, tmp_path, "poise-b")
    assert find_model(None, uri).name == GENERAL
