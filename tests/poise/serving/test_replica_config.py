"""What a replica is told: the arguments of the application, and behind them the environment."""

from pathlib import Path

import pytest
from tests.support.serving import save_untrained

from poise.runtime.errors import CheckpointError, SettingsError
from poise.serving.service_args import ServiceArgs, replica_config


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    return save_untrained(tmp_path / "untrained")


def test_every_setting_of_the_environment_is_honoured(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("POISE_LAKE", raising=False)
    monkeypatch.delenv("POISE_MILVUS_URI", raising=False)
    config = replica_config(ServiceArgs(model=checkpoint))
    assert (config.lake, config.milvus_uri) == (str(tmp_path / "home" / "lake"), None)
    monkeypatch.setenv("POISE_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("POISE_MILVUS_URI", "http://milvus:19530")
    config = replica_config(ServiceArgs(model=checkpoint))
    assert (config.lake, config.milvus_uri) == ("s3://bucket/lake", "http://milvus:19530")


def test_arguments_come_before_the_environment(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISE_LAKE", "s3://bucket/lake")
    monkeypatch.setenv("POISE_MILVUS_URI", "http://milvus:19530")
    args = ServiceArgs(model=checkpoint, lake="s3://mine/lake", milvus_uri="http://mine:19530")
    config = replica_config(args)
    assert (config.lake, config.milvus_uri) == ("s3://mine/lake", "http://mine:19530")


def test_what_cannot_run_is_refused_before_anything_starts(checkpoint: str) -> None:
    with pytest.raises(SettingsError, match="no URI"):
        replica_config(ServiceArgs(model=checkpoint, milvus_uri="milvus:19530"))
    with pytest.raises(CheckpointError, match="stride"):
        replica_config(ServiceArgs(model=checkpoint, stride=1000))
