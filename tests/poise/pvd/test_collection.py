"""Collections and aliases: no track touches another's, not even one of an earlier Poise."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.running_milvus import RunningMilvus
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.catalog.tracks import Track
from poise.lake.manifest import Pvd, pvd_alias, read_manifest, write_manifest
from poise.pvd.collection import check_owner, drop_unpublished, publish
from poise.runtime.errors import LakeError
from poise_retrieval.milvus.store import PoseStore

DASH, UNDERSCORE, PLUS = (Track("uiprmd", f"net{sign}a", "3D") for sign in "-_+")
#: What the alias of all three was.
OLD = "pvd_uiprmd_net_a_3D"


@pytest.fixture
def store(milvus_lite: RunningMilvus) -> Iterator[PoseStore]:
    """A Milvus that is empty again after the test."""
    with closing(PoseStore(milvus_lite.uri)) as store:
        yield store
    milvus_lite.clear()


def _make(store: PoseStore, name: str, alias: str | None = None) -> None:
    store.create(name, 4)
    store.upsert(name, np.arange(3), np.ones((3, 4), np.float32), ["S1"] * 3)
    store.seal(name)
    if alias is not None:
        store.publish(alias, name)


def _pvd(collection: str, alias: str) -> Pvd:
    return Pvd(collection, alias, 4, 3, "L2", 1.0)


def test_a_pvd_leaves_that_of_a_track_that_had_its_alias(store: PoseStore) -> None:
    _make(store, f"{OLD}_0000000002", OLD)  # of net_a, which dropped that of net-a
    new = f"{pvd_alias(DASH)}_0000000001"
    _make(store, new)
    publish(store.uri, pvd_alias(DASH), new, _pvd(f"{OLD}_0000000001", OLD), 5)
    assert store.resolve(pvd_alias(DASH)) == new
    assert store.resolve(OLD) == f"{OLD}_0000000002"
    assert store.count(OLD) == 3


def test_an_alias_of_an_earlier_poise_follows_to_the_new_collection(store: PoseStore) -> None:
    before = _pvd(f"{OLD}_0000000002", OLD)
    _make(store, before.collection, OLD)
    new = f"{pvd_alias(UNDERSCORE)}_0000000002"
    _make(store, new)
    publish(store.uri, pvd_alias(UNDERSCORE), new, before, 5)
    assert store.resolve(pvd_alias(UNDERSCORE)) == store.resolve(OLD) == new
    assert store.list() == (new,)
    # And so at the next build.
    newer = f"{new}_again"
    _make(store, newer)
    publish(store.uri, pvd_alias(UNDERSCORE), newer, _pvd(new, pvd_alias(UNDERSCORE)), 5)
    assert store.resolve(pvd_alias(UNDERSCORE)) == store.resolve(OLD) == newer
    assert store.list() == (newer,)


def test_only_ones_own_unpublished_collections_are_dropped(store: PoseStore) -> None:
    names = [f"{pvd_alias(track)}_0123456789" for track in (DASH, UNDERSCORE, PLUS)]
    for name in [*names, f"{OLD}_0123456789"]:
        store.create(name, 4)
    drop_unpublished(store.uri, pvd_alias(DASH), 5)
    assert set(store.list()) == {*names[1:], f"{OLD}_0123456789"}


def test_an_alias_that_is_another_tracks_is_not_taken(store: PoseStore, tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    # An earlier Poise gave this track the alias that is now another's.
    theirs = Track("uiprmd", "net__5fa", "3D")
    alias = pvd_alias(UNDERSCORE)
    collection = f"{alias}_0000000003"
    _make(store, collection, alias)
    check_owner(store.uri, str(tmp_path), UNDERSCORE, 5)  # nobody in this lake claims it
    manifest = read_manifest(tmp_path, TRACK)
    write_manifest(tmp_path, replace(manifest, track=str(theirs), pvd=_pvd(collection, alias)))
    with pytest.raises(LakeError, match=r"poise pvd rebuild .* uiprmd/net__5fa/3D"):
        check_owner(store.uri, str(tmp_path), UNDERSCORE, 5)
    check_owner(store.uri, str(tmp_path), theirs, 5)
