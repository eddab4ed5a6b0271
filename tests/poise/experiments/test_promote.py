from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
import torch
import yaml
from tests.support.mlflow_server import fresh_store
from tests.support.written_sweep import NETWORK, OFFSET, TRACK, begun_sweep, finish, train

from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.registry import model_name, resolve
from poise.experiments.grid import Fold, TrialSpec
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.promote import Candidate, promote, promote_best
from poise.experiments.tracking.facts import TRIAL_KEY
from poise.runtime.errors import ModelError
from poise_models.base.clip import Clip


@pytest.fixture
def store(tmp_path: Path) -> str:
    return fresh_store(tmp_path)


@pytest.fixture
def mirror(store: str, tmp_path: Path) -> MlflowMirror:
    return MlflowMirror(begun_sweep(tmp_path), store, str(tmp_path / "artifacts"))


def promoted(mirror: MlflowMirror, spec: TrialSpec, score: float) -> str:
    train(mirror.sweep, spec, 1)
    result = finish(mirror.sweep, spec, score)
    mirror.publish(running=True)
    return "; ".join(promote(mirror, Candidate(spec, result)))


def champion(uri: str) -> Any:
    return mlflow_client(uri).get_model_version_by_alias(model_name(TRACK), "champion")


def test_only_a_better_trial_becomes_champion(mirror: MlflowMirror, store: str) -> None:
    def now() -> tuple[str, str]:
        return str(champion(store).version), champion(store).tags[TRIAL_KEY]

    assert "version 1 is champion: Offset" in promoted(mirror, OFFSET, 0.5)
    assert now() == ("1", OFFSET.key)
    assert "stays champion (the same Offset)" in promoted(mirror, OFFSET, 0.5)
    assert "version 1 stays champion" in promoted(mirror, NETWORK, 0.6)
    assert now() == ("1", OFFSET.key)
    assert "version 2 is champion: SmoothNet" in promoted(mirror, NETWORK, 0.4)
    assert now() == ("2", NETWORK.key)
    assert "version 1 is champion" in promoted(mirror, OFFSET, 0.3)
    assert len(mirror.client.search_model_versions(f"name='{model_name(TRACK)}'")) == 2
    assert champion(store).tags["poise.retrieval"] == "none"


def test_no_network_of_a_fold_becomes_champion(mirror: MlflowMirror) -> None:
    train(mirror.sweep, NETWORK, 1)
    finish(mirror.sweep, NETWORK, 0.1)
    mirror.publish(running=True)
    (note,) = promote_best(mirror, [replace(NETWORK, fold=Fold(1, 2))])
    assert note.startswith("no champion comes of folds")
    assert "is champion" in next(promote_best(mirror, [NETWORK]))


def test_a_registered_model_is_a_checkpoint_without_pickle(
    mirror: MlflowMirror, store: str
) -> None:
    promoted(mirror, NETWORK, 0.5)
    name = model_name(TRACK)
    folder = resolve(name, store)
    assert folder == resolve(f"{name}@champion", store) == resolve(f"{name}/1", store)
    assert resolve(folder, "sqlite:////nowhere/mlflow.db") == folder
    kinds = {file.suffix for file in Path(folder).parents[1].rglob("*") if file.is_file()}
    assert kinds <= {"", ".json", ".yaml", ".txt", ".safetensors"}
    refiner, _ = load_checkpoint(folder)
    model = mlflow.pyfunc.load_model(str(Path(folder).parents[1]))
    detected_FC = np.random.default_rng(0).standard_normal((40, 51)).astype(np.float32)
    expected = refiner.refine([Clip(torch.from_numpy(detected_FC))])[0].poses_FC.numpy()
    np.testing.assert_array_equal(model.predict(detected_FC), expected)
    with pytest.raises(mlflow.MlflowException):
        model.predict(detected_FC[:, :50])


@pytest.mark.parametrize("again", [(NETWORK, 0.5), (OFFSET, 0.6)])
def test_a_champion_of_an_earlier_poise_is_packed_again_at_the_next_sweep(
    mirror: MlflowMirror, store: str, again: tuple[TrialSpec, float]
) -> None:
    """Its package names a module that is gone; the checkpoint in it is read all the same."""
    promoted(mirror, NETWORK, 0.5)
    name = model_name(TRACK)
    package = Path(resolve(name, store)).parents[1]
    description = yaml.safe_load((package / "MLmodel").read_text())
    description["flavors"]["python_function"]["loader_module"] = "poise.pyfunc"
    (package / "MLmodel").write_text(yaml.safe_dump(description))
    mirror.client.delete_model_version_tag(name, "1", "poise.loader")
    with pytest.raises(ModuleNotFoundError):
        mlflow.pyfunc.load_model(str(package))
    load_checkpoint(resolve(name, store))
    assert "version 1 is from an earlier Poise" in promoted(mirror, *again)
    assert mlflow.pyfunc.load_model(str(package)) is not None
    assert "earlier" not in promoted(mirror, *again)
    assert str(champion(store).version) == "1"


@pytest.mark.parametrize(
    "name",
    [
        "poise-other@champion",
        "poise-synthetic-simulated-3D@winner",
        "poise-synthetic-simulated-3D/7",
        "poise-nothing",
    ],
)
def test_a_name_that_leads_nowhere_lists_what_exists(
    mirror: MlflowMirror, store: str, name: str
) -> None:
    promoted(mirror, OFFSET, 0.5)
    with pytest.raises(ModelError, match=r"poise-synthetic-simulated-3D@champion \(version 1\)"):
        resolve(name, store)


def test_an_empty_registry_and_a_missing_folder_say_what_to_do(store: str) -> None:
    with pytest.raises(ModelError, match=r"run poise sweep"):
        resolve("poise-uiprmd-kinect-3D", store)
    with pytest.raises(ModelError, match="neither a checkpoint folder"):
        resolve("/no/such/folder", store)
