"""SMPL metrics: joints through a body model, rotations without one, and files that run nothing."""

import logging
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.spatial.transform import Rotation
from tests.support.body_model import PARENTS, body_arrays, head_rows, six, vectors, write_body
from tests.support.hand_lake import write_lake

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.evaluation import smpl
from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import DEGREES, pose_errors
from poise.evaluation.raw_data import RawRequest, evaluate_raw
from poise.evaluation.smpl import BodyModel, find_body_model, load_body_model
from poise.evaluation.tables import Entry, markdown
from poise.experiments.fit import EpochReport, FitRequest, fit
from poise.readers.sequence import PoseSequence
from poise.readers.untrusted.smpl_file import read_body_file
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings
from poise.training_data.split import load_split
from poise_models import catalogue
from poise_models.base.budget import Budget

AIST = Track.parse("aist/spin/smpl")
KEYS = ("v_template", "posedirs", "J_regressor", "kintree_table", "weights")


@pytest.fixture(autouse=True)
def _no_body_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POISE_SMPL", raising=False)


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    return load_body_model(write_body(tmp_path_factory.mktemp("smpl")).parent)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_pickle_gives_the_arrays_of_the_npz(tmp_path: Path, protocol: int) -> None:
    pickled = read_body_file(write_body(tmp_path, ".pkl", protocol), KEYS)
    plain = read_body_file(write_body(tmp_path, ".npz"), KEYS)
    for key in KEYS:
        np.testing.assert_array_equal(pickled[key], plain[key], err_msg=key)
        np.testing.assert_array_equal(plain[key], body_arrays()[key], err_msg=key)


def test_joints_are_those_of_smplx(body: BodyModel) -> None:
    reason = "compared with smplx, whose licence allows no commercial use, where it is installed"
    smplx = pytest.importorskip("smplx", reason=reason)
    poses = torch.from_numpy(vectors(7, scale=0.3).astype(np.float32))
    # The class looks up noses and toes by numbers of SMPL's own vertices; any will do here.
    model = smplx.SMPL(
        "",
        data_struct=smplx.utils.Struct(**body_arrays()),
        vertex_ids=dict.fromkeys(smplx.vertex_ids.vertex_ids["smplh"], 0),
    )
    with torch.no_grad():
        wanted = model(body_pose=poses[:, 1:].reshape(7, -1), global_orient=poses[:, 0])
    head = torch.from_numpy(head_rows()[3].astype(np.float32)) @ wanted.vertices
    found = body.joints(six(poses.numpy()))
    assert found.shape == (7, 14, 3)
    torch.testing.assert_close(found[:, :13], wanted.joints[:, list(smpl.J14)], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 13], head, atol=1e-5, rtol=0)
    assert len(body.template_V3) < len(body_arrays()["v_template"])


def test_joints_are_those_of_the_paper_taken_one_by_one(body: BodyModel) -> None:
    found, arrays = vectors(3, scale=0.3), body_arrays()
    rest = arrays["J_regressor"] @ arrays["v_template"]
    for vectors_J3, mine in zip(found, body.joints(six(found)).numpy(), strict=True):
        local = Rotation.from_rotvec(vectors_J3).as_matrix()
        world = [np.eye(4) for _ in PARENTS]
        for joint, parent in enumerate(PARENTS):
            step = np.eye(4)
            step[:3, :3] = local[joint]
            step[:3, 3] = rest[joint] - (rest[parent] if parent >= 0 else 0)
            world[joint] = step if parent < 0 else world[parent] @ step
        np.testing.assert_allclose(mine[:13], [world[j][:3, 3] for j in smpl.J14], atol=1e-5)
        bent = arrays["v_template"] + arrays["posedirs"] @ (local[1:] - np.eye(3)).ravel()
        head = np.zeros(3)
        for share, vertex, weights in zip(head_rows()[3], bent, arrays["weights"], strict=True):
            for weight, place, joint in zip(weights, world, rest, strict=True):
                head += share * weight * (place @ [*(vertex - joint), 1])[:3]
        np.testing.assert_allclose(mine[13], head, atol=1e-5)


def test_with_a_body_errors_are_millimetres(body: BodyModel) -> None:
    truth = six(vectors(10))
    assert pose_errors(truth, truth, AIST.info, body).mpjpe == 0
    turned = vectors(10)
    turned[:, 0] = (
        Rotation.from_rotvec([0, 0.5, 0]) * Rotation.from_rotvec(turned[:, 0])
    ).as_rotvec()
    found = pose_errors(six(turned), truth, AIST.info, body)
    assert 50 < found.mpjpe < 500
    assert found.pa_mpjpe == pytest.approx(0, abs=0.05)


def test_a_bent_elbow_moves_the_wrist_alone(body: BodyModel) -> None:
    straight, bent = np.zeros((4, 24, 3)), np.zeros((4, 24, 3))
    bent[:, 19, 2] = np.pi / 2
    flat = [body.joints(six(poses)) for poses in (straight, bent)]
    moved = (flat[0] - flat[1]).norm(dim=-1)[0]
    # 7: right elbow, 6: right wrist, 0.25 m apart at rest.
    assert moved[6] == pytest.approx(0.25 * 2**0.5, abs=0.02)
    assert float(moved[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]].max()) < 1e-6


def test_joints_that_hang_on_a_rotation_without_truth_are_not_scored(body: BodyModel) -> None:
    straight, bent = np.zeros((4, 24, 3)), np.zeros((4, 24, 3))
    bent[:, 17, 2] = np.pi / 2
    untrue = torch.zeros(4, 24, dtype=torch.bool)
    untrue[:, 17] = True
    # 7: right elbow, 6: right wrist; the shoulder's rotation moves both, and not the shoulder.
    assert body.hang_on(untrue)[0].nonzero().flatten().tolist() == [6, 7]
    found = pose_errors(six(bent), six(straight), AIST.info, body, untrue)
    assert found.mpjpe < 0.5 < pose_errors(six(bent), six(straight), AIST.info, body).mpjpe
    untrue[:, 17], untrue[:, 15] = False, True
    assert body.hang_on(untrue)[0].nonzero().flatten().tolist() == [13]


def test_without_the_head_there_are_13_joints_and_a_note(tmp_path: Path) -> None:
    body = load_body_model(write_body(tmp_path, head=False))
    assert body.joints(six(vectors(3))).shape == (3, 13, 3)
    assert "J_regressor_extra.npy" in body.note
    assert "mean body shape" in body.note


def test_where_the_body_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_body_model() is None
    assert Settings.current().worker_env() == {}
    with pytest.raises(DataError, match=r"SMPL_NEUTRAL\.pkl.*smpl\.is\.tue\.mpg\.de"):
        find_body_model(tmp_path)
    write_body(tmp_path, ".pkl")
    monkeypatch.setenv("POISE_SMPL", str(tmp_path))
    found = find_body_model()
    assert found is not None
    assert found.path == tmp_path / "SMPL_NEUTRAL.pkl"
    assert Settings.current().worker_env() == {"POISE_SMPL": str(tmp_path)}


# Files that are something else


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("inside", [False, True])
def test_a_pickle_that_would_run_code_runs_none(
    tmp_path: Path, protocol: int, inside: bool
) -> None:
    trace, path = tmp_path / "ran", tmp_path / "SMPL_NEUTRAL.pkl"
    bomb = Bomb(trace)
    content = {**body_arrays(), "v_template": bomb} if inside else bomb
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(DataError, match=r"refused (posix|nt)\.system"):
        load_body_model(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cscipy.sparse\nload_npz\n(S'x'\ntR.",
        b"ccopy_reg\n_reconstructor\n(cnumpy\ndtype\nc__builtin__\nobject\nNtR.",
        b"c__builtin__\nobject\n(dS'a'\nI1\nsb.",
        b"cchumpy.ch\nCh\n(S'f8'\nt\x81(lb.",
        b"Pid\n.",
    ],
)
def test_names_that_are_no_data_are_refused(tmp_path: Path, program: bytes) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(program)
    with pytest.raises(DataError, match="SMPL_NEUTRAL"):
        load_body_model(path)


def test_an_npz_with_objects_is_refused(tmp_path: Path) -> None:
    trace, path = tmp_path / "ran", tmp_path / "SMPL_NEUTRAL.npz"
    bomb = np.empty(1, object)
    bomb[0] = Bomb(trace)
    np.savez(path, **{**body_arrays(), "v_template": bomb})
    with pytest.raises(DataError, match="v_template holds objects"):
        load_body_model(path)
    assert not trace.exists()


def test_bodies_that_are_not_smpl_are_refused(tmp_path: Path) -> None:
    arrays = body_arrays()
    wrong: dict[str, dict[str, Any]] = {
        r"no weights": {k: v for k, v in arrays.items() if k != "weights"},
        r"J_regressor is \(23, 96\)": {**arrays, "J_regressor": arrays["J_regressor"][:23]},
        r"parents come first": {**arrays, "kintree_table": arrays["kintree_table"][:, ::-1]},
    }
    for place, (reason, content) in enumerate(wrong.items()):
        path = tmp_path / f"{place}.npz"
        np.savez(path, **content)
        with pytest.raises(DataError, match=reason):
            load_body_model(path)
    cut = write_body(tmp_path, ".pkl")
    cut.write_bytes(cut.read_bytes()[:-2000])
    with pytest.raises(DataError, match="not a readable body model"):
        load_body_model(cut)
    with pytest.raises(DataError, match="budget: bytes"):
        read_body_file(_sparse(tmp_path, shape=(10**5, 10**10)), ["J_regressor"])
    with pytest.raises(DataError, match="indices"):
        read_body_file(_sparse(tmp_path, indices=[-5]), ["J_regressor"])
    with pytest.raises(DataError, match="indices"):
        read_body_file(_sparse(tmp_path, indices=[10**8]), ["J_regressor"])


def _sparse(folder: Path, shape: tuple[int, int] = (3, 1), indices: Sequence[int] = (0,)) -> Path:
    """Write a sparse matrix that is not what it says."""
    matrix: Any = sparse.csc_matrix(np.array([[1.0], [0.0], [0.0]]))
    matrix._shape = shape
    matrix.indices = np.array(indices, np.int32)
    path = folder / "matrix.pkl"
    path.write_bytes(pickle.dumps({"J_regressor": matrix}, 2))
    return path


# From raw files to a table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two AIST++ sequences as the field stores them: axis-angles."""
    data = tmp_path_factory.mktemp("data")
    for kind, name, noise in (("detected", "spin", 0.05), ("groundtruth", "gt", 0.0)):
        names, poses = np.empty(2, object), np.empty(2, object)
        for place in range(2):
            names[place] = [f"gBR_sBM_c0{place}_d04_mBR0_ch01/{f:06d}" for f in range(80)]
            random = np.random.default_rng(9)
            poses[place] = vectors(80, place).reshape(80, 72)
            poses[place] = poses[place] + random.normal(scale=noise, size=(80, 72))
        folder = data / "poses" / "aist_spin_smpl" / kind
        folder.mkdir(parents=True)
        np.savez(folder / f"aist_{name}_smpl_test.npz", imgname=names, pose=poses)
    return data


def test_a_smpl_track_is_scored_with_and_without_the_body(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_body(tmp_path / "smpl", ".pkl").parent
    with caplog.at_level(logging.WARNING):
        rows = {
            (name, with_body): evaluate_raw(
                RawRequest(
                    AIST,
                    Settings.load(
                        home=tmp_path / "home", data=data, smpl=folder if with_body else None
                    ),
                    refiner=name,
                )
            ).row
            for name in ("input", "gaussian1d")
            for with_body in (False, True)
        }
    said = [r.getMessage() for r in caplog.records if "SMPL_NEUTRAL.pkl" in r.getMessage()]
    assert len(said) == 1
    assert "https://smpl.is.tue.mpg.de" in said[0]
    for with_body, unit in ((False, DEGREES), (True, "mm")):
        raw, smooth = rows["input", with_body], rows["gaussian1d", with_body]
        assert raw.unit == smooth.unit == unit
        assert smooth.accel < raw.accel / 2
        assert np.isfinite([raw.mpjpe, raw.pa_mpjpe, raw.accel]).all()
    assert rows["input", False].note == smpl.WITHOUT_BODY
    assert "mean body shape" in rows["input", True].note


def row(unit: str, note: str) -> Entry:
    return Entry(Row(str(AIST), "input", 0, 3.0, 2.0, 1.0, 1.0, 60, 0, 0.1, unit, note))


def test_tables_name_rotations_for_what_they_are() -> None:
    angles, joints = row(DEGREES, smpl.WITHOUT_BODY), row("mm", smpl.MEAN_SHAPE)
    text = markdown([angles])
    assert "MPJAE °" in text
    assert "MPJPE °" not in text
    assert "Note: without SMPL's licensed body model" in text
    both = markdown([angles, joints])
    assert both.index("in °") < both.index("MPJAE °") < both.index("in mm") < both.index("MPJPE mm")
    assert both.count("Note:") == 2


def test_a_network_learns_from_a_smpl_track(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    made = []
    for number in range(4):
        truth = vectors(60, number)
        detected = truth + random.normal(scale=0.05, size=truth.shape)
        poses = six(detected).numpy(), six(truth).numpy()
        made.append(PoseSequence(f"take{number}", f"d0{number}", None, None, 60.0, *poses))
    write_lake(tmp_path, AIST, {"train": made})
    split = load_split(tmp_path, AIST, "train")
    torch.manual_seed(0)
    network = catalogue.build(
        "smoothnet", pose_spec(AIST), {"window": 16, "hidden": 32, "residual": 16}
    )
    train, held_out = split.without(["d03"]), split.only(["d03"])
    budget = Budget(epochs=2, batch=32, steps_per_epoch=5)
    steps = fit(network, FitRequest(train, held_out, None, budget))
    found = [step.validation for step in steps if isinstance(step, EpochReport)]
    assert len(found) == 2
    assert all(scores is not None and np.isfinite(scores.mpjpe) for scores in found)
