"""A sweep's folder written by hand, for the tests of what is made from it in MLflow."""

from pathlib import Path

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import PoseErrors
from poise.evaluation.scored import Scored
from poise.experiments.grid import TrialSpec, grid
from poise.experiments.plan import Plan
from poise.experiments.records import Epoch, SweepFolder, TrialResult
from poise_models import catalogue

TRACK = Track("synthetic", "simulated", "3D")
PLAN = Plan.model_validate(
    {
        "name": "mirrored",
        "tracks": [str(TRACK)],
        "refiners": ["input", "offset", {"name": "smoothnet", "settings": {"hidden": 8}}],
        "budget": {"epochs": 3},
    }
)
SPECS = grid(PLAN, {str(TRACK): "cafe"})
INPUT, OFFSET, NETWORK = SPECS


def begun_sweep(home: Path) -> SweepFolder:
    """Begin the sweep in a home: every trial has its folder, none has run."""
    folder = SweepFolder(str(home / "sweeps" / PLAN.name))
    folder.begin(PLAN, [spec.key for spec in SPECS], "0123abcd")
    for spec in SPECS:
        folder.trial(spec.key).begin(spec)
    return folder


def written_sweep(home: Path, seeds: int) -> tuple[SweepFolder, list[TrialSpec]]:
    """Begin the sweep with more seeds of its network, from a known command."""
    plan = PLAN.model_copy(update={"seeds": tuple(range(seeds))})
    specs = grid(plan, {str(TRACK): "cafe"})
    origin = {"commit": "0123abcd", "command": "poise sweep --plan mirrored"}
    folder = SweepFolder(str(home / "sweeps" / plan.name))
    folder.begin(plan, [spec.key for spec in specs], origin["commit"], origin)
    for spec in specs:
        folder.trial(spec.key).begin(spec)
        folder.trial(spec.key).keep_facts("origin", origin)
    return folder, specs


def train(sweep: SweepFolder, spec: TrialSpec, epochs: int) -> None:
    """Write down so many epochs of a trial, with metrics that fall."""
    history = [
        Epoch(n, 1_700_000_000_000 + n, 0.5, {"loss": 1 / n, "score": 2 / n})
        for n in range(1, epochs + 1)
    ]
    sweep.trial(spec.key).save_epoch(history, b"state")


def finish(
    sweep: SweepFolder, spec: TrialSpec, score: float = 0.5, spread: float = 0.0
) -> TrialResult:
    """Write down that a trial finished, with a checkpoint of random weights.

    On validation half of its sequences are better than the score by the spread, half worse.
    """
    folder = sweep.trial(spec.key)
    refiner = catalogue.build(spec.refiner, pose_spec(TRACK), spec.settings)
    save_checkpoint(refiner, ModelCard(spec.track, spec.refiner, spec.settings), folder.checkpoint)
    folder.save_sequences([Scored("a", "s2", PoseErrors(50.0, 40.0, 0.9, 0.9, 120))])
    folder.save_validation(
        [
            Scored(f"v{number}", "s1", PoseErrors(100 * one, 80 * one, one, one, 100))
            for number in range(12)
            for one in [score + (spread if number % 2 else -spread)]
        ]
    )
    row = Row(
        spec.track,
        spec.refiner,
        spec.seed,
        50.0,
        40.0,
        0.9,
        0.9,
        120,
        7,
        1.5,
        retrieval="none",
    )
    validation = {"score": score, "input_mpjpe": 100.0, "input_accel": 1.0}
    result = TrialResult("finished", 1000, 2000, "", validation, ("s1",), row)
    folder.finish(result)
    return result
