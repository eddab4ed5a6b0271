from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.experiments.trial_data import check_people, held_out
from poise.runtime.errors import LakeError, PlanError
from poise.training_data.split import load_split


@pytest.mark.parametrize(
    ("wanted", "have", "expected"),
    [
        ((), ["s2", "s10", "s9"], ("s10",)),
        ((), ["10", "9", "m"], ("m",)),
        (("s2", "s9"), ["s2", "s10", "s9"], ("s2", "s9")),
        (("s9", "s2"), ["s2", "s10", "s9"], ("s9", "s2")),
        ((), ["1²", "x"], ("x",)),
        (("Zoe\u0308",), ["Zo\u00eb", "s9"], ("Zo\u00eb",)),
    ],
)
def test_the_held_out_subject_is_the_last_in_natural_order(
    wanted: tuple[str, ...], have: list[str], expected: tuple[str, ...]
) -> None:
    assert held_out(wanted, TRACK, have) == expected


@pytest.mark.parametrize(
    ("wanted", "have", "match"),
    [
        (("s3",), ["s1", "s2"], "no training subject s3; it has s1, s2"),
        ((), ["s1", "s1"], "leaves none"),
        (("s1", "s2"), ["s1", "s2"], "leaves none"),
    ],
)
def test_impossible_validation_subjects_are_refused(
    wanted: tuple[str, ...], have: list[str], match: str
) -> None:
    with pytest.raises(PlanError, match=match):
        held_out(wanted, TRACK, have)


@pytest.mark.parametrize("column", ["detected_FC", "truth_FC"])
def test_a_lake_in_millimetres_is_not_trained_on(tmp_path: Path, column: str) -> None:
    write_tiny_lake(tmp_path)
    split = load_split(tmp_path, TRACK, "train")
    check_people(split)
    with pytest.raises(LakeError, match=r"likely millimetres: multiply by 0\.001"):
        check_people(replace(split, **{column: getattr(split, column) * 1000}))
