"""Each kind of error by itself, swapped sides and gaps, on motion that is worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.serving import save_untrained

from poise.analysis import contenders, error_kinds
from poise.analysis.contenders import Contender, Sequences
from poise.analysis.error_kinds import KINDS, kind_rows
from poise.analysis.repairs import GAPS, gap_rows, swap_rows
from poise.analysis.simulated_clips import FRAMES, clips, detected, truth_of
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.cli.main import main
from poise.readers.sequence import PoseSequence
from poise.readers.synthetic.sequences import Size, sequences
from poise_models.base.clip import Clip, Refined
from poise_models.base.refiner import Refiner

TRACK = Track.parse("cmu/simulated/3D")


def people(split: str = "test") -> list[PoseSequence]:
    return list(sequences(split, Size(2, 2, 130)))


def some(split: str = "test") -> Sequences:
    return clips(Sequences(TRACK, people(split)), 4)


class Knowing(Refiner):
    """Knows the truth of every sequence, in the order in which they come."""

    name, title = "input", "Knowing"

    def __init__(self, test: Sequences) -> None:
        super().__init__(pose_spec(TRACK), None)
        self._truths = [truth_of(one, TRACK.info).flatten(1) for one in test.items]

    def refine(self, given: list[Clip]) -> list[Refined]:  # type: ignore[override]
        return [Refined(truth_FC) for truth_FC, _ in zip(self._truths, given, strict=True)]


def test_clips_are_of_all_sequences_and_without_error() -> None:
    test = some()
    assert len(test.items) == 4
    assert {len(one.detected_FC) for one in test.items} == {FRAMES}
    assert test.score(contenders.plain(TRACK, "input")).row.mpjpe == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_one(kind: str) -> None:
    seen = detected(some(), KINDS[kind], kind)
    error = [one.detected_FC - truth_of(one, TRACK.info).flatten(1).numpy() for one in seen.items]
    assert all(np.isfinite(one.detected_FC).all() for one in seen.items)
    assert max(np.abs(one).max() for one in error) > 1e-3
    again = detected(some(), KINDS[kind], kind)
    assert np.array_equal(seen.items[0].detected_FC, again.items[0].detected_FC)


def test_a_filter_is_tuned_for_the_kind() -> None:
    rows = list(kind_rows("white noise", some(), some("train"), []))
    assert [row.label for row in rows] == ["Input", "best filter"]
    assert "tuned" in rows[1].setting
    assert rows[1].mpjpe < rows[0].mpjpe / 1.5
    assert rows[1].accel < rows[0].accel / 10


def test_the_input_repairs_no_swapped_limb_and_the_truth_all() -> None:
    test = some()
    raw, perfect = contenders.plain(TRACK, "input"), Contender("truth", Knowing(test))
    alone_raw, alone_true, _, among_true = swap_rows(test, [raw, perfect])
    assert alone_raw.swapped == among_true.swapped > 0
    assert (alone_raw.repaired, alone_raw.spoilt) == (0, 0)
    assert alone_true.repaired == among_true.repaired == 100


def test_gaps_are_filled_by_lines_and_splines() -> None:
    # A limb that goes straight on is where a line has it, one on a parabola where a spline has it.
    frame_F1 = torch.arange(FRAMES, dtype=torch.float32)[:, None] / FRAMES
    first = some().items[0]
    still_1C = truth_of(first, TRACK.info)[:1].flatten(1)

    def moving(power: int) -> Sequences:
        poses = (still_1C + frame_F1**power).numpy()
        return Sequences(TRACK, [replace(first, detected_FC=poses, truth_FC=poses)])

    straight, bent = (
        {(row.label, row.frames): row.clean for row in gap_rows(moving(power), [])}
        for power in (1, 2)
    )
    for frames in GAPS:
        assert straight["straight lines", frames] == pytest.approx(0, abs=1e-2)
        assert bent["cubic splines", frames] == pytest.approx(0, abs=1e-2)
        # A parabola is below the line by k (n + 1 - k), the mean of which is this.
        sagged = 3**0.5 * 1000 * (frames + 1) * (frames + 2) / 6 / FRAMES**2
        assert bent["straight lines", frames] == pytest.approx(sagged, rel=0.01)


def test_the_command_says_what_became_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Path | None, track: Track, split: str) -> Sequences:
        return Sequences(track, people(split))

    monkeypatch.setattr(error_kinds, "CLIPS", 2)
    monkeypatch.setattr(error_kinds, "TUNING_CLIPS", 1)
    monkeypatch.setattr(Sequences, "read", read)
    folder = save_untrained(tmp_path / "model", "poise", TRACK)
    given = ["--model", folder, "--kind", "swaps", "--home", str(tmp_path)]
    assert main(["analyse", "simulated", *given, "--json", str(tmp_path / "rows.json")]) == 0
    said = capsys.readouterr().out
    assert "best filter" in said
    assert "among all others" in said
    assert "cubic splines" in said
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["label"] for row in rows if "kind" in row][2:] == [
        "Linear (cmu/simulated/3D)",
        "Poise (cmu/simulated/3D, seed 0)",
    ]
    assert main(["analyse", "simulated", "--kind", "nonsense", "--home", str(tmp_path)]) == 2
    assert "no kind of error nonsense" in capsys.readouterr().err
