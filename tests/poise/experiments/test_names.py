"""What a sweep registers can be served, evaluated and exported by its name, whatever the name."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from tests.support.mlflow_server import fresh_store
from tests.support.serving import save_untrained

from poise.catalog.tracks import Track
from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.registry import CHAMPION, model_name, register, resolve
from poise.runtime.names import ESTIMATOR, LONGEST
from poise.serving.model_lookup import find_model

SPECIAL = ["vitpose+", "net-a", "net_a", "net.a", "net+a", "a.-_+", "Net-A", "n" * LONGEST]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, MlflowClient, str, str]:
    """A registry, and a run and a checkpoint that models are made of."""
    folder = tmp_path_factory.mktemp("registry")
    uri = fresh_store(folder)
    client = mlflow_client(uri)
    experiment = client.create_experiment("names", artifact_location=str(folder / "artifacts"))
    checkpoint = save_untrained(folder / "mine")
    return uri, client, client.create_run(experiment).info.run_id, checkpoint


def check_round_trip(registry: tuple[str, MlflowClient, str, str], estimator: str) -> None:
    uri, client, run_id, checkpoint = registry
    name = model_name(Track("mylab", estimator, "3D"))
    new = register(client, name, run_id, checkpoint, {})
    client.set_registered_model_alias(name, CHAMPION, new.version)
    for asked in (name, f"{name}@{CHAMPION}", f"{name}/{new.version}"):
        found = find_model(asked, uri)
        assert (found.name, found.version) == (name, str(new.version))
        assert Path(resolve(asked, uri)) == Path(found.checkpoint)


@pytest.mark.parametrize("estimator", SPECIAL)
def test_a_registered_model_is_found_by_its_name(
    estimator: str, registry: tuple[str, MlflowClient, str, str]
) -> None:
    check_round_trip(registry, estimator)


@settings(max_examples=5, deadline=None)
@given(st.from_regex(ESTIMATOR, fullmatch=True))
def test_any_estimators_model_is_found_by_its_name(
    registry: tuple[str, MlflowClient, str, str], estimator: str
) -> None:
    check_round_trip(registry, estimator)
