"""The lake of a model whose home has been moved or copied since its training."""

from pathlib import Path

import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.checkpoints.checkpoint import ModelCard
from poise.checkpoints.training_lake import lake_of
from poise.lake.manifest import manifest_hash, read_manifest
from poise.runtime.errors import CheckpointError
from poise.runtime.settings import Settings


def card(lake: Path | str, manifest: str | None = None) -> ModelCard:
    return ModelCard(str(TRACK), "synspp", {}, lake=str(lake), manifest=manifest)


def hash_of(lake: Path) -> str:
    return manifest_hash(read_manifest(str(lake), TRACK))


def test_the_home_s_own_lake_wins_where_it_holds_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for home in ("old", "new"):
        write_tiny_lake(tmp_path / home / "lake")
    old, new = tmp_path / "old" / "lake", tmp_path / "new" / "lake"
    settings = Settings.load(home=tmp_path / "new")
    assert lake_of(settings, card(old, hash_of(new))) == str(new)
    assert lake_of(settings, card(tmp_path / "gone" / "lake", "cafe")) == str(new)
    assert not caplog.messages


def test_a_lake_elsewhere_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tiny_lake(tmp_path / "old" / "lake")
    old = tmp_path / "old" / "lake"
    assert lake_of(Settings.load(home=tmp_path / "new"), card(old, hash_of(old))) == str(old)
    assert str(old) in caplog.text


def test_a_chain_of_addresses_is_not_followed(tmp_path: Path) -> None:
    chain = card("reference://::http://127.0.0.1:9/lake")
    with pytest.raises(CheckpointError, match="not followed"):
        lake_of(Settings.load(home=tmp_path), chain)
    assert lake_of(Settings.load(home=tmp_path, lake="/mine"), chain) == "/mine"


def test_a_lake_that_was_asked_for_wins_and_a_uri_is_no_place_that_moves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    there = "s3://trained/on"
    assert lake_of(Settings.load(home=tmp_path), card(there)) == there
    assert there in caplog.text
    assert lake_of(Settings.load(home=tmp_path, lake="/mine"), card(there)) == "/mine"
    assert lake_of(Settings.load(home=tmp_path), None) == str(tmp_path / "lake")
