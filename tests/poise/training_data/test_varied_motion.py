"""Windows of a track of simulated estimators: motion, and errors on it, drawn anew."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake
from torch import Tensor

from poise.catalog.tracks import Track
from poise.readers.simulated.body import Body
from poise.readers.simulated.camera import rotations
from poise.readers.simulated.draws import Draws
from poise.readers.simulated.strengths import Between
from poise.runtime.errors import LakeError
from poise.training_data import varied_motion
from poise.training_data.noise import DrawnAnew, filled
from poise.training_data.split import TrackSplit, load_split
from poise.training_data.training_windows import TrainingWindows
from poise.training_data.varied_motion import VariedMotion
from poise_retrieval.geometry.skeletons import SKELETONS

SIMULATED = Track("cmu", "simulated", "3D")
SKELETON = SKELETONS["h36m17"]
BODY = Body(SKELETON)
NAN = float("nan")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> TrackSplit:
    folder = tmp_path_factory.mktemp("lake")
    write_tiny_lake(folder, frames=80)
    split = load_split(folder, TRACK, "train")
    return replace(split, index=replace(split.index, track=SIMULATED))


def windows(train: TrackSplit, batch: int = 64, length: int = 32) -> Tensor:
    """Draw windows of the first sequence; their middle frame is 40."""
    motion = VariedMotion(train.truth, SIMULATED, length)
    frame_B, first_B, last_B = (torch.full((batch,), frame) for frame in (40, 0, 79))
    return motion.windows(frame_B, first_B, last_B, generator())


def lengths(poses_BTJD: Tensor) -> Tensor:
    """Lengths of bones; the root has none."""
    bones_BTJD = poses_BTJD - poses_BTJD[:, :, BODY.parents_J]
    length_BTJ: Tensor = bones_BTJD.norm(dim=-1)
    return length_BTJ[:, :, 1:]


def test_rotations_are_proper() -> None:
    turn = rotations(torch.randn(50, 3, generator=generator()))
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).expand(50, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(50), rtol=0, atol=1e-5)


def test_bones_change_by_one_factor_each(
    train: TrackSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the pace of the recording every frame is one of it, and a bone keeps its factor."""
    monkeypatch.setattr(varied_motion, "_DEFINITION_M", 0.0)
    monkeypatch.setattr(varied_motion, "_RATES", Between(60.0, 60.0))
    monkeypatch.setattr(varied_motion, "_DROPPED", (0.0, 0.0))
    monkeypatch.setattr(varied_motion, "rotations", lambda v: torch.eye(3).expand(len(v), 3, 3))
    drawn, true = lengths(windows(train)), lengths(train.truths()[0].unflatten(-1, (17, 3))[None])
    # The synthetic body's bones keep their length within a frame's interpolation.
    factor = drawn / true[:, :32].mean(1, keepdim=True)
    spread = factor.std(1)
    assert float(spread.median()) < 0.01
    assert 0.05 < float(factor.mean(1).log().std()) < 0.3
    sides = BODY.other_J[1:] - 1
    assert float((factor.mean(1) / factor[:, :, sides].mean(1)).log().abs().median()) < 0.02


def handed(poses_BJD: Tensor, joints: tuple[str, ...]) -> Tensor:
    """Volume that three joints span with the pelvis: its sign changes in a mirror alone."""
    places = [SKELETON.joints.index(joint) for joint in joints]
    volume_B: Tensor = torch.linalg.det(poses_BJD[:, places] - poses_BJD[:, :1])
    return volume_B


def test_half_of_the_windows_swap_sides(train: TrackSplit, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SIZE", "_BONE", "_DEFINITION_M"):
        monkeypatch.setattr(varied_motion, name, 0.0)
    pose_JD = train.truths()[0][20].unflatten(-1, (17, 3))
    still = replace(train, truth_FC=pose_JD.flatten().expand(len(train.truth), -1).contiguous())
    drawn = handed(windows(still, 200)[:, 3], ("left_wrist", "head", "left_knee"))
    same = handed(pose_JD[None], ("left_wrist", "head", "left_knee"))
    mirrored = -handed(pose_JD[None], ("right_wrist", "head", "right_knee"))
    assert abs(float(same - mirrored)) > 1e-3
    is_same, is_mirrored = ((drawn - one).abs() < 1e-5 for one in (same, mirrored))
    assert bool((is_same ^ is_mirrored).all())
    assert 70 < int(is_mirrored.sum()) < 130


def test_windows_are_drawn_anew_and_repeat_with_a_seed(train: TrackSplit) -> None:
    source = TrainingWindows(train, 32, None, missing=True)
    order = torch.arange(64) % len(source)
    one, same = (source.batch(order, generator(5)) for _ in range(2))
    other = source.batch(order, generator(6))
    assert one.detected_BTC.shape == one.truth_BTC.shape == (64, 32, 51)
    torch.testing.assert_close(one.detected_BTC, same.detected_BTC, equal_nan=True)
    assert torch.equal(one.truth_BTC, same.truth_BTC)
    assert not torch.equal(one.truth_BTC, other.truth_BTC)
    assert bool(one.truth_BTC.isfinite().all())
    assert 0.1 < float(one.detected_BTC.isnan().float().mean()) < 0.35


def test_frames_that_a_camera_dropped_are_missed_by_nobody(
    train: TrackSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Motion that goes ahead evenly is seen going by whole steps, the same way in all."""
    for name in ("_SIZE", "_BONE", "_DEFINITION_M", "_TILT"):
        monkeypatch.setattr(varied_motion, name, 0.0)
    monkeypatch.setattr(varied_motion, "_DROPPED", (1.0, 0.2))
    even_FC = 0.01 * torch.arange(float(len(train.truth)))[:, None].expand(-1, 51).contiguous()
    drawn = windows(replace(train, truth_FC=even_FC), 200)
    step_BT = torch.diff(drawn, dim=1).norm(dim=-1)[:, :, 0]
    steps = step_BT / step_BT.min(1, keepdim=True).values
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=0.1)
    assert 0.1 < float((steps > 1.5).float().mean()) < 0.3
    assert float(steps.max()) < 4.1


def test_networks_that_take_no_gaps_get_them_filled(train: TrackSplit) -> None:
    order = torch.arange(64)
    gaps = TrainingWindows(train, 32, None, missing=True).batch(order, generator())
    whole = TrainingWindows(train, 32, None).batch(order, generator())
    assert bool(whole.detected_BTC.isfinite().all())
    seen = ~gaps.detected_BTC.isnan()
    assert torch.equal(whole.detected_BTC[seen], gaps.detected_BTC[seen])


@pytest.mark.parametrize("missing", [True, False])
def test_windows_are_seen_in_images(train: TrackSplit, missing: bool) -> None:
    source = TrainingWindows(train, 32, None, missing=missing, images=True)
    batch = source.batch(torch.arange(64), generator())
    assert batch.detected_BTC.shape == batch.truth_BTC.shape == (64, 32, 34)
    assert bool(batch.truth_BTC.isfinite().all())
    assert bool(batch.detected_BTC.isnan().any()) == missing
    # People stand: in an image a head is above, where y is less.
    height = batch.truth_BTC.unflatten(-1, (17, 2))[..., 1]
    above = height[:, :, SKELETON.joints.index("head")] < height[:, :, 0]
    assert float(above.float().mean()) > 0.9
    assert float((batch.truth_BTC.abs() < 1).float().mean()) > 0.8


def test_simulated_images_are_drawn_anew_from_what_they_show(tmp_path: Path) -> None:
    images = Track("cmu", "simulated", "2D")
    write_tiny_lake(tmp_path, track=images)
    with pytest.raises(LakeError, match="cmu/simulated/3D"):
        load_split(tmp_path, images, "train")
    write_tiny_lake(tmp_path, frames=41, track=SIMULATED)
    with pytest.raises(LakeError, match="other sequences of cmu/simulated/3D"):
        load_split(tmp_path, images, "train")
    write_tiny_lake(tmp_path, track=SIMULATED)
    split, space = (load_split(tmp_path, one, "train") for one in (images, SIMULATED))
    assert split.space_FC is not None
    assert torch.equal(split.space_FC, space.truth)
    kept = pickle.loads(pickle.dumps(split.take([1, 0])))  # noqa: S301
    source = TrainingWindows(kept, 8, None, missing=True)
    one, other = (source.batch(torch.arange(20), generator(seed)).truth_BTC for seed in (0, 1))
    assert one.shape == (20, 8, 34)
    assert not torch.equal(one, other)
    # With neighbours all stays as it was recorded.
    with_neighbours = TrainingWindows(split, 8, split.bank())
    batch = with_neighbours.batch(torch.arange(20), generator())
    frame_BT = with_neighbours.start_N[:20, None] + with_neighbours.step_T
    assert torch.equal(batch.detected_BTC, split.detected_FC[frame_BT])


def test_with_neighbours_the_motion_stays_as_recorded(train: TrackSplit) -> None:
    order = torch.arange(20)
    source = TrainingWindows(train, 8, train.bank())
    batch = source.batch(order, generator())
    assert torch.equal(
        batch.truth_BTC, source.truth_FC[source.start_N[order, None] + source.step_T]
    )
    assert not torch.equal(batch.detected_BTC, batch.truth_BTC)


def test_gaps_are_filled_along_time() -> None:
    rows = [[NAN, 9.0, NAN], [1.0, 9.0, NAN], [NAN, NAN, NAN], [3.0, NAN, NAN], [NAN, 3.0, NAN]]
    wanted = [[1.0, 9.0, 5.0], [1.0, 9.0, 5.0], [2.0, 7.0, 4.5], [3.0, 5.0, 4.0], [3.0, 3.0, 3.0]]
    found = filled(torch.tensor(rows)[None, :, :, None])
    torch.testing.assert_close(found[0, :, :, 0], torch.tensor(wanted))
    assert torch.equal(filled(torch.full((1, 4, 2, 3), NAN)), torch.zeros(1, 4, 2, 3))


def test_nothing_waits_for_the_device_or_is_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's device "meta" has no numbers, so it can neither tell any nor mix with others."""
    meta = torch.device("meta")
    monkeypatch.setattr(Draws, "device", meta)
    monkeypatch.setattr(Draws, "uniform", lambda _, *shape: torch.rand(*shape, device=meta))
    monkeypatch.setattr(Draws, "normal", lambda _, *shape: torch.randn(*shape, device=meta))
    motion = VariedMotion(torch.empty(100, 51, device=meta), SIMULATED, 32)
    frame_B = torch.empty(16, dtype=torch.long, device=meta)
    seed = generator()
    truth_BTC = motion.windows(frame_B, frame_B, frame_B, seed).flatten(2)
    for missing in (True, False):
        drawn = DrawnAnew(SIMULATED, "meta", missing)(truth_BTC, truth_BTC, seed)
        assert (drawn.shape, drawn.device) == (truth_BTC.shape, meta)
        images = DrawnAnew(SIMULATED, "meta", missing).images(truth_BTC.unflatten(2, (17, 3)), seed)
        assert {(one.shape, one.device) for one in images} == {((16, 32, 34), meta)}
