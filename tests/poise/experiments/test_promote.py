from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow.pyfunc
import numpy as np
import pytest
import torch
import yaml
from tests.support.mlflow_server import fresh_store
from tests.support.written_sweep import NETWORK, OFFSET, TRACK, begun_sweep, finish, train

from poise.checkpoints import champions as championship
from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.registry import model_name, resolve
from poise.cli.main import main
from poise.experiments.grid import Fold, TrialSpec
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.promote import Candidate, promote, promote_best
from poise.experiments.tracking.facts import TRIAL_KEY
from poise.experiments.tracking.promotion import champions, promote_by_hand, undo
from poise.runtime.errors import ModelError
from poise_models.base.clip import Clip


@pytest.fixture
def store(tmp_path: Path) -> str:
    return fresh_store(tmp_path)


@pytest.fixture
def mirror(store: str, tmp_path: Path) -> MlflowMirror:
    return MlflowMirror(begun_sweep(tmp_path), store, str(tmp_path / "artifacts"))


def promoted(mirror: MlflowMirror, spec: TrialSpec, score: float, spread: float = 0.0) -> str:
    train(mirror.sweep, spec, 1)
    result = finish(mirror.sweep, spec, score, spread)
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


def test_a_difference_that_chance_may_explain_promotes_nobody(
    mirror: MlflowMirror, store: str
) -> None:
    promoted(mirror, OFFSET, 0.5)
    said = promoted(mirror, NETWORK, 0.49, spread=0.2)
    assert "version 1 stays champion" in said
    assert "a difference of -0.010 [-0.1" in said
    assert "chance may explain it" in said
    run = mirror.run_id(NETWORK.key)
    assert f'By hand: poise promote {model_name(TRACK)} {run} --reason "..."' in said
    assert champion(store).tags[TRIAL_KEY] == OFFSET.key
    done = promote_by_hand(mirror.client, model_name(TRACK), run, "me", "steadier")
    assert (done.version, done.before) == ("2", "1")
    assert champion(store).tags[TRIAL_KEY] == NETWORK.key


@pytest.mark.parametrize("clock", ["goes on", "is set back"])
def test_what_was_taken_back_by_hand_is_not_promoted_again(
    mirror: MlflowMirror, store: str, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, client = model_name(TRACK), mirror.client
    promoted(mirror, OFFSET, 0.5)
    assert "is champion" in promoted(mirror, NETWORK, 0.4)
    if clock == "is set back":
        monkeypatch.setattr(championship, "datetime", Mock(now=lambda _: datetime(2001, 1, 1)))
    assert undo(client, name, "me", "flips left and right").version == "1"
    said = promoted(mirror, NETWORK, 0.4)
    assert "me preferred it to version 2 (flips left and right)" in said
    assert champion(store).tags[TRIAL_KEY] == OFFSET.key
    champion_now, reigns = champions(client, name)
    assert champion_now == "1"
    told = [(one.version, one.by, one.before) for one in reigns]
    assert told == [("1", "poise sweep", ""), ("2", "poise sweep", "1"), ("1", "me", "2")]
    assert undo(client, name, "me", "no, it does not").version == "2"


@pytest.mark.parametrize("change", [{"manifest": "beef"}, {}])
def test_trials_of_other_data_or_people_do_not_compare(
    mirror: MlflowMirror, change: dict[str, str]
) -> None:
    promoted(mirror, OFFSET, 0.5)
    train(mirror.sweep, NETWORK, 1)
    result = finish(mirror.sweep, NETWORK, 0.1)
    mirror.publish(running=True)
    result = result if change else replace(result, held_out=("s2",))
    said = "".join(promote(mirror, Candidate(replace(NETWORK, **change), result)))  # type: ignore[arg-type]
    assert "version 1 stays champion" in said
    assert "they do not compare" in said


@pytest.mark.parametrize("which", ["7", "f" * 32, NETWORK.key, "Robert'); DROP TABLE runs"])
def test_what_is_not_there_is_not_promoted(mirror: MlflowMirror, which: str) -> None:
    promoted(mirror, OFFSET, 0.5)
    with pytest.raises(ModelError, match=r"it has 1|is no version, no run"):
        promote_by_hand(mirror.client, model_name(TRACK), which, "me", "why not")


def test_a_run_of_another_track_or_of_a_fold_is_not_promoted(mirror: MlflowMirror) -> None:
    fold = replace(NETWORK, fold=Fold(1, 2))
    mirror.sweep.trial(NETWORK.key).begin(fold)
    finish(mirror.sweep, NETWORK)
    promoted(mirror, OFFSET, 0.5)
    with pytest.raises(ModelError, match="which is poise-synthetic-simulated-3D and not"):
        promote_by_hand(mirror.client, "poise-uiprmd-kinect-3D", NETWORK.key, "me", "why not")
    with pytest.raises(ModelError, match="is a fold"):
        promote_by_hand(mirror.client, model_name(TRACK), NETWORK.key, "me", "why not")


def test_promoting_from_the_command_line(
    mirror: MlflowMirror, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted(mirror, OFFSET, 0.5)
    promoted(mirror, NETWORK, 0.6)
    uri = ["--tracking-uri", store]

    def said(*words: str, code: int = 0) -> str:
        assert main(["promote", str(TRACK), *words, *uri]) == code
        told = capsys.readouterr()
        return told.out + told.err

    assert "version 2 is champion, before it was version 1" in said(
        NETWORK.key, "--reason", "the longer training"
    )
    table = said("--list")
    assert "the longer training" in table
    assert "poise sweep" in table
    assert "version 1 is champion" in said("--undo", "--reason", "it flips")
    assert "say why" in said("--undo", code=2)
    assert "name a version or a run" in said(code=2)
    assert "no champion" in _nothing(store, capsys)


def _nothing(store: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["promote", "poise-nothing", "--list", "--tracking-uri", store]) == 2
    return capsys.readouterr().err


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
