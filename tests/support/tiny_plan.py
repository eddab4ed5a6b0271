"""A tiny plan's trials, as the tests of trials and of sweeps want them."""

from pathlib import Path
from typing import Any

from tests.support.tiny_lake import TRACK

from poise.experiments.grid import grid
from poise.experiments.plan import Plan
from poise.experiments.records import TrialFolder
from poise.lake.manifest import manifest_hash, read_manifest

SYNSPP = {
    "name": "synspp",
    "settings": {"width": 8, "feed_forward": 8, "heads": 1, "layers": 1, "skip": "low"},
}
BUDGET = {"epochs": 3, "batch": 16, "steps_per_epoch": 2}


def plan_of(*refiners: Any, **more: Any) -> Plan:
    """Return a plan of some refiners on the tiny lake's track."""
    fields = {"name": "tiny", "tracks": [str(TRACK)], "refiners": list(refiners), "budget": BUDGET}
    return Plan.model_validate({**fields, **more})


def begun(lake: str, folder: Path, refiner: Any = SYNSPP, **more: Any) -> TrialFolder:
    """Begin a plan's only trial in a folder."""
    manifest = manifest_hash(read_manifest(lake, TRACK))
    (spec,) = grid(plan_of(refiner, **more), {str(TRACK): manifest})
    trial = TrialFolder(str(folder))
    trial.begin(spec)
    return trial
