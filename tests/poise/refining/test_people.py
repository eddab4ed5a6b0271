"""Who is who: people who stand anywhere in a frame, are hidden, cross, and flicker."""

import numpy as np
from tests.support.walking import motion_of, walking

from poise.motion.motion import Motion
from poise.refining.people import told_apart

TIMES = np.arange(120) / 30


def at(x: float, speed: float = 0.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    poses = walking()
    poses[..., 0] += x + speed * TIMES[:, None]
    return poses


def shuffled(motion: Motion, seed: int = 0) -> Motion:
    """The same people in random places of each frame."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(motion.people)), (len(motion), 1)), axis=1)
    rows = np.arange(len(motion))[:, None]
    people = [motion.poses_FPJD[rows, order][:, place] for place in range(len(motion.people))]
    return motion_of(*people, identified=False)


def track(motion: Motion, who: bool | None = None) -> Motion:
    return told_apart(motion, TIMES, who).motion


def test_people_in_any_place_are_followed() -> None:
    motion = motion_of(at(0), at(200), at(-250))
    found = track(shuffled(motion))
    assert found.people == ("0", "1", "2")
    order = np.argsort(found.poses_FPJD[0, :, 0, 0])
    np.testing.assert_array_equal(found.poses_FPJD[:, order], motion.poses_FPJD[:, [2, 0, 1]])


def test_people_who_pass_each_other_stay_themselves() -> None:
    motion = motion_of(at(-150, 100), at(250, -100) + np.array([0, 15]))
    found = track(shuffled(motion))
    assert len(found.people) == 2
    first = np.argmin(found.poses_FPJD[0, :, 0, 0])
    np.testing.assert_array_equal(found.poses_FPJD[:, first], motion.poses_FPJD[:, 0])


def test_who_is_hidden_for_a_second_comes_back_with_the_same_id() -> None:
    hidden = at(200, 20)
    hidden[40:70] = np.nan
    found = track(shuffled(motion_of(at(0), hidden)))
    assert len(found.people) == 2


def test_who_is_away_for_longer_is_somebody_new() -> None:
    hidden = at(200)
    hidden[20:100] = np.nan
    assert len(track(shuffled(motion_of(at(0), hidden))).people) == 3


def test_ghosts_are_left_out_and_listed() -> None:
    ghost = np.full_like(walking(), np.nan)
    ghost[33] = walking()[33] + 900
    told = told_apart(shuffled(motion_of(at(0), ghost)), TIMES, None)
    assert len(told.motion.people) == 1
    assert [frame for frame, _ in told.ghosts] == [33]
    assert told.motion.seen_FPJ.all()
    kept = told_apart(motion_of(at(0), ghost), TIMES, False)
    assert len(kept.motion.people) == 2


def test_ids_of_the_file_are_kept_and_exchanges_undone() -> None:
    one, other = at(0), at(300)
    one[50:80], other[50:80] = other[50:80].copy(), one[50:80].copy()
    told = told_apart(motion_of(one, other), TIMES, None)
    assert told.motion.people == ("0", "1")
    np.testing.assert_array_equal(told.motion.poses_FPJD[:, 0], at(0))
    assert [frame for frame, _, _ in told.exchanged] == [50, 80]
    same = motion_of(one, other)
    assert told_apart(same, TIMES, False).motion is same


def test_single_images_are_no_recording() -> None:
    rng = np.random.default_rng(0)
    people = [walking() + rng.uniform(-2000, 2000, (120, 1, 2)) for _ in range(3)]
    told = told_apart(motion_of(*people, identified=False), TIMES * 300, None)
    assert "one recording" in told.note
    assert not told.ghosts


def test_nobody() -> None:
    empty = motion_of(np.full_like(walking(), np.nan), identified=False)
    assert told_apart(empty, TIMES, None).motion.people == ("0",)
