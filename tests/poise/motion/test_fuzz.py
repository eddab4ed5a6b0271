"""Damaged files of every format: only documented errors come out, in time and in bounds."""

import pytest
from benchmarks.fuzz import fuzz
from benchmarks.fuzz_seeds import seeds

from poise.motion.files import formats

TIMES = 200


@pytest.mark.parametrize("name", [one.name for one in formats()])
def test_damaged_files_end_in_a_motion_or_a_documented_error(name: str) -> None:
    found = fuzz(name, TIMES)
    assert [f"{name} {one.number}: {one.fault}" for one in found.faults] == []
    assert found.times == TIMES
    assert found.motions  # else nothing but headers was tried


def test_every_format_has_whole_files_to_damage() -> None:
    assert set(seeds()) == {one.name for one in formats()}


@pytest.mark.parametrize(
    ("name", "number"),
    [("mediapipe", 6145), ("mvnx", 1723), ("ultralytics", 1239), ("ultralytics", 4966)],
)
def test_faults_that_were_found_stay_mended(name: str, number: int) -> None:
    assert fuzz(name, 1, first=number).faults == []


def test_a_file_whose_damage_nobody_read_ends_no_process_that_changes_it() -> None:
    assert fuzz("sleap", 1, first=6036).faults == []
