"""A track that is ingested once more: nothing, or what is missing, is done again."""

from pathlib import Path

import pytest
from tests.support.ingested_track import (
    TRACK,
    Lines,
    check_neighbours,
    files,
    neighbour_arrays,
    people,
    tables,
)
from tests.support.ingesting import ensure_ingested, ingest
from tests.support.lake_rows import read_sequences, read_windows

from poise.catalog.splits import SPLITS
from poise.ingest import track as ingesting
from poise.lake.manifest import Manifest, manifest_hash, pvd_alias
from poise.readers.layouts import write_smoothnet
from poise.runtime import storage
from poise.runtime.errors import DataError
from poise.training_data.split import load_split
from poise_retrieval.milvus.store import PoseStore

pytestmark = pytest.mark.usefixtures("told")


def test_again_changes_nothing(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    first = ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    before, written = tables(place), files(place)

    said = Lines()
    assert ingest(TRACK, data=data, lake=place, milvus_uri=milvus, report=said.append) == first
    assert said == [f"{TRACK}: up to date, {ingesting.in_words(first)}"]
    assert files(place) == written

    forced = ingest(TRACK, data=data, lake=place, milvus_uri=milvus, force=True)
    assert forced.pvd is not None
    assert tables(place) == before
    assert files(place).keys() == written.keys()
    assert manifest_hash(forced) == manifest_hash(first)
    assert collections_of(milvus) == [forced.pvd.collection]
    assert PoseStore(milvus).resolve(pvd_alias(TRACK)) == collections_of(milvus)[0]


def collections_of(uri: str) -> list[str]:
    return [name for name in PoseStore(uri).list() if name.startswith(pvd_alias(TRACK))]


def test_changed_files_are_seen_and_old_parts_go(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    write_smoothnet(data, TRACK, "train", people("train")[:4])
    said = Lines()
    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus, report=said.append)
    assert said.said("raw files changed")
    assert manifest.splits["train"].sequences == 4
    assert len(files(place)) == 5
    assert read_sequences(place, TRACK, "train").num_rows == 4


def test_a_lost_pvd_is_made_anew_from_the_lake(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = ingest(TRACK, data=data, home=home)
    before = tables(home / "lake")
    (home / "pvd").rename(home / "gone")
    said = Lines()
    again = ingest(TRACK, data=data, home=home, report=said.append)
    assert said.said("PVD is not there")
    assert not said.said("reading")
    assert tables(home / "lake") == before
    assert manifest_hash(again) == manifest_hash(first)


def test_without_a_pvd_first_and_with_one_later(data: Path, tmp_path: Path, milvus: str) -> None:
    place, nobody = tmp_path / "lake", "http://127.0.0.1:1"
    said = Lines()

    def again(uri: str, *, pvd: bool) -> Manifest:
        said.clear()
        return ingest(TRACK, data=data, lake=place, milvus_uri=uri, pvd=pvd, report=said.append)

    bare = again(nobody, pvd=False)
    assert bare.pvd is None
    assert said.said("--no-pvd")
    sequences_before = files(place / "uiprmd" / "kinect-3D" / "sequences")
    for split in SPLITS:
        windows = read_windows(place, TRACK, split)
        assert windows.num_rows == bare.splits[split].windows
        assert (neighbour_arrays(windows)[0] == -1).all()
        assert load_split(place, TRACK, split).neighbours is None
    assert again(nobody, pvd=False) == bare
    assert said == [f"{TRACK}: up to date, {ingesting.in_words(bare)}"]
    kept = Lines()
    assert ensure_ingested(TRACK, lake=place, milvus_uri=nobody, report=kept.append) == bare
    assert kept.said("get no neighbours")

    whole = again(milvus, pvd=True)
    assert whole.pvd is not None
    assert said.said("it has no PVD yet; adding it")
    assert not said.said("reading")
    assert files(place / "uiprmd" / "kinect-3D" / "sequences") == sequences_before
    check_neighbours(place)
    assert load_split(place, TRACK, "train").neighbours is not None
    assert again(nobody, pvd=False) == whole


def test_an_interrupted_ingest_leaves_the_old_track_and_is_finished_later(
    data: Path, tmp_path: Path, milvus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "lake"
    ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    before = tables(place)
    write_smoothnet(data, TRACK, "train", people("train")[:4])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    assert tables(place) == before

    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    assert manifest.splits["train"].sequences == 4
    assert len(files(place)) == 5
    assert len(collections_of(milvus)) == 1
    check_neighbours(place)


def test_a_lake_behind_a_uri(data: Path, tmp_path: Path, milvus: str) -> None:
    place = (tmp_path / "lake").as_uri()
    manifest = ingest(TRACK, data=data, lake=place, milvus_uri=milvus)
    assert ensure_ingested(TRACK, lake=place, milvus_uri=milvus) == manifest
    assert storage.list_dir(storage.join(place, "uiprmd", "kinect-3D")) == [
        "lock", "manifest.json", "sequences", "vectors", "windows",
    ]  # fmt: skip


def test_ensuring_needs_data_or_a_lake(data: Path, tmp_path: Path, milvus: str) -> None:
    place = tmp_path / "lake"
    with pytest.raises(DataError, match="POISE_DATA"):
        ensure_ingested(TRACK, lake=place, milvus_uri=milvus)
    made = ensure_ingested(TRACK, data=data, lake=place, milvus_uri=milvus)
    said = Lines()
    assert ensure_ingested(TRACK, lake=place, milvus_uri=milvus, report=said.append) == made
    assert said.said("as it is")
