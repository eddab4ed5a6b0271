from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.catalog.splits import SPLITS
from poise.experiments.grid import Fold, TrialSpec, grid
from poise.experiments.shared_splits import SplitSource
from poise.experiments.trial_data import TrialData, check_people, fold_people, held_out
from poise.lake.ids import WINDOW, decode
from poise.runtime.errors import LakeError, PlanError
from poise.training_data.everybody import joined
from poise.training_data.split import TrackSplit, load_split
from poise_models.base.windows import unfold
from poise_retrieval.geometry.embedding import embed


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


@pytest.mark.parametrize(
    ("number", "of", "expected"),
    [
        (1, 2, ("s1", "s9")),
        (2, 2, ("s2", "s10")),
        (3, 3, ("s9",)),
        (2, 4, ("s2",)),
    ],
)
def test_folds_deal_people_in_natural_order(
    number: int, of: int, expected: tuple[str, ...]
) -> None:
    assert fold_people(Fold(number, of), TRACK, ["s10", "s1", "s9", "s1", "s2"]) == expected


def test_who_is_spelt_twice_is_one_person_in_one_fold() -> None:
    people = ["Zoe\u0308", "Zo\u00eb", "a", "b"]
    assert set(fold_people(Fold(1, 3), TRACK, people)) == {"Zoe\u0308", "Zo\u00eb"}
    with pytest.raises(PlanError, match="3 people"):
        fold_people(Fold(1, 4), TRACK, people)


@pytest.mark.parametrize(
    ("of", "people", "match"),
    [
        (5, ["s1", "s2", "s3", "s4"], r"4 people \(s1, s2, s3, s4\), too few for 5 folds"),
        (2, ["s1", "s2", "s3"], r"fold 1 of 2 tests s1, s3: two more are needed"),
    ],
)
def test_folds_that_cannot_be_are_refused(of: int, people: list[str], match: str) -> None:
    with pytest.raises(PlanError, match=match):
        fold_people(Fold(1, of), TRACK, people)


def fold_of(number: int) -> TrialSpec:
    plan = plan_of(SYNSPP, validation={"folds": 4})
    return grid(plan, {str(TRACK): "cafe"})[number - 1]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_people_of_a_fold_are_in_no_part_of_its_training(tmp_path: Path, number: int) -> None:
    write_tiny_lake(tmp_path)
    data = TrialData.load(fold_of(number), SplitSource(str(tmp_path)))
    assert data.fold is not None
    indices = [load_split(tmp_path, TRACK, split).index for split in SPLITS]
    owners = {
        int(one): subject
        for index in indices
        for one, subject in zip(index.ids_S, index.subjects, strict=True)
    }
    everybody = set(owners.values())
    (person,) = data.tested
    assert person == sorted(everybody)[number - 1]
    assert isinstance(data.train, TrackSplit)
    parts = [data.train, data.validation, data.fold]
    people = [set(part.index.subjects) for part in parts]
    assert set.union(*people) == everybody
    assert sum(map(len, people)) == len(everybody)
    assert data.bank is not None
    assert {owners[one] for one in data.bank.ids_S.tolist()} == everybody - {person}
    for split in (data.fold, data.whole):
        assert isinstance(split, TrackSplit)
        assert split.neighbours is not None
        counts_S = split.index.windows_S
        for subject, first, count in zip(
            split.index.subjects, split.first_window_S, counts_S, strict=True
        ):
            ids_NK, _ = decode(split.neighbours.ids_BK[first : first + count])
            assert (ids_NK > 0).all()
            assert not {person, subject} & {owners[int(one)] for one in ids_NK.ravel()}


def test_the_neighbours_of_a_fold_are_the_nearest(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    data = TrialData.load(fold_of(2), SplitSource(str(tmp_path)))
    assert data.fold is not None
    assert data.fold.neighbours is not None
    assert isinstance(data.whole, TrackSplit)
    skeleton = TRACK.info.skeleton
    bank_ME = torch.cat([embed(unfold(one, WINDOW), skeleton, "3D") for one in data.whole.truths()])
    query_NE = embed(unfold(data.fold.detected()[1], WINDOW), skeleton, "3D")
    distance_NM = torch.cdist(query_NE.double(), bank_ME.double()).square()
    first = int(data.fold.first_window_S[1])
    found_N = data.fold.neighbours.distances_BK[first : first + len(query_NE), 0]
    torch.testing.assert_close(
        torch.from_numpy(found_N), distance_NM.min(1).values.float(), rtol=1e-3, atol=1e-5
    )


def test_a_sequence_that_both_splits_have_is_refused_in_folds(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    train = load_split(tmp_path, TRACK, "train")
    with pytest.raises(LakeError, match=f"both splits have a sequence {train.index.names[0]},"):
        joined(train, train)


@pytest.mark.parametrize("column", ["detected_FC", "truth_FC"])
def test_a_lake_in_millimetres_is_not_trained_on(tmp_path: Path, column: str) -> None:
    write_tiny_lake(tmp_path)
    split = load_split(tmp_path, TRACK, "train")
    check_people(split)
    with pytest.raises(LakeError, match=r"likely millimetres: multiply by 0\.001"):
        check_people(replace(split, **{column: getattr(split, column) * 1000}))
