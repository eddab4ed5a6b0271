"""What refining keeps, fills, puts right and leaves alone."""

import re
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.walking import COCO, motion_of, walking

import poise
from poise.checkpoints.shipped import GENERAL
from poise.motion.motion import Motion
from poise.refining import networks
from poise.refining.options import FILTERS, Options
from poise.refining.refine import Refining, refine
from poise.refining.reporting.page import page
from poise.refining.reporting.report import report_of
from poise.refining.reporting.text import report_line
from poise.runtime.errors import DataError, PoiseError

BUTTERWORTH = Options(refiner="butterworth")
WRIST = COCO.index("left_wrist")


def noisy(frames: int = 120, jitter: float = 1.0) -> NDArray[np.float64]:
    return walking(frames) + np.random.default_rng(0).normal(0, jitter, (frames, 17, 2))


def run(motion: Motion, **options: Any) -> Refining:
    return refine(motion, replace(BUTTERWORTH, **options))


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_smooths_and_keeps_the_movement(name: str) -> None:
    found = run(motion_of(noisy()), refiner=name).after.poses_FPJD[:, 0]
    raw = np.linalg.norm(noisy() - walking(), axis=-1)[5:-5].mean()
    left = np.linalg.norm(found - walking(), axis=-1)[5:-5]
    assert left.mean() < 0.9 * raw
    assert np.abs(found[5:-5, WRIST] - walking()[5:-5, WRIST]).max() < 6


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 9])
def test_motion_of_any_length_goes_through(name: str, frames: int) -> None:
    found = run(motion_of(noisy(frames)), refiner=name).after
    assert found.seen_FPJ.all()


@pytest.mark.parametrize("lag", [0, 4, 31])
def test_a_lag_holds_across_pieces(monkeypatch: pytest.MonkeyPatch, lag: int) -> None:
    motion, short = motion_of(noisy(200)), 64
    even_GJD = motion.poses_FPJD[:, 0].astype(np.float64)
    whole = networks.network_for(motion, GENERAL, lag).run(even_GJD)
    monkeypatch.setattr(networks, "_CHUNK", short)
    pieces = networks.network_for(motion, GENERAL, lag).run(even_GJD)
    for one, other in zip(whole, pieces, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one, other, atol=1e-2)
    smoother = networks.network_for(motion, GENERAL).run(even_GJD)[0]
    roughness = [np.abs(np.diff(poses, 2, axis=0)).mean() for poses in (smoother, whole[0])]
    assert roughness[1] > 1.2 * roughness[0] or lag == 31, "fewer frames, less smooth"


@pytest.mark.parametrize(("refiner", "lag"), [("median", 2), (GENERAL, 32), (GENERAL, -1)])
def test_a_lag_that_makes_no_sense_is_refused(refiner: str, lag: int) -> None:
    with pytest.raises(PoiseError, match="lag"):
        refine(motion_of(noisy(20)), Options(refiner=refiner, lag=lag))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_frames_people_joints_stay_and_nothing_is_extrapolated(data: st.DataObject) -> None:
    frames = data.draw(st.integers(1, 60))
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    people = [noisy(frames) + 300 * place for place in range(data.draw(st.integers(1, 3)))]
    share = data.draw(st.sampled_from([0.0, 0.1, 0.6, 1.0]))
    for poses_FJD in people:
        poses_FJD[rng.random(poses_FJD.shape[:2]) < share] = np.nan
    motion = motion_of(*people)
    fill = data.draw(st.sampled_from([0.0, 0.1, 0.5, np.inf]))
    found = run(motion, fill=fill, refiner=data.draw(st.sampled_from(FILTERS))).after
    assert found.joints == motion.joints
    assert found.people == motion.people
    assert found.poses_FPJD.shape == motion.poses_FPJD.shape
    np.testing.assert_array_equal(found.frames_F, motion.frames_F)
    before, after = motion.seen_FPJ, found.seen_FPJ
    first = np.maximum.accumulate(before, 0)
    last = np.maximum.accumulate(before[::-1], 0)[::-1]
    assert not (after & ~(first & last)).any()
    if fill == 0:
        assert not (after & ~before).any()
    if fill == np.inf:
        assert (after == (first & last)).all()


def test_gaps_are_filled_as_long_as_they_may_be() -> None:
    poses = noisy()
    poses[10:25, WRIST] = np.nan  # half a second
    poses[40:56, WRIST] = np.nan  # a frame longer
    poses[:3, WRIST] = np.nan
    poses[-3:, WRIST] = np.nan
    seen = run(motion_of(poses)).after.seen_FPJ[:, 0, WRIST]
    assert seen[10:25].all()
    assert not seen[40:56].any()
    assert not seen[:3].any()
    assert not seen[-3:].any()
    assert run(motion_of(poses), fill=0.0).after.seen_FPJ[:, 0, WRIST].sum() == 120 - 15 - 16 - 6
    assert run(motion_of(poses), fill=np.inf).after.seen_FPJ[3:-3, 0, WRIST].all()


def test_filled_places_lie_between_those_around_them() -> None:
    poses = walking()
    poses[30:34, WRIST] = np.nan
    found = run(motion_of(poses)).after.poses_FPJD[:, 0, WRIST]
    assert np.abs(found[30:34] - walking()[30:34, WRIST]).max() < 3


def test_little_confidence_is_none_and_what_is_filled_gets_some() -> None:
    confidence = np.full((120, 1, 17), 0.9)
    confidence[50:53, 0, WRIST] = 0.1
    poses = walking()
    poses[50:53, WRIST] += 5
    found = run(motion_of(poses, confidence_FPJ=confidence))
    assert found.people["0"].unsure_FJ.sum() == 3
    assert found.after.confidence_FPJ is not None
    np.testing.assert_allclose(found.after.confidence_FPJ[50:53, 0, WRIST], 0.9)
    kept = run(motion_of(poses, confidence_FPJ=confidence), min_confidence=0.05)
    assert not kept.people["0"].unsure_FJ.any()


@pytest.mark.parametrize("length", [1, 3])
def test_a_joint_that_jumps_off_the_body_and_back_was_not_seen(length: int) -> None:
    poses = noisy(jitter=0.5)
    poses[60 : 60 + length, WRIST] += (80, 60)
    found = run(motion_of(poses))
    jumped = found.people["0"].jumped_FJ
    assert np.argwhere(jumped).tolist() == [[60 + at, WRIST] for at in range(length)]
    off = np.abs(found.after.poses_FPJD[55:68, 0, WRIST] - walking()[55:68, WRIST])
    assert off.max() < 4


def test_fast_movement_is_no_jump() -> None:
    poses = walking()
    punch = 90 * np.clip(1 - np.abs(np.arange(120) - 60) / 4, 0, None)
    poses[:, WRIST, 0] += punch
    assert not run(motion_of(poses)).people["0"].jumped_FJ.any()


def test_sides_that_are_mixed_up_for_a_while_are_put_right() -> None:
    poses = noisy(jitter=0.5)
    legs = [COCO.index(f"{side}_{joint}") for side in ("left", "right")
            for joint in ("hip", "knee", "ankle")]  # fmt: skip
    poses[40:46, legs] = poses[40:46, legs[3:] + legs[:3]]
    found = run(motion_of(poses))
    assert [(s.limb, s.first, s.end) for s in found.people["0"].swaps] == [("legs", 40, 46)]
    assert np.abs(found.after.poses_FPJD[:, 0] - walking())[10:-10].max() < 6


def test_walking_legs_that_cross_stay_as_they_are() -> None:
    poses = noisy(jitter=0.5)
    poses[..., 0] = 300 + 0.1 * (poses[..., 0] - 300)  # seen from the side
    poses[:, COCO.index("left_ankle"), 0] += 40 * np.sin(2 * np.pi * np.arange(120) / 30)
    poses[:, COCO.index("right_ankle"), 0] -= 40 * np.sin(2 * np.pi * np.arange(120) / 30)
    assert run(motion_of(poses)).people["0"].swaps == ()


def test_times_count_not_frames() -> None:
    whole = noisy()
    keep = np.delete(np.arange(120), [20, 21, 22, 50, 80, 81])
    times = keep / 30
    found = run(motion_of(whole[keep], frames_F=keep, times_F=times)).after.poses_FPJD[:, 0]
    assert np.abs(found - walking()[keep])[8:-8].max() < 5


def test_uneven_times_and_frames_that_come_twice() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(120) / 30 + rng.uniform(-0.01, 0.01, 120)
    times[70] = times[69]
    fine = walking(1201, 300)
    truth = fine[np.clip(np.rint(times * 300), 0, 1200).astype(int)]
    found = run(motion_of(truth + rng.normal(0, 0.5, truth.shape), times_F=times))
    assert found.after.seen_FPJ.all()
    assert np.abs(found.after.poses_FPJD[8:-8, 0] - truth[8:-8]).max() < 7


def test_far_from_the_origin_and_in_single_precision() -> None:
    motion = motion_of((noisy() + 1e5).astype(np.float32))
    found = run(motion).after.poses_FPJD
    assert found.dtype == np.float32
    assert np.abs(found[8:-8, 0] - 1e5 - walking()[8:-8]).max() < 5


def test_pieces_that_are_far_apart_do_not_know_each_other() -> None:
    poses = np.concatenate([noisy(60), noisy(60) + 500])
    numbers = np.concatenate([np.arange(60), np.arange(60) + 200])
    found = run(motion_of(poses, frames_F=numbers)).after.poses_FPJD[:, 0]
    alone = run(motion_of(noisy(60))).after.poses_FPJD[:, 0]
    np.testing.assert_allclose(found[:60], alone)
    np.testing.assert_allclose(found[60:] - 500, alone)


def test_one_person_of_several() -> None:
    motion = motion_of(noisy(), noisy() + 300)
    found = refine(motion, Options(refiner="butterworth", people=("1",))).after
    np.testing.assert_array_equal(found.poses_FPJD[:, 0], motion.poses_FPJD[:, 0])
    assert np.abs(found.poses_FPJD[:, 1] - motion.poses_FPJD[:, 1]).max() > 0
    with pytest.raises(DataError, match="nobody is called 'x'"):
        refine(motion, Options(refiner="butterworth", people=("x",)))


def test_the_cutoff_is_found_by_residual_analysis() -> None:
    found = run(motion_of(noisy(600)), cutoff="auto")
    (cutoff,) = found.people["0"].cutoffs
    assert 1.0 < cutoff < 6.0


def test_a_cutoff_beyond_the_rate_is_refused() -> None:
    with pytest.raises(PoiseError, match="needs more than 40 frames a second"):
        run(motion_of(noisy()), cutoff=20.0)


def test_bones_are_held_at_their_lengths() -> None:
    space = np.concatenate([noisy(jitter=2.0), noisy(jitter=2.0)[..., :1] / 50], -1) / 100
    space[30:33, WRIST] = np.nan
    motion = motion_of(space, unit="m", up="-y")
    found = run(motion, rigid=True, fill=0.0).after
    elbow = COCO.index("left_elbow")
    lengths = np.linalg.norm(found.poses_FPJD[:, 0, WRIST] - found.poses_FPJD[:, 0, elbow], axis=-1)
    assert np.nanstd(lengths) < 1e-9
    np.testing.assert_array_equal(found.seen_FPJ, motion.seen_FPJ)
    with pytest.raises(PoiseError, match="no bones to hold"):
        run(motion_of(noisy()), rigid=True)


def test_from_python() -> None:
    clean = poise.refine(motion_of(noisy()), refiner="butterworth", cutoff=4.0)
    assert isinstance(clean, Motion)
    assert clean.poses_FPJD.shape == (120, 1, 17, 2)


@pytest.mark.parametrize(
    ("cutoff", "named"), [(1.0, "--cutoff auto, or a higher one"), (6.0, None)]
)
def test_a_report_says_where_much_movement_is_gone(cutoff: float, named: str | None) -> None:
    options = replace(BUTTERWORTH, cutoff=cutoff)
    report = report_of(refine(motion_of(walking(120)), options), options)
    taken = [note for note in report.notes if note.startswith("much was taken")]
    assert len(taken) == (named is not None)
    if named:
        assert "left_wrist (" in taken[0]
        assert named in taken[0]
        assert "much was taken from" in report_line(report)
    assert re.search(r"acceleration [\d.]+ -> [\d.]+ px/frame\^2", report_line(report))


def test_bones_that_never_change_their_lengths_keep_them() -> None:
    flat = np.repeat(walking(1), 120, axis=0) / 100
    body = np.concatenate([flat, np.zeros_like(flat[..., :1])], -1)
    angle = 0.6 * np.minimum(np.arange(120), 60)
    turned = 0.3 * np.stack([np.cos(angle), np.sin(angle), np.zeros(120)], -1)
    elbow = COCO.index("left_elbow")
    body[:, WRIST] = body[:, elbow] + turned
    found = run(motion_of(body, unit="m", up="-y"), cutoff=1.0)
    after = found.after.poses_FPJD[:, 0]
    np.testing.assert_allclose(np.linalg.norm(after[:, WRIST] - after[:, elbow], axis=-1), 0.3)
    assert np.abs(after[:, WRIST] - body[:, WRIST]).max() > 0.05


def test_a_report_says_where_bones_vary_more_than_before() -> None:
    flat = np.repeat(walking(1), 120, axis=0) / 100
    body = np.concatenate([flat, np.zeros_like(flat[..., :1])], -1)
    # A forearm that turns and then rests: much smoothing shortens it while it turns.
    angle = 0.6 * np.minimum(np.arange(120), 60)
    turned = 0.3 * np.stack([np.cos(angle), np.sin(angle), np.zeros(120)], -1)
    body[:, WRIST] = body[:, COCO.index("left_elbow")] + turned
    body[::2, COCO.index("left_knee"), 1] += 1e-3  # a body of constant lengths keeps them
    noted = []
    for cutoff in (14.0, 1.0):
        options = replace(BUTTERWORTH, cutoff=cutoff)
        report = report_of(refine(motion_of(body, unit="m", up="-y"), options), options)
        noted.append([note for note in report.notes if "--rigid" in note])
    assert not noted[0]
    assert len(noted[1]) == 1


def test_no_error_is_expected_of_joints_that_no_body_has() -> None:
    """The network learnt how far off an estimator's bodies are, and nothing of markers."""
    markers = np.random.default_rng(0).normal(0, 0.2, (40, 1, 3)).cumsum(0)
    body = walking(40)[..., [0, 1, 1]] / 100
    poses = np.concatenate([body, body[:, :1] + markers / 100], 1)
    motion = Motion(
        poses_FPJD=poses[:, None], joints=(*COCO, "wand"), people=("0",),
        times_F=np.arange(40) / 30, frames_F=np.arange(40), unit="m", up="-y",
    )  # fmt: skip
    options = Options()
    (person,) = report_of(refine(motion, options), options).people
    told = {one.joint: one.error for one in person.joints}
    assert told["wand"] is None
    assert told["left_wrist"] is not None


def test_a_report_says_what_looks_odd() -> None:
    """Millimetres said to be metres go through, and not in silence."""
    body = walking(40)[..., [0, 1, 1]] * 10
    report = report_of(refine(motion_of(body, unit="m", up="-y"), BUTTERWORTH), BUTTERWORTH)
    assert any("it looks like mm: --unit" in note for note in report.notes)


@pytest.mark.parametrize("name", ["oneeuro", "butterworth"])
def test_shares_of_an_image_are_refined_as_lengths(name: str) -> None:
    size = np.array([1920.0, 1080.0])
    pixels = run(motion_of(noisy()), refiner=name)
    shares = motion_of(noisy() / size, unit="normalised", image=(1920.0, 1080.0))
    found = run(shares, refiner=name)
    np.testing.assert_allclose(found.after.poses_FPJD * size, pixels.after.poses_FPJD, rtol=1e-9)
    told, expected = report_of(found, BUTTERWORTH), report_of(pixels, BUTTERWORTH)
    assert told.unit == "px"
    assert told.people[0].moved == pytest.approx(expected.people[0].moved)
    shape = run(replace(shares, image=(16 / 9, 1.0)), refiner=name)
    told = report_of(shape, BUTTERWORTH)
    assert told.unit == "image heights"
    assert told.people[0].moved == pytest.approx((expected.people[0].moved or 0) / 1080, rel=1e-4)


def test_what_stays_in_an_image_keeps_its_digits() -> None:
    poses = noisy(60) / (1920.0, 1080.0)
    poses[5:] = np.nan
    poses[3] = np.nan
    motion = motion_of(poses[:4], unit="normalised", image=(16 / 9, 1.0))
    np.testing.assert_array_equal(run(motion, fill=0.0).after.poses_FPJD, motion.poses_FPJD)


def test_a_page_opens_with_whom_was_refined() -> None:
    moment = noisy() + 300
    moment[1:] = np.nan
    found = run(motion_of(moment, noisy(), noisy() - 300), track=False)
    text = page(found, report_of(found, BUTTERWORTH))
    places = [text.index(f'"person":"{name}"') for name in "120"]
    assert places == sorted(places)


def test_bones_of_constant_length_vary_by_nothing() -> None:
    still = np.repeat(np.concatenate([walking(1), walking(1)[..., :1]], -1), 40, axis=0)
    motion = motion_of(still + np.arange(40)[:, None, None] / 7, unit="mm")
    assert report_of(run(motion), BUTTERWORTH).people[0].bone_spread == (0.0, 0.0)


@pytest.mark.parametrize("refiner", ["butterworth", "oneeuro"])
def test_memory_of_a_long_recording_is_a_few_copies_of_its_numbers(refiner: str) -> None:
    frames = 16_000
    poses_FJD = np.concatenate([noisy(frames), np.zeros((frames, 17, 1))], -1)
    poses_FJD[100:104, WRIST] = np.nan
    motion = motion_of(poses_FJD)
    tracemalloc.start()
    try:
        found = run(motion, refiner=refiner)
        report_of(found, BUTTERWORTH)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * poses_FJD.nbytes
