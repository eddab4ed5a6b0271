"""Which model a request gets, while aliases move and the registry goes away."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.serving import clip, register_untrained, replica, save_untrained
from tests.support.tiny_lake import TRACK

from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.registry import model_name
from poise.checkpoints.shipped import GENERAL
from poise.serving.model import ReplicaConfig, ServedModel
from poise.serving.model_lookup import find_model
from poise.serving.models import served_models as served_models_module
from poise.serving.models.served_models import ModelWork, ServedModels
from poise.serving.models.wanted import AWAY, MISSING, WRONG, ChoiceError, agreed

#: Nothing that is waited for takes so long.
LONG_S = 60.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A registry of poise-a (1, and champion 2) and the champion of the tiny lake's track."""
    folder = tmp_path_factory.mktemp("store")
    uri = fresh_store(folder)
    for name in ("poise-a", "poise-a", model_name(TRACK)):
        register_untrained(uri, folder, name, "gaussian1d")
    return uri, folder


@contextmanager
def served(config: ReplicaConfig, uri: str) -> Iterator[ServedModels]:
    with closing(ServedModels(replace(config, tracking_uri=uri, models=2))) as models:
        yield models


def get(models: ServedModels, model: str | None = None, track: str | None = None) -> ServedModel:
    return asyncio.run(models.get(model, track))


def said(model: ServedModel) -> tuple[str, str | None]:
    return model.name, model.version


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_names_versions_and_tracks_lead_to_models(store: tuple[str, Path], tmp_path: Path) -> None:
    own = replica(save_untrained(tmp_path / "own", "gaussian1d"))
    other = "jhmdb/simplepose/2D"
    with served(own, store[0]) as models:
        assert get(models) is get(models, "m") is models.own
        assert get(models, None, str(TRACK)) is models.own
        for asked in ("poise-a", "poise-a@champion", "poise-a/2"):
            assert said(get(models, asked)) == ("poise-a", "2")
        assert get(models, "poise-a") is get(models, "poise-a/2", str(TRACK))
        assert said(get(models, "poise-a/1")) == ("poise-a", "1")
        general = get(models, None, other)
        assert (general.name, str(general.track), general.info.dims) == (GENERAL, other, 2)
        assert get(models, GENERAL, other) is general
        assert len(models.loaded) == 3, "its own, and the last two that were asked for"
        first = get(models, "poise-a/2")
        assert [one.version for one in models.loaded] == [None, "2", None]
        assert first is models.loaded[1]


def test_a_service_of_the_general_model_takes_the_champion_of_a_track(
    store: tuple[str, Path],
) -> None:
    config = ReplicaConfig(find_model(GENERAL, store[0]), "no-lake")
    with served(config, store[0]) as models:
        assert get(models).name == GENERAL
        assert said(get(models, None, str(TRACK))) == (model_name(TRACK), "1")


@pytest.mark.parametrize(
    ("model", "track", "status", "says"),
    [
        ("poise-x", None, MISSING, "poise-a@champion"),
        ("poise-a/9", None, MISSING, "m is served"),
        ("../secret", None, MISSING, "no model"),
        ("/etc", None, MISSING, "no model"),
        ("s3://bucket/x", None, MISSING, "no model"),
        (None, "no/such/track", WRONG, "representation"),
        ("poise-a", "jhmdb/simplepose/2D", WRONG, "trained on"),
        (None, "pw3d/spin/smpl", MISSING, "2D and 3D"),
    ],
)
def test_what_there_is_not_is_said(
    store: tuple[str, Path],
    tmp_path: Path,
    model: str | None,
    track: str | None,
    status: int,
    says: str,
) -> None:
    with (
        served(replica(save_untrained(tmp_path, "gaussian1d")), store[0]) as models,
        pytest.raises(ChoiceError, match=says) as caught,
    ):
        get(models, model, track)
    assert caught.value.status == status


def test_a_registry_away_stops_no_model_that_is_loaded(
    store: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models_module, "WATCH_S", 0.01)
    with served(replica(save_untrained(tmp_path, "gaussian1d")), store[0]) as models:
        known = get(models, "poise-a")
        models._registry._uri, models._registry._client = "http://127.0.0.1:9", None
        for _ in range(3):
            assert get(models, "poise-a") is known
            assert get(models) is models.own
            with pytest.raises(ChoiceError, match="does not answer") as caught:
                get(models, "poise-a/1")
            assert caught.value.status == AWAY


def test_a_registry_that_hangs_is_waited_for_so_long(
    store: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models_module, "LOOKUP_S", 0.05)
    with served(replica(save_untrained(tmp_path, "gaussian1d")), store[0]) as models:
        monkeypatch.setattr(models._registry, "locate", lambda _: time.sleep(1))
        with pytest.raises(ChoiceError) as caught:
            get(models, "poise-a")
    assert caught.value.status == AWAY


def test_a_moved_alias_is_followed_and_back_while_requests_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models_module, "WATCH_S", 0.01)
    uri = fresh_store(tmp_path)
    for refiner in ("gaussian1d", "oneeuro"):
        register_untrained(uri, tmp_path, "poise-a", refiner)
    client = mlflow_client(uri)
    client.set_registered_model_alias("poise-a", "champion", "1")
    client.set_registered_model_alias("poise-a", "next", "1")
    with served(ReplicaConfig(find_model("poise-a", uri), "no-lake"), uri) as models:
        assert said(get(models, "poise-a@next")) == ("poise-a", "1")

        def answers(version: str) -> bool:
            own, named = get(models), get(models, "poise-a@next")
            for model in (own, named):
                work = ModelWork(model, clip(20))
                models.advance([work])
                assert not isinstance(work.outcome, Exception)
                assert model.refiner.name == {"1": "gaussian1d", "2": "oneeuro"}[str(model.version)]
            return (own.version, named.version) == (version, version)

        assert answers("1")
        for version in ("2", "1", "2"):
            before = models.own
            for alias in ("champion", "next"):
                client.set_registered_model_alias("poise-a", alias, version)
            eventually(lambda version=version: answers(version))  # type: ignore[misc]
            assert models.moved_to(before) == version, "of which its streams are told"
            assert models.moved_to(models.own) is None


def test_a_version_that_does_not_load_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models_module, "WATCH_S", 0.01)
    uri = fresh_store(tmp_path)
    for _ in range(2):
        register_untrained(uri, tmp_path, "poise-a", "gaussian1d")
    broken = Path(find_model("poise-a", uri).checkpoint) / "weights.safetensors"
    client = mlflow_client(uri)
    client.set_registered_model_alias("poise-a", "champion", "1")
    with served(ReplicaConfig(find_model("poise-a", uri), "no-lake"), uri) as models:
        broken.write_bytes(b"no weights")
        client.set_registered_model_alias("poise-a", "champion", "2")
        eventually(lambda: models._bad is not None)
        assert get(models).version == "1"
        with pytest.raises(ChoiceError, match="cannot be loaded") as caught:
            get(models, "poise-a/2")
        assert caught.value.status == AWAY


def test_query_and_body_name_one_model() -> None:
    assert agreed("model", None, "a") == agreed("model", "a", "a") == "a"
    assert agreed("model", None, None) is None
    with pytest.raises(ChoiceError):
        agreed("model", "a", "b")


def test_models_take_turns(store: tuple[str, Path], tmp_path: Path) -> None:
    with served(replica(save_untrained(tmp_path)), store[0]) as models:
        other = get(models, "poise-a")
        long = [ModelWork(models.own, clip(900, seed)) for seed in range(4)]
        models.advance(long)
        short = ModelWork(other, clip(10))
        models.advance([*long, short])
        assert short.outcome is not None
        assert all(work.outcome is None for work in long)
