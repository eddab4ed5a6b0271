"""``poise pvd``: verify and rebuild with a real Milvus Lite, show with real pictures."""

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pymilvus import MilvusClient
from tests.support.serving import publish
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.cli.main import main
from poise.lake.checks.track import check_lake
from poise.lake.manifest import read_manifest, write_manifest
from poise.runtime.settings import Settings
from poise_retrieval.milvus.server import EmbeddedMilvus
from poise_retrieval.milvus.store import PoseStore

NAME = str(TRACK)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("POISE_MILVUS_URI", raising=False)
    return tmp_path / "home"


@pytest.fixture
def lake(home: Path) -> Path:
    write_tiny_lake(home / "lake")
    return home / "lake"


@pytest.fixture
def milvus(server: None, home: Path, lake: Path) -> Iterator[str]:
    """The home's own Milvus, with the lake's rows; commands share it while it runs."""
    with EmbeddedMilvus(Settings.load(home=home).pvd) as running:
        publish(lake, running.uri)
        yield running.uri


def test_verify_answers_with_its_exit_code(
    lake: Path, milvus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pvd", "verify", str(lake), NAME]) == 0
    out = capsys.readouterr().out
    assert "✓ 297 rows" in out
    assert "✗" not in out
    client = MilvusClient(milvus)
    ids, _, _ = next(PoseStore(milvus).rows("pvd_uiprmd_kinect_3D"))
    client.delete("pvd_uiprmd_kinect_3D_test", ids=[int(ids[0])])
    assert main(["pvd", "verify", str(lake), NAME, "--milvus-uri", milvus, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["failed"]
    assert {finding["check"] for finding in report["findings"]} == {"count", "missing"}
    assert all("poise pvd rebuild" in finding["advice"] for finding in report["findings"])


def test_the_pvd_is_looked_for_in_the_home_the_lake_lies_in(
    lake: Path,
    home: Path,
    milvus: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("POISE_HOME", str(elsewhere))
    assert main(["pvd", "verify", str(lake), NAME]) == 0
    assert main(["pvd", "verify", "--lake", str(lake), NAME]) == 0
    assert not elsewhere.exists()
    capsys.readouterr()
    # Another home is asked where it is named.
    assert main(["pvd", "verify", str(lake), NAME, "--home", str(elsewhere)]) == 1
    assert "does not exist" in capsys.readouterr().out


@pytest.mark.parametrize("action", ["verify", "show", "rebuild"])
def test_a_track_that_is_not_there_is_exit_code_2(
    action: str, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pvd", action, str(lake), "h36m/fcn/3D"]) == 2
    assert "h36m/fcn/3D is not in the lake" in capsys.readouterr().err


@pytest.mark.usefixtures("soon_given_up")
def test_a_milvus_that_is_not_there_is_exit_code_2(
    lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["pvd", "verify", str(lake), NAME, "--milvus-uri", "http://127.0.0.1:1"]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "--milvus-uri or $POISE_MILVUS_URI" in said
    assert "Exception" not in said
    assert len(said.splitlines()) == 1


@pytest.mark.slow
def test_rebuild_makes_a_sound_pvd_from_the_lake_alone(
    home: Path, lake: Path, cluster: None, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_manifest(lake, TRACK)
    write_manifest(lake, replace(manifest, pvd=None))  # as after --no-pvd
    told, damaged = [], np.ones((3, 84), np.float32)
    with EmbeddedMilvus(Settings.load(home=home).pvd) as running:
        store = PoseStore(running.uri)
        for _ in range(2):
            assert main(["pvd", "rebuild", str(lake), NAME]) == 0
            told.append(capsys.readouterr().out.splitlines()[-1])
            pvd = read_manifest(lake, TRACK).pvd
            assert pvd is not None
            assert store.resolve(pvd.alias) == pvd.collection
            assert store.list() == (pvd.collection,)
            assert main(["pvd", "verify", str(lake), NAME]) == 0
            assert not any(report.findings for report in check_lake(str(lake)))
            capsys.readouterr()
            # Rows that the next build must not take over: the live ones, and those of another one.
            other = pvd.collection.removesuffix("_again")
            for name in (pvd.collection, f"{other}_again", f"{pvd.alias}_0123456789"):
                store.create(name, 84)
                store.upsert(name, np.arange(3), damaged, ["S1"] * 3)
            store.seal(pvd.collection)
            assert main(["pvd", "verify", str(lake), NAME]) == 1
            capsys.readouterr()
    # The tiny lake's neighbours were made up; those of the second build are the first's.
    assert "the windows changed" in told[0]
    assert "the windows are the same" in told[1]


def test_show_draws_and_counts(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "some.png"
    given = ["pvd", "show", str(lake), NAME, "--queries", "2", "--out", str(out)]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert str(out) in said
    assert str(tmp_path / "some-distances.png") in said
    assert "train     1      297" in said
    (own,) = re.findall(r"test: a detected window's distance to its own truth: (\S+)", said)
    assert 0 < float(own) < 1
    first = out.read_bytes()
    for path in (out, tmp_path / "some-distances.png"):
        assert _ink(path.read_bytes()) > 0.01
    assert main(given) == 0
    assert out.read_bytes() == first
    assert main([*given, "--seed", "1"]) == 0
    assert out.read_bytes() != first


def test_show_says_what_it_cannot(
    lake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "some.png"
    assert main(["pvd", "show", str(lake), NAME, "--queries", "1", "--out", str(out)]) == 2
    assert "some-distances.png: cannot be written" in capsys.readouterr().err
    manifest = read_manifest(lake, TRACK)
    write_manifest(lake, replace(manifest, pvd=None))
    assert main(["pvd", "show", str(lake), NAME]) == 2
    assert "poise pvd rebuild" in capsys.readouterr().err
    assert main(["pvd", "show", str(lake), NAME, "--action", "("]) == 2
    assert "'--action': '('" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["home"]


def _ink(png: bytes) -> float:
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    return float((grey < 200).mean())
