"""Which trials a partial submission runs."""

from pathlib import Path

import pytest
from tests.support.reported_sweep import TRACK, begun, fail, finish, specs_of
from tests.support.tiny_lake import write_tiny_lake

from poise.catalog.tracks import Track
from poise.experiments.grid import grid
from poise.experiments.plan import Plan
from poise.experiments.records import SweepFolder
from poise.experiments.submission.checks import checked_grid
from poise.experiments.submission.selection import Selection, state
from poise.lake.manifest import read_manifest
from poise.runtime.errors import PlanError

PLAN = Plan.model_validate(
    {
        "name": "p",
        "tracks": [TRACK, "h36m/rle/3D", "uiprmd/kinect/3D"],
        "refiners": ["input", {"name": "synspp", "label": "7 all"}, "smoothnet"],
        "seeds": [0, 1, 2],
    }
)
SPECS = grid(PLAN, dict.fromkeys(PLAN.tracks, "cafe"))


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection(), 21),
        (Selection(tracks=("h36m/*",)), 14),
        (Selection(tracks=("h36m/rle/3D", "uiprmd/*")), 14),
        (Selection(refiners=("synspp", "smoothnet")), 18),
        (Selection(refiners=("s*",)), 18),
        (Selection(refiners=("synspp (7*",)), 9),
        (Selection(seeds=2), 15),
        (Selection(("h36m/fcn/3D",), ("input", "smoothnet"), seeds=1), 2),
    ],
)
def test_a_part_of_the_grid_has_the_keys_of_the_whole(selection: Selection, count: int) -> None:
    assert list(selection.problems(SPECS)) == []
    assert len([spec for spec in SPECS if selection.takes(spec)]) == count


def test_seeds_that_the_plan_has_not_come_to_those_it_has() -> None:
    more = PLAN.changed(seeds=4)
    assert more.seeds == (0, 1, 2, 3)
    keys = {spec.key for spec in grid(more, dict.fromkeys(more.tracks, "cafe"))}
    assert keys > {spec.key for spec in SPECS}


def test_failed_ones_and_those_without_an_end_are_told_apart(tmp_path: Path) -> None:
    sweep = begun(tmp_path, ["input", "offset", "smoothnet"])
    done, failed, *_ = specs_of(sweep)
    finish(sweep, done, [50.0] * 6, 1.0)
    fail(sweep, failed, "diverged")
    fresh = SweepFolder(str(tmp_path / "nothing"))
    assert [state(sweep, spec) for spec in specs_of(sweep)] == [
        *("finished", "failed", "begun", "begun")
    ]
    assert state(fresh, done) == "missing"
    for only, states in {
        None: ["failed", "begun", "missing"],
        "failed": ["failed"],
        "missing": ["begun", "missing"],
    }.items():
        wanted = [
            one
            for one in ("finished", "stopped", "failed", "begun", "missing")
            if Selection(only=only).wants(one)  # type: ignore[arg-type]
        ]
        assert wanted == states


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    write_tiny_lake(tmp_path)
    given = PLAN.model_dump() | {"tracks": ["uiprmd/kinect/3D"]}
    given["validation"]["subjects"] = ("nobody",)
    plan = Plan.model_validate(given)
    manifests = {track: read_manifest(tmp_path, Track.parse(track)) for track in plan.tracks}
    with pytest.raises(PlanError) as caught:
        checked_grid(plan, manifests, Selection(("h36m/*",), ("synsp", "smothnet")))
    said = str(caught.value)
    for problem in (
        "plan p cannot run:",
        "validation.subjects: uiprmd/kinect/3D has no training subject nobody; it has S1",
        "--tracks: the plan has no 'h36m/*'; it has uiprmd/kinect/3D",
        "--refiners: the plan has no 'synsp'; it has input, synspp, smoothnet",
        "--refiners: the plan has no 'smothnet'",
    ):
        assert problem in said
    assert said.count("\n") == 4
