"""One trial of a search on a worker of Ray Tune."""

import logging
import math
import tempfile
from typing import Any

from ray import tune

from poise.experiments.grid import TrialSpec
from poise.experiments.records import SweepFolder, TrialFolder
from poise.experiments.trial import Report, run_trial
from poise.runtime.errors import PoiseError

#: What trials report, and are compared by: the best score so far.
METRIC = "best"


def run_member(config: dict[str, Any]) -> None:
    """Run a trial from wherever its folder says, or as a copy of another.

    Args:
        config: ``sweep`` (URI) and ``setup``; ``copies`` says whether others may copy it;
            ``member`` has its ``key``, and its ``spec`` where it begins as a copy.

    Raises:
        PoiseError: the trial failed where another try may not.
    """
    for chatty in ("ray.train", "ray.tune"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    member = config["member"]
    folder = SweepFolder(config["sweep"]).trial(member["key"])
    if folder.spec() is None:
        _copy(folder, TrialSpec.from_json(member["spec"]))
    spec = folder.spec()
    epochs = spec.budget.epochs if spec is not None and spec.budget is not None else 0
    run_trial(folder, config["setup"], _report(folder, epochs if config["copies"] else None))


def _copy(folder: TrialFolder, spec: TrialSpec) -> None:
    checkpoint = tune.get_checkpoint()
    if checkpoint is None:
        raise PoiseError(f"{spec.name}: there is nothing to go on from")
    with checkpoint.as_directory() as there:
        TrialFolder(there).hand_on(folder)
    # Last: a folder without it is none that could go on.
    folder.begin(spec)


def _report(folder: TrialFolder, copied_before: int | None) -> Report:
    """Report epochs; of what may be copied before an epoch, the last one with all that it takes."""

    def report(metrics: dict[str, float]) -> None:
        history = folder.history()
        scores = [e.metrics["score"] for e in history if e.epoch <= metrics["epoch"]]
        told = {**metrics, METRIC: min(scores, default=math.inf)}
        if copied_before is None:
            tune.report(told)
        elif metrics["epoch"] == history[-1].epoch < copied_before:
            with tempfile.TemporaryDirectory(prefix="poise-member-") as scratch:
                folder.hand_on(TrialFolder(scratch))
                tune.report(told, checkpoint=tune.Checkpoint.from_directory(scratch))

    return report
