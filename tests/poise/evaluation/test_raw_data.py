"""Evaluation of raw data: the front door of `jobs/evaluate.py`, on small data it can judge."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.serving import publish, save_untrained
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.catalog.tracks import Track
from poise.evaluation.raw_data import RawEvaluation, RawRequest, evaluate_raw
from poise.evaluation.tables import Entry, markdown
from poise.readers.layouts import write_smoothnet
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic import sequences as synthetic
from poise.runtime.errors import CheckpointError, DataError, NoRetrievalError
from poise.runtime.settings import Settings

CMU = Track.parse("cmu/gaussian-10/3D")
#: Tables IV's noisy input: MPJPE and Accel per estimator of the track.
PUBLISHED = {
    "gaussian-10": (61.2, 143.8),
    "gaussian-20": (122.5, 287.6),
    "uniform-50": (88.7, 207.9),
    "uniform-100": (177.4, 415.8),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def evaluated(home: Path, data: Path | None, track: Track = TRACK, **more: Any) -> RawEvaluation:
    return evaluate_raw(RawRequest(track, Settings.load(home=home, data=data), **more))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 clips of 300 frames in the SmoothNet layout; truth only."""
    data = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    made = []
    for number in range(80):
        truth = random.normal(size=(300, 51)).astype(np.float32).cumsum(0) * np.float32(0.01)
        name = f"S{number % 4}/take{number}"
        made.append(PoseSequence(name, f"S{number % 4}", None, None, 60.0, truth, truth))
    folder = data / "poses" / "cmu_noise_3D" / "groundtruth"
    folder.mkdir(parents=True)
    names = np.empty(len(made), object)
    poses = np.empty(len(made), object)
    for row, sequence in enumerate(made):
        names[row] = [f"{sequence.name}/{frame:06d}" for frame in range(300)]
        poses[row] = sequence.truth_FC
    np.savez(folder / "cmu_gt_3D_test.npz", imgname=names, joints_3d=poses)
    return data


@pytest.fixture(scope="module")
def detected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few sequences of the tiny lake's track with train and test split."""
    data = tmp_path_factory.mktemp("data")
    for split in ("train", "test"):
        made = list(synthetic.sequences(split, synthetic.Size(2, 2, 60), "simulated"))
        write_smoothnet(data, TRACK, split, made)
    return data


@pytest.mark.parametrize("estimator", PUBLISHED)
def test_published_noise_gives_the_published_input_row(
    estimator: str, clips: Path, home: Path
) -> None:
    track = Track("cmu", estimator, "3D")
    row = evaluated(home, clips, track, refiner="input", protocol="per_window", clip=120).row
    mpjpe, accel = PUBLISHED[estimator]
    assert row.frames == 80 * 240
    assert row.mpjpe == pytest.approx(mpjpe, rel=5e-3)
    assert row.accel == pytest.approx(accel, rel=5e-3)


def test_honest_noise_is_larger_by_the_root_of_the_window(clips: Path, home: Path) -> None:
    rows = [
        evaluated(home, clips, CMU, refiner="input", protocol=protocol, clip=120).row
        for protocol in ("per_frame", "per_window")
    ]
    # The ends of a clip are averaged over fewer windows, so the ratio stays below sqrt(8).
    assert 0.9 * 8**0.5 < rows[0].mpjpe / rows[1].mpjpe < 8**0.5


def test_groups_of_actions_are_scored_apart(detected: Path, home: Path) -> None:
    """Two groups that share out all sequences have the whole's error as their mean."""
    whole = evaluated(home, detected, refiner="input")
    read = open_split(detected, TRACK, "test")
    actions = sorted({s.action or "" for s in read if isinstance(s, PoseSequence)})
    assert len(actions) > 1
    found = evaluated(home, detected, refiner="input", apart=actions)
    rows = found.groups.values()
    assert found.row.mpjpe == whole.row.mpjpe
    assert not whole.groups
    assert sum(row.frames for row in rows) == whole.row.frames
    mean = sum(row.mpjpe * row.frames for row in rows) / whole.row.frames
    assert mean == pytest.approx(whole.row.mpjpe)
    assert len({row.mpjpe for row in rows}) == len(actions)
    with pytest.raises(DataError, match="'nothing'"):
        evaluated(home, detected, refiner="input", apart=["nothing"])


def test_a_model_that_reads_neighbours_wants_its_pvd_or_an_explicit_no(
    tmp_path: Path, home: Path, detected: Path
) -> None:
    model = save_untrained(tmp_path / "model")
    with pytest.raises(NoRetrievalError, match=r"reads neighbours.*not in the lake.*--without-ret"):
        evaluated(home, detected, model=model)
    row = evaluated(home, detected, model=model, without_retrieval=True).row
    assert row.retrieval == "unavailable"
    assert row.params > 0
    assert row.frames == 2 * 2 * 60
    assert "without retrieval" in markdown([Entry(row)])
    for refiner in ("input", "offset"):
        assert evaluated(home, detected, refiner=refiner).row.retrieval == "none"


def test_the_offset_is_fitted_on_the_train_split(home: Path, detected: Path) -> None:
    raw = evaluated(home, detected, refiner="input").row
    offset = evaluated(home, detected, refiner="offset").row
    assert offset.mpjpe < raw.mpjpe
    assert offset.accel == pytest.approx(raw.accel, rel=1e-4)


def test_without_a_train_split_the_offset_comes_from_the_lake(tmp_path: Path, home: Path) -> None:
    made = list(synthetic.sequences("test", synthetic.Size(1, 2, 60), "simulated"))
    write_smoothnet(tmp_path, TRACK, "test", made)
    with pytest.raises(DataError, match="train split"):
        evaluated(home, tmp_path, refiner="offset")
    write_tiny_lake(home / "lake")
    assert evaluated(home, tmp_path, refiner="offset").row.mpjpe > 0


def test_questions_without_an_answer_are_refused(
    tmp_path: Path, home: Path, clips: Path, detected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POISE_DATA", raising=False)
    with pytest.raises(CheckpointError, match="trained first"):
        evaluated(home, detected, refiner="synspp")
    with pytest.raises(DataError, match="not a denoise track"):
        evaluated(home, detected, refiner="input", protocol="per_window")
    simulated = Track("cmu", "simulated", "3D")
    with pytest.raises(DataError, match="sees a frame once; leave out --protocol"):
        evaluated(home, clips, simulated, refiner="input", protocol="per_window")
    with pytest.raises(CheckpointError, match="trained on"):
        evaluated(home, clips, CMU, model=save_untrained(tmp_path / "model"))
    with pytest.raises(DataError, match="POISE_DATA"):
        evaluated(home, None, CMU, refiner="input")


@pytest.mark.slow
def test_retrieval_takes_part_where_lake_and_milvus_are(
    lite_uri: str, tmp_path: Path, home: Path, detected: Path
) -> None:
    write_tiny_lake(home / "lake")
    model = save_untrained(tmp_path / "model")
    publish(home / "lake", lite_uri)
    settings = Settings.load(home=home, data=detected, milvus_uri=lite_uri)
    found = evaluate_raw(RawRequest(TRACK, settings, model))
    without = evaluated(tmp_path / "empty", detected, model=model, without_retrieval=True)
    assert (found.row.retrieval, without.row.retrieval) == ("used", "unavailable")
    assert found.row.mpjpe != without.row.mpjpe


def test_what_was_not_seen_is_filled_and_truth_that_is_not_there_not_scored(
    tmp_path: Path, home: Path
) -> None:
    made = list(synthetic.sequences("test", synthetic.Size(1, 2, 60), "simulated"))
    write_smoothnet(tmp_path / "whole", TRACK, "test", made)
    whole = evaluated(home, tmp_path / "whole", refiner="gaussian1d")
    assert whole.filled == []
    for column in ("detected_FC", "truth_FC"):
        for place, value in enumerate((0.0, np.nan)):
            poses = getattr(made[0], column).copy() + np.float32(1)
            poses[20:30, 39:42] = value
            one = replace(made[0], **{column: poses})
            others = {"detected_FC", "truth_FC"} - {column}
            one = replace(one, **{key: getattr(one, key) + np.float32(1) for key in others})
            data = tmp_path / f"{column}{place}"
            write_smoothnet(data, TRACK, "test", [one, made[1]])
            found = evaluated(home, data, refiner="gaussian1d")
            assert found.row.mpjpe == pytest.approx(whole.row.mpjpe, rel=0.05)
            [line] = found.filled
            assert "left_wrist in 10 of 60 frames" in line
            assert ("not scored" in line) == (column == "truth_FC")


def test_millimetres_are_not_scored_as_metres(tmp_path: Path, home: Path) -> None:
    made = list(synthetic.sequences("test", synthetic.Size(1, 2, 60), "simulated"))
    huge = [replace(one, detected_FC=one.detected_FC * np.float32(1000)) for one in made]
    write_smoothnet(tmp_path / "all", TRACK, "test", huge)
    with pytest.raises(DataError, match=r"multiply by 0\.001"):
        evaluated(home, tmp_path / "all", refiner="input")
    write_smoothnet(tmp_path / "one", TRACK, "test", [huge[0], made[1]])
    found = evaluated(home, tmp_path / "one", refiner="input")
    assert [one.sequence for one in found.rejected] == [made[0].name]
    assert found.row.frames == 60


def test_what_is_odd_about_all_poses_is_noted(tmp_path: Path, home: Path) -> None:
    made = list(synthetic.sequences("test", synthetic.Size(1, 2, 60), "simulated"))
    small = [replace(one, detected_FC=one.detected_FC / np.float32(3)) for one in made]
    lying = [
        replace(one, detected_FC=one.detected_FC.reshape(60, 17, 3)[..., [0, 2, 1]].reshape(60, 51))
        for one in made
    ]
    for name, odd, says in (("small", small, "people 0.9 m"), ("lying", lying, "(x, z, y)")):
        write_smoothnet(tmp_path / name, TRACK, "test", odd)
        [note] = evaluated(home, tmp_path / name, refiner="input").notes
        assert says in note
    write_smoothnet(tmp_path / "right", TRACK, "test", made)
    assert evaluated(home, tmp_path / "right", refiner="input").notes == []
