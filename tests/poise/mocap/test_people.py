"""Who moves in a take: real paths of published sets, and what people's own folders look like."""

import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from tests.support.takes import write_amc, write_asf

from poise.mocap.convert import Capture, read_takes
from poise.mocap.people import Naming, Person, take_name, told_apart
from poise.mocap.recordings import find_recordings
from poise.mocap.skeleton_files import SkeletonFiles
from poise.runtime.errors import DataError

#: Path below a folder, and whose take it is.
PEOPLE = [
    ("CMU/CMU/01/01_01_poses.npz", "S01"),
    ("CMU/144/144_08_poses.npz", "S144"),
    ("CMU/20_21_rory1/20_11_poses.npz", "S20"),
    ("CMU/20_21_rory1/21_11_poses.npz", "S21"),
    ("CMU/18_19_Justin/18_08_poses.npz", "S18"),
    ("20_21_rory1/21_11_poses.npz", "S21"),
    ("allasfamc/subjects/07/07_01.amc", "S07"),
    ("07/07_01.amc", "S07"),
    ("S07/07_01.c3d", "S07"),
    ("cmu/93_charleston1.amc", "S93"),
    ("any/mb_12_01.bvh", "S12"),
    ("BMLrub/BioMotionLab_NTroje/rub001/0000_treadmill_norm_poses.npz", "rub001"),
    ("BioMotionLab_NTroje/rub110/0001_treadmill_fast_poses.npz", "rub110"),
    ("KIT/KIT/10/LeftTurn01_poses.npz", "10"),
    ("KIT/3/912_3_09_poses.npz", "3"),
    ("KIT/1226/Trial_26_poses.npz", "1226"),
    ("KIT/575/MarcusS_AdrianM11_poses.npz", "575"),
    ("EKUT/300/PushBK_25_poses.npz", "300"),
    ("HumanEva/S1/Box_1_poses.npz", "S1"),
    ("HumanEva/HumanEva/S2/Walking_3_poses.npz", "S2"),
    ("ACCAD/ACCAD/Female1General_c3d/A10 - lie to crouch_poses.npz", "Female1"),
    ("ACCAD/Female1Running_c3d/C19 -  run to hop to walk_poses.npz", "Female1"),
    ("Female1Walking_c3d/B5 - walk backwards_poses.npz", "Female1"),
    ("ACCAD/Male2MartialArtsKicks_c3d/G15-  roundhouse body right_poses.npz", "Male2"),
    ("ACCAD/MartialArtsWalksTurns_c3d/E17 - block middle high_poses.npz", "Male2"),
    ("ACCAD/s001/EricCamper04_poses.npz", "s001"),
    ("TotalCapture/TotalCapture/s1/acting1_poses.npz", "s1"),
    ("MPI_HDM05/bk/HDM_bk_01-01_01_120_poses.npz", "HDM_bk"),
    ("HDM05/HDM_dg_01-02_03_120_stageii.npz", "HDM_dg"),
    ("HDM05_cut_amc/squat3Reps/HDM_tr_squat3Reps_012_120.amc", "HDM_tr"),
    ("squat3Reps/HDM_tr_squat3Reps_012_120.AMC", "HDM_tr"),
    ("HDM05_amc/dg/01-01/HDM_dg_06-03_03_120.amc", "HDM_dg"),
    ("SFU/0018/0018_Walking001_poses.npz", "0018"),
    ("EyesJapanDataset/Eyes_Japan_Dataset/aita/accident-02-dodge fast-aita_poses.npz", "aita"),
    ("Transitions_mocap/mazen_c3d/airkick_jumpingtwist360_poses.npz", "mazen"),
    ("SSM_synced/20160330_03333/ATU_001_poses.npz", "03333"),
    ("SSM/SSM_synced/20161014_50033/hop_on_one_leg_sync_poses.npz", "50033"),
    ("DFaust_67/DFaust_67/50002/50002_chicken_wings_poses.npz", "50002"),
    ("MPI_mosh/00008/misc_poses.npz", "00008"),
    ("MPI_Limits/03099/lar1_poses.npz", "03099"),
    ("GRAB/s10/camera_takepicture_1_stageii.npz", "s10"),
    ("BMLmovi/Subject_52_F_MoSh/Subject_52_F_6_poses.npz", "Subject_52"),
    ("BMLhandball/S02_Novice/Trial_upper_right_057_poses.npz", "S02_Novice"),
    ("DanceDB/20120805_VasoAristeidou/Vaso_Aristeidou_Zeimpekiko_v1_poses.npz", "VasoAristeidou"),
    ("DanceDB/20120807_VasoAristeidou/Vasso_Salsa_Shines_01_poses.npz", "VasoAristeidou"),
    ("20180501_CliodelaVara/CLIO_Roditikos_poses.npz", "CliodelaVara"),
    ("TCD_handMocap/ExperimentDatabase/typing_2_poses.npz", "ExperimentDatabase"),
    ("HUMAN4D/HUMAN4D/Subject3_Medhi/INF_JumpingJack_S3_01_poses.npz", "Subject3_Medhi"),
    ("SOMA/soma_subject1/dance_001_stageii.npz", "soma_subject1"),
    ("CNRS/288/SW_B_2_stageii.npz", "288"),
    ("CNRS/283/-01_L_1_stageii.npz", "283"),
    ("WEIZMANN/Fast_SShapeLR(10)_stageii.npz", "WEIZMANN"),
    ("LARa/L01_S03_R10.raw_stageii.npz", "S03"),
    ("MOYO/train/220923_yogi_body_hands_03596_Boat_Pose_-a_stageii.npz", "03596"),
    ("lafan1/dance1_subject2.bvh", "subject2"),
    ("BVH/walk1_subject1.bvh", "subject1"),
    ("100STYLE/Aeroplane/Aeroplane_BR.bvh", "100STYLE"),
    ("KIT_3_walk_6m_straight_line04_stageii.npz", "3"),
    ("flat/HumanEva_S1_Walking_3_stageii.npz", "S1"),
    ("BMLrub_rub081_0031_rom_stageii.npz", "rub081"),
    ("CMU_05_05_07_poses.npz", "S05"),
    ("lab/P1/Trial_1_a.c3d", "P1"),
    ("lab/P2/Trial_1_a.c3d", "P2"),
    ("lab/Trial 1.c3d", "lab"),
    ("anna/07_01_poses.npz", "anna"),
    ("anna/0003_jog_poses.npz", "anna"),
    ("dora/Box_1_poses.npz", "dora"),
    ("walk.bvh", "takes"),
    ("a\\b/walk.bvh", "a_b"),
    ("a\x1b[2J/walk.bvh", "a%x1b[2J"),
    ("\udcff/walk.bvh", "%xff"),
]


def person(path: str, subject_from: str = "", *numbers: int) -> Person:
    root = Path("/somewhere/takes")
    return Naming(root, subject_from, frozenset(numbers)).person(root / path)


@pytest.mark.parametrize(("path", "name"), PEOPLE)
def test_everybody_is_known_by_the_right_name(path: str, name: str) -> None:
    assert person(path).name == name


@pytest.mark.parametrize(("numbers", "name"), [((), "takes"), ((7,), "S07"), ((8,), "takes")])
def test_a_cmu_skeleton_tells_a_cmu_take(numbers: tuple[int, ...], name: str) -> None:
    assert person("07_01.amc", "", *numbers).name == name


@pytest.mark.parametrize(
    ("subject_from", "path", "name"),
    [
        ("folder", "CMU/20_21_rory1/20_11_poses.npz", "20_21_rory1"),
        ("folder", "walk.bvh", "takes"),
        ("name", "07_01.bvh", "S07"),
        ("name", "x/dance1_subject2.bvh", "subject2"),
        ("name", "walk/P3_walk_01.c3d", "P3"),
        ("name", "anna_walk.c3d", "anna"),
        (r"^([^/]+)/", "anna/monday/walk.c3d", "anna"),
        (r"^([^/]+/[^/]+)/", "lab/P1/walk.c3d", "lab-P1"),
        (r"P\d", "walk_P4.c3d", "P4"),
        (r"(?P<subject>\d+)$", "walk_12.c3d", "12"),
    ],
)
def test_users_say_who_moves(subject_from: str, path: str, name: str) -> None:
    assert person(path, subject_from).name == name


def test_expression_that_finds_nobody_or_is_none() -> None:
    with pytest.raises(DataError, match=r"anna/walk: --subject-from P\\d finds nobody"):
        person("anna/walk.c3d", r"P\d")
    with pytest.raises(DataError, match="no regular expression"):
        person("anna/walk.c3d", "(")


def subjects(*paths: str) -> list[str]:
    return told_apart([person(path) for path in paths])


def test_equal_names_of_different_sets_are_different_people() -> None:
    found = subjects("KIT/300/a_poses.npz", "EKUT/300/a_poses.npz", "KIT/3/a_poses.npz")
    assert found == ["KIT-300", "EKUT-300", "3"]
    found = subjects("HumanEva/S1/a_poses.npz", "GRAB/s1/a_stageii.npz")
    assert found == ["HumanEva-S1", "GRAB-s1"]
    assert subjects("new/P1/a_poses.npz", "other/P1/a_poses.npz") == ["new-P1", "other-P1"]


def test_one_person_in_several_places_is_one() -> None:
    assert len(set(subjects("DFaust/50002/a_poses.npz", "MPI_mosh/50002/b_poses.npz"))) == 1
    assert len(set(subjects("walks/anna/a_poses.npz", "runs/anna/b_poses.npz"))) == 1
    assert len(set(subjects("train/P1/a_poses.npz", "test/P1/b_poses.npz"))) == 1
    assert len(set(subjects("Anna/a.bvh", "anna/b.bvh"))) == 1
    twice = [f"{unicodedata.normalize(form, 'Zoë')}/walk.bvh" for form in ("NFC", "NFD")]
    assert len(set(subjects(*twice))) == 1


def test_whole_names_are_the_takes() -> None:
    for path, take in [("dora/Box_1_poses.npz", "Box_1_poses"), ("any/mb_12_01.bvh", "12_01")]:
        assert take_name(Path(path), person(path)) == take


@pytest.mark.parametrize("joint", ["LHipJoint", "lButtock"])
def test_a_conversion_of_cmu_is_known_by_its_joints(tmp_path: Path, joint: str) -> None:
    (tmp_path / "12_01.bvh").write_text(f"HIERARCHY\nROOT hip\n{{ JOINT {joint} {{")
    assert find_recordings(tmp_path)[0].subject == "S12"


def test_links_are_followed_once_and_what_macos_adds_is_no_take(tmp_path: Path) -> None:
    there, folder = tmp_path / "there/anna", tmp_path / "takes"
    there.mkdir(parents=True)
    folder.mkdir()
    for name in ("walk.bvh", "._walk.bvh", "Run_POSES.NPZ"):
        (there / name).write_text("")
    (there / "again").symlink_to(there)
    (folder / "anna").symlink_to(there)
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/walk.bvh").write_text("")
    found = [(one.subject, one.take) for one in find_recordings(folder)]
    assert found == [("anna", "Run_POSES"), ("anna", "walk")]


SKELETONS = [
    # skeletons, take, subject, which
    (["HDM_xy.asf"], "HDM_xy_01-01_01_120.amc", "HDM_xy", "HDM_xy.asf"),
    (["subject07.asf"], "subject07_walk.amc", "takes", "subject07.asf"),
    (["skeleton.asf"], "walk.amc", "takes", "skeleton.asf"),
    (["bd.asf"], "walk/HDM_bd_walk_001_120.amc", "HDM_bd", "bd.asf"),
    (["HDM_bd.asf", "HDM_mm.asf"], "walk/HDM_mm_walk_1.amc", "HDM_mm", "HDM_mm.asf"),
    (["HDM_bd.asf"], "walk/HDM_mm_walk_1.amc", "HDM_mm", None),
    (["anna/s.asf", "ben/s.asf"], "ben/walk.amc", "ben", "ben/s.asf"),
    (["anna.asf"], "ben/walk.amc", "ben", None),
    (["a/07.asf", "07.asf"], "a/07_01.amc", "S07", "a/07.asf"),
    (["skeletons/07.asf"], "amc/07_01.amc", "S07", "skeletons/07.asf"),
    (["07.asf"], "08_01.amc", "takes", None),
    (["anna.asf", "anna_tall.asf"], "anna_tall_walk.amc", "takes", "anna_tall.asf"),
]


@pytest.mark.parametrize(("skeletons", "take", "subject", "which"), SKELETONS)
def test_the_nearest_skeleton_that_fits_is_taken(
    tmp_path: Path, skeletons: list[str], take: str, subject: str, which: str | None
) -> None:
    for name in [*skeletons, take]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(str(PurePosixPath(name).parent))
    files = SkeletonFiles(tmp_path, SkeletonFiles.below(tmp_path).files, frozenset({"anna", "ben"}))
    assert files.of(tmp_path / take, subject) == (tmp_path / which if which else None)


def test_two_skeletons_that_fit_equally_well_are_named(tmp_path: Path) -> None:
    for name in ("a.asf", "b.asf"):
        (tmp_path / name).write_text(name)
    with pytest.raises(DataError, match=r"a\.asf and .*b\.asf could both be its skeleton"):
        SkeletonFiles.below(tmp_path).of(tmp_path / "07_01.amc", "takes")


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (("walk", "running", "Jump_01"), True),
        (("walking", "anna"), True),
        (("anna", "ben", "Walker"), False),
        (("S01", "walk", "P2"), False),
    ],
)
def test_folders_that_look_like_actions_are_spoken_of(
    tmp_path: Path, folders: tuple[str, ...], told: bool
) -> None:
    for seed, folder in enumerate(folders):
        (tmp_path / folder).mkdir()
        write_asf(tmp_path / folder / "body.asf")
        write_amc(tmp_path / folder / "take.amc", seed=seed)
    notes = read_takes(Capture(tmp_path, 120.0), lambda *_: None).notes
    assert any("are called as actions count as people" in note for note in notes) == told
