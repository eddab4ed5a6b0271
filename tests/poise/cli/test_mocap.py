"""`poise mocap` and `poise fetch` from the command line to what the intake reads."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.support.bodies import write_amass, write_body
from tests.support.fetch_server import Site, serving
from tests.support.markers import LABELS as C3D_LABELS
from tests.support.markers import markers as c3d_markers
from tests.support.markers import write_c3d
from tests.support.takes import real_takes, write_amc, write_asf, write_person

from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.mocap.clip import JOINTS
from poise.readers import raw_split as raw
from poise.readers.sequence import PoseSequence

LIMBS = {"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot"}
LIMBS |= {"shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand"}
UNITY = {"pelvis": "Hips", "spine": "Spine", "thorax": "Neck", "neck": "Head"} | {
    f"{side}_{part}": f"{side}{name}" for side in ("left", "right") for part, name in LIMBS.items()
}
TRACK = Track.parse("cmu/gaussian-10/3D")


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """Five people with two takes each, the skeletons beside them."""
    folder = tmp_path / "cmu"
    for subject in ("01", "02", "03", "07", "10"):
        home = folder / subject
        home.mkdir(parents=True)
        write_asf(home / f"{subject}.asf")
        for take in ("01", "02"):
            write_amc(home / f"{subject}_{take}.amc", frames=41, seed=int(subject + take))
    return folder


def converted(folder: Path, out: Path, *options: str) -> int:
    return main(["mocap", str(folder), "--out", str(out), *options])


def read(data: Path, split: str) -> dict[str, PoseSequence]:
    found = list(raw.open_split(data, TRACK, split))
    sequences = [one for one in found if isinstance(one, PoseSequence)]
    assert len(sequences) == len(found)
    return {sequence.name: sequence for sequence in sequences}


def test_folder_of_takes_becomes_a_denoise_track(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert converted(takes, tmp_path / "data") == 0
    train, test = (read(tmp_path / "data", split) for split in ("train", "test"))
    assert {one.subject for one in test.values()} == {"S01", "S10"}  # every fourth person
    assert {one.subject for one in train.values()} == {"S02", "S03", "S07"}
    assert sorted(test) == [f"S{s}/native-{s}_0{take}" for s in ("01", "10") for take in (1, 2)]
    one = test["S01/native-01_02"]
    assert one.truth_FC is not None
    assert one.truth_FC.shape == (21, 51)  # 41 frames at 120, every second one
    assert (one.fps, one.action) == (60.0, "native-01_02")
    noise = (one.detected_FC - one.truth_FC).std()
    assert noise == pytest.approx(10 / 115, rel=0.1)
    said = capsys.readouterr().out
    assert "[10/10, 0 s left] S10/native-10_02: 21 frames" in said
    assert "test: 4 takes, 84 frames of S01, S10" in said


def test_people_to_test_on_can_be_named(takes: Path, tmp_path: Path) -> None:
    assert converted(takes, tmp_path / "data", "--test-subjects", "2", "07") == 0
    assert {one.subject for one in read(tmp_path / "data", "test").values()} == {"S02", "S07"}


@pytest.mark.parametrize(("fps", "frames"), [("120", 41), ("40", 14), ("30", 11)])
def test_rate_to_write(takes: Path, tmp_path: Path, fps: str, frames: int) -> None:
    assert converted(takes, tmp_path / "data", "--fps", fps) == 0
    for sequence in read(tmp_path / "data", "train").values():
        assert len(sequence.detected_FC) == frames


def test_rate_of_some_subjects(takes: Path, tmp_path: Path) -> None:
    assert converted(takes, tmp_path / "data", "--source-fps", "07=60") == 0
    lengths = {
        one.subject: len(one.detected_FC) for one in read(tmp_path / "data", "train").values()
    }
    assert lengths == {"S02": 21, "S03": 21, "S07": 41}


def test_bad_files_are_named_and_the_others_land(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = takes / "02/02_01.amc"
    broken.write_text(broken.read_text()[:3000])
    (takes / "03/03.asf").unlink()
    (takes / "10/copy").mkdir()
    write_amc(takes / "10/copy/10_01.amc", frames=41, seed=1001)
    (takes / "10/10_09.bvh").write_text("HIERARCHY\n")
    assert converted(takes, tmp_path / "data") == 1
    said = capsys.readouterr().err
    assert "5 of 12 files were left out" in said
    assert "02_01.amc, line" in said
    assert said.count("no skeleton of S03") == 2
    assert "copy/10_01.amc: the same take as" in said
    assert "10_09.bvh: no HIERARCHY or no MOTION" in said
    landed = [*read(tmp_path / "data", "train"), *read(tmp_path / "data", "test")]
    assert len(landed) == 7


def test_rate_that_does_not_fit_names_those_that_do(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert converted(takes, tmp_path / "data", "--fps", "50") == 2
    said = capsys.readouterr().err
    assert said.count("possible rates: 120, 60, 40, 30, 24, 20") == 10
    assert "none of 10 files could be converted" in said


def test_existing_track_is_replaced_only_when_told(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert converted(takes, data) == 0
    assert converted(takes, data) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert converted(takes / "07", data, "--overwrite") == 0
    assert len(read(data, "train")) == 2
    # One person alone cannot be split: the test split of before must not stay beside it.
    assert not raw.split_exists(data, TRACK, "test")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--test-subjects", "99"], "no takes of S99; there are S01, S02"),
        (["--test-every", "1"], "at least 2"),
        (["--source-fps", "fast"], "write 60 or SUBJECT=60"),
        (["--source-fps", "0"], "above zero"),
        (["--dataset", "uiprmd"], "uiprmd has no noise tracks"),
        (["--dataset", "nobody"], "no data set 'nobody'"),
        (["--markers", "nowhere.toml"], "nowhere.toml"),
        (["--skeletons", "nowhere"], "nowhere: not a folder"),
        (["--body-model", "nowhere"], "nowhere: no body model there"),
    ],
)
def test_wrong_options_are_refused(
    takes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    says: str,
) -> None:
    assert converted(takes, tmp_path / "data", *options) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_folder_without_takes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert converted(tmp_path, tmp_path / "data") == 2
    assert "no motion capture files (.amc, .bvh, .c3d, or .npz of AMASS)" in capsys.readouterr().err


def test_skeletons_may_lie_elsewhere(takes: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (takes / "07/07_01.amc").rename(alone / "07_01.amc")
    assert converted(alone, tmp_path / "data", "--skeletons", str(takes)) == 0
    assert list(read(tmp_path / "data", "train")) == ["S07/native-07_01"]


def test_real_files_of_all_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert converted(real_takes(), data, "--test-subjects", "2", "14", "16") == 1
    assert "max_131_01.bvh: this conversion lacks the thorax" in capsys.readouterr().err
    train, test = read(data, "train"), read(data, "test")
    assert sorted(test) == ["S02/daz-02_01", "S14/native_bvh-14_08", "S16/native-16_15"]
    assert len(train) == 9
    assert {"S07/native-07_01", "S07/daz-07_01", "S12/native_bvh-12_01"} <= set(train)
    for sequence in [*train.values(), *test.values()]:
        assert sequence.truth_FC is not None
        assert np.isfinite(sequence.truth_FC).all()


def test_amass_and_c3d_beside_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "lab" / "anna"
    home.mkdir(parents=True)
    heights = np.zeros((24, 3))
    heights[:, 1] = np.arange(24) * 0.13
    write_body(tmp_path / "SMPL_FEMALE.npz", v_template=heights)
    write_amass(home / "walk_poses.npz")
    write_amass(home / "him_poses.npz", gender=np.array("male"))
    write_amass(home / "renamed.npz", gender=np.array("male"))
    (home / "other.npz").write_bytes(b"no zip")
    np.savez(home / "shape.npz", betas=np.zeros(10))
    write_c3d(home / "jump.c3d", c3d_markers(), C3D_LABELS)
    (tmp_path / "map.toml").write_text(
        'up = "y"\n[joints]\n' + "".join(f'{name[1:]} = ["{name}"]\n' for name in C3D_LABELS)
    )
    data = tmp_path / "data"
    assert converted(tmp_path / "lab", data) == 2
    said = capsys.readouterr().err
    assert "say with --body-model" in said
    assert "say with --markers" in said
    options = ["--body-model", str(tmp_path), "--markers", str(tmp_path / "map.toml")]
    assert converted(tmp_path / "lab", data, *options) == 1
    said = capsys.readouterr().err
    assert "2 of 4 files were left out" in said
    assert "no body model of gender 'male'" in said
    assert sorted(read(data, "train")) == ["anna/amass-walk_poses", "anna/c3d-jump"]


def test_fetched_files_can_be_converted(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        f"/subjects/{file.relative_to(takes).as_posix()}": file.read_bytes()
        for file in takes.rglob("*.a*")
    }
    with serving(Site(files)) as site:
        got = tmp_path / "got"
        ask = ["fetch", "cmu", "--to", str(got), "--base-url", site.url, "--subjects"]
        assert main([*ask, "1-3"]) == 0
        assert main([*ask, "1-3,88"]) == 1
        assert "88.asf: not there (404)" in capsys.readouterr().err
    assert converted(got, tmp_path / "data") == 0
    assert len(read(tmp_path / "data", "train")) == 4


def test_fetch_refuses_what_is_no_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = ["fetch", "cmu", "--to", str(tmp_path), "--subjects", "7", "--base-url", "ftp://x"]
    assert main(ask) == 2
    assert "http://" in capsys.readouterr().err


def test_takes_are_the_same_by_content_and_never_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    takes = {"anna/walk": 1, "anna/run": 1, "anna/copy/walk": 1, "anna/more/walk": 2, "ben/walk": 1}
    for name, seed in takes.items():
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        write_amc(lab / f"{name}.amc", seed=seed)
    for who in ("anna", "ben"):
        write_asf(lab / who / "skeleton.asf")
    assert converted(lab, tmp_path / "data", "--subject-from", "^([^/]+)/") == 1
    said = capsys.readouterr()
    assert "people by --subject-from REGEX: 2, with takes: anna (4), ben (1)" in said.out
    assert "1 of 5 files were left out" in said.err
    assert "anna/walk.amc: the same take as" in said.err
    names = sorted([*read(tmp_path / "data", "train"), *read(tmp_path / "data", "test")])
    assert names == ["anna/native-run", "anna/native-walk", "anna/native-walk#2", "ben/native-walk"]


def test_skeleton_of_a_file_is_a_map_to_fill_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = tmp_path / "lab"
    (lab / "anna").mkdir(parents=True)
    names = {joint: f"my {joint}" for joint in JOINTS}
    names |= {"left_knee": "my bend", "right_knee": "bend#r", "head": "my neck_end"}
    file = write_person(lab / "anna/walk.bvh", names)
    assert converted(lab, tmp_path / "data") == 2
    assert "poise mocap --show-skeleton prints one to fill in" in capsys.readouterr().err
    assert main(["mocap", "--show-skeleton", str(file)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# walk.bvh: not known to Poise\n# my pelvis\n#   my spine\n")
    (tmp_path / "map.toml").write_text(shown)
    ask = ["--skeleton-map", str(tmp_path / "map.toml")]
    assert converted(lab, tmp_path / "data", *ask) == 2
    assert "joint right_hip is unknown or names no joints" in capsys.readouterr().err
    known = {joint: [name] for joint, name in names.items() if joint not in ("head", "left_wrist")}
    filled = "".join(f"{joint} = {json.dumps(known.get(joint, []))}\n" for joint in JOINTS)
    (tmp_path / "map.toml").write_text(filled)
    assert converted(lab, tmp_path / "data", *ask) == 0
    said = capsys.readouterr().out
    assert "walk.bvh: not in the file, marked as missing: head, left_wrist" in said
    (walk,) = read(tmp_path / "data", "train").values()
    assert walk.untrue_FJ is not None
    assert walk.truth_FC is not None
    missing = [JOINTS[joint] for joint in np.flatnonzero(walk.untrue_FJ.all(axis=0))]
    assert missing == ["head", "left_wrist"]
    assert walk.untrue_FJ.sum() == 2 * len(walk.truth_FC)
    assert np.isfinite(walk.truth_FC).all()


def test_a_map_is_for_the_files_that_have_its_joints(tmp_path: Path) -> None:
    home = tmp_path / "lab/anna"
    home.mkdir(parents=True)
    mine = {joint: f"my {joint}" for joint in JOINTS}
    write_person(home / "mine.bvh", mine)
    write_person(home / "unity.bvh", UNITY, frames=5)
    (tmp_path / "map.toml").write_text(
        "".join(f'{joint} = "{name}"\n' for joint, name in mine.items())
    )
    ask = ["--skeleton-map", str(tmp_path / "map.toml")]
    assert converted(tmp_path / "lab", tmp_path / "data", *ask) == 0
    assert sorted(read(tmp_path / "data", "train")) == ["anna/bvh-mine", "anna/bvh-unity"]


def test_unit_may_be_said_for_amc_and_bvh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "lab/anna"
    home.mkdir(parents=True)
    names = {joint: f"my {joint}" for joint in JOINTS}
    write_person(home / "walk.bvh", names, metres=0.1)
    (tmp_path / "map.toml").write_text(
        "".join(f'{joint} = "{name}"\n' for joint, name in names.items())
    )
    write_asf(home / "anna.asf")
    write_amc(home / "run.amc")
    ask = ["--skeleton-map", str(tmp_path / "map.toml"), "--source-fps", "60"]
    for unit, bvh, amc in (("cm", "0.045", "0.071"), ("in", "0.114", "0.18"), ("m", "4.5", "7.1")):
        assert converted(tmp_path / "lab", tmp_path / "data", *ask, "--unit", unit) == 2
        said = capsys.readouterr().err
        assert f"walk.bvh: the right thigh would be {bvh} m" in said
        assert f"run.amc: the right thigh would be {amc} m" in said
        assert ("likely decimetres" in said) == (unit == "m")
    write_person(home / "walk.bvh", names, metres=0.02)  # neither unit is far off
    assert converted(tmp_path / "lab", tmp_path / "data", *ask, "--unit", "in") == 1
    (walk,) = read(tmp_path / "data", "train").values()
    assert walk.truth_FC is not None
    assert walk.truth_FC[0, 1] == pytest.approx(50 * 0.0254)


def test_what_is_nan_in_some_frames_is_filled_and_never_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "lab/anna"
    home.mkdir(parents=True)
    names = {joint: name for joint, name in UNITY.items() if "wrist" not in joint}
    file = write_person(home / "walk.bvh", names, frames=9)
    lines = file.read_text().splitlines()
    lines[-3] = lines[-3].replace("0 100 0 0 0 0", "0 100 0 nan 0 0", 1)
    file.write_text("\n".join(lines))
    assert converted(tmp_path / "lab", tmp_path / "data") == 0
    said = capsys.readouterr().out
    assert "not in the file, marked as missing: head, left_wrist, right_wrist" in said
    assert "unknown at times, marked as missing: pelvis in 1, right_hip in 1" in said
    (walk,) = read(tmp_path / "data", "train").values()
    assert walk.untrue_FJ is not None
    assert walk.truth_FC is not None
    assert walk.untrue_FJ[6].all()
    assert walk.untrue_FJ.sum() == 17 + 8 * 3
    assert np.isfinite(walk.truth_FC).all()
