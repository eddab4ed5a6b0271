"""Test sequences refined again: their errors are those of the table, and what lacks is said."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import BUDGET, SYNSPP, plan_of

from poise.experiments.grid import grid
from poise.experiments.records import SweepFolder
from poise.experiments.shared_splits import SplitSource
from poise.experiments.trial import TrialSetup, run_trial
from poise.lake.manifest import manifest_hash, read_manifest
from poise.report.pages.document import Picture, Section, Skeletons, Table
from poise.report.paper import published
from poise.report.refined.ablations import ablations
from poise.report.refined.again import Refinery
from poise.report.refined.disagreement import disagreement
from poise.report.refined.sections import refined_sections
from poise.report.results import Row, rows_of
from poise.report.sweeps.trials import Sweep
from poise.runtime.settings import Settings


def tiny_sweep(home: Path, *refiners: object, **more: object) -> Sweep:
    """Run a sweep's trials one after the other, on a tiny lake in the home."""
    write_tiny_lake(home / "lake")
    lake = str(home / "lake")
    plan = plan_of(*refiners, **more)
    specs = grid(plan, {str(TRACK): manifest_hash(read_manifest(lake, TRACK))})
    folder = SweepFolder(str(home / "sweeps" / plan.name))
    folder.begin(plan, [spec.key for spec in specs], "0123abcd")
    for spec in specs:
        folder.trial(spec.key).begin(spec)
        run_trial(folder.trial(spec.key), TrialSetup(SplitSource(lake)), lambda _: None)
    return Sweep.read(folder)


def rows(sweep: Sweep) -> list[Row]:
    track = str(TRACK)
    return rows_of(track, sweep.methods(track), published(track, ""))[track]


@pytest.mark.parametrize("folds", [None, 2])
def test_sequences_have_the_errors_that_the_trial_had(tmp_path: Path, folds: int | None) -> None:
    sweep = tiny_sweep(
        tmp_path, "savgol", SYNSPP, validation={"folds": folds}, budget={**BUDGET, "epochs": 1}
    )
    assert all(trial.state == "finished" for trial in sweep.trials)
    refinery = Refinery(TRACK, Settings.load(home=tmp_path))
    for trial in sweep.trials:
        again = list(refinery.refined(trial))
        errors = [
            np.linalg.norm(one.refined_FJD - one.truth_FJD, axis=-1)[one.scored_FJ].mean()
            for one in again
        ]
        assert trial.entry is not None
        kept = {one.name: one.errors.mpjpe for one in trial.entry.sequences}
        assert [one.name for one in again] == list(kept)
        assert errors == pytest.approx(list(kept.values()), abs=0.01)


def test_sections_show_joints_and_the_worst_and_median_sequence(tmp_path: Path) -> None:
    sweep = tiny_sweep(tmp_path, "input", "savgol", "linear")
    said: list[str] = []
    settings = Settings.load(home=tmp_path)
    found = {
        section.title: section
        for section in refined_sections(TRACK, rows(sweep), settings, said.append)
    }
    joints = found["Errors by joint"].blocks[1]
    assert isinstance(joints, Table)
    assert list(joints.header) == ["Joint", "Input", "Savitzky-Golay", "Linear"]
    assert len(joints.rows) == TRACK.info.joints - 1  # the root is where it is
    worst, median = [b for b in found["Sequences"].blocks if isinstance(b, Skeletons)]
    assert worst.caption.startswith("the worst sequence of Linear: ")
    assert set(worst.data["poses"]) == {"input", "refined", "truth"}
    assert len(worst.data["poses"]["truth"]) == len(worst.data["frames"]) == 40
    assert worst.data["bones"]
    assert median.caption != worst.caption
    assert "Not refined again" not in found
    assert len(said) == 3


SYNSP = {**SYNSPP, "name": "synsp"}
WEIGHTS = [{"label": f"smoothness {one}", "settings": {"smoothness": one}} for one in (2, 1, 0.2)]


def test_networks_trained_apart_and_branches_tell_the_inputs_error(tmp_path: Path) -> None:
    budget = {**BUDGET, "epochs": 1}
    sweep = tiny_sweep(tmp_path, "input", SYNSP, SYNSPP, overrides=WEIGHTS, budget=budget)
    settings, said = Settings.load(home=tmp_path), list[str]()
    (section,) = disagreement(str(TRACK), rows(sweep), settings, said.append)
    table, pair, branches = section.blocks[1:]
    assert isinstance(table, Table)
    assert table.rows[0][0].text == "SynSP (smoothness 2) and SynSP (smoothness 0.2)"
    assert table.rows[1][0].text.startswith("the branches of SynSP++ (smoothness ")
    for row in table.rows:
        assert all(-1 <= float(cell.text) <= 1 for cell in row[1:4])
    for picture in (pair, branches):
        assert isinstance(picture, Picture)
        assert picture.svg.count("<polyline") == 2
    assert len(said) == 2
    # Of networks that lack either, there is nothing to show.
    plain = [row for row in rows(sweep) if row.refiner == "input"]
    assert not list(disagreement(str(TRACK), plain, settings, said.append))


def test_tables_8_and_9_are_measured_of_the_trained_network(tmp_path: Path) -> None:
    sweep = tiny_sweep(tmp_path, "input", SYNSP, SYNSPP, budget={**BUDGET, "epochs": 1})
    settings = Settings.load(home=tmp_path)

    def table(plan: str) -> Table:
        (section,) = ablations(plan, rows(sweep), settings, lambda _: None)
        return next(one for one in section.blocks[::-1] if isinstance(one, Table))

    kinds = [row[0].text for row in table("table8-tiny").rows]
    floors = [f"distance >= {floor}" for floor in (0, 1, 2)]
    assert kinds == [*floors, "irrelevant poses", "no neighbours"]
    times = {row[0].text: [cell.text for cell in row[2:]] for row in table("table9").rows}
    assert times["SynSP"][1:3] == ["666.7", "–"]
    assert float(times["SynSP++"][2]) > 0
    for refining, wait, pvd, together in times.values():
        parts = float(refining) + float(wait) + (0 if pvd == "–" else float(pvd))
        assert float(together) == pytest.approx(parts, abs=0.2)
    assert not list(ablations("demo", rows(sweep), settings, lambda _: None))


@pytest.mark.parametrize("lost", ["weights", "lake", "data"])
def test_what_cannot_be_refined_again_is_said(tmp_path: Path, lost: str) -> None:
    sweep = tiny_sweep(tmp_path, "input")
    if lost == "weights":
        for file in (tmp_path / "sweeps").rglob("checkpoint/*"):
            file.unlink()
    elif lost == "lake":
        (tmp_path / "lake").rename(tmp_path / "gone")
    else:
        write_tiny_lake(tmp_path / "lake", frames=50)
    settings = Settings.load(home=tmp_path)
    sections = list(refined_sections(TRACK, rows(sweep), settings, lambda _: None))
    assert [section.title for section in sections] == ["Sequences", "Not refined again"]
    reason = {"weights": "holds no checkpoint.json", "lake": "not", "data": "is not what the"}
    assert reason[lost] in repr(_last(sections))


def _last(sections: list[Section]) -> object:
    return sections[-1].blocks[-1]
