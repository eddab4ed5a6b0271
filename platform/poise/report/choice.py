"""Which weights and settings were chosen by what, and how long networks were trained."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.report.pages.document import Block, Cell, Table, Text, cells
from poise.report.sweeps.trials import Method, Trial
from poise.runtime.errors import PoiseError
from poise_models import catalogue
from poise_models.base.budget import Budget
from poise_models.errors import RefinerError

_RULE = (
    "Nothing is chosen on test people. Of a network the epoch is kept, and of a tuned filter the "
    "setting, that has the best score on training people who were held out: the mean of MPJPE and "
    "Accel, each relative to the input's. Smaller is better."
)


def choice_blocks(methods: Sequence[Method]) -> list[Block]:
    """Say of every refiner of a track that had a choice what it was, and who decided."""
    rows = [_chosen(method) for method in methods if any(map(_had_a_choice, method.finished))]
    if not rows:
        return []
    header = ["Refiner", "chosen", "held out", "MPJPE there", "MPJPE of the test", "tested on"]
    return [Text(_RULE), Table(header, rows, left=(0, 1, 2, 5))]


def training_blocks(methods: Sequence[Method]) -> list[Block]:
    """Compare the training and the size of a track's networks with what is published of them."""
    rows = [_trained(method) for method in methods if catalogue.trains(method.refiner)]
    if not rows:
        return []
    said = Text(
        "What their authors trained them with, beside what they had here. Where the order of "
        "methods is another than the paper's, look here first."
    )
    header = ["Refiner", "windows seen", "epochs of the authors", "settings that are not theirs"]
    return [said, Table(header, rows, left=(0, 2, 3))]


def _had_a_choice(trial: Trial) -> bool:
    return bool(trial.spec.candidates) or len(_scores(trial)) > 1


def _scores(trial: Trial) -> dict[int, float]:
    return {e.epoch: e.metrics["score"] for e in trial.history if "score" in e.metrics}


def _chosen(method: Method) -> list[Cell]:
    done = method.finished
    what = [_choice(trial) for trial in done]
    held = sorted({", ".join(t.result.held_out) for t in done if t.result and t.result.held_out})
    tested = list(
        dict.fromkeys(", ".join(t.result.tested) for t in done if t.result and t.result.tested)
    )
    there = [
        t.result.validation["mpjpe"]
        for t in done
        if t.result and t.result.validation and "mpjpe" in t.result.validation
    ]
    test = [entry.row.mpjpe for entry in method.entries]
    return cells([
        method.title,
        _counted(what),
        " / ".join(held) or "–",
        f"{statistics.fmean(there):.2f}" if there else "–",
        f"{statistics.fmean(test):.2f}",
        " / ".join(tested) or "the track's test split",
    ])  # fmt: skip


def _choice(trial: Trial) -> str:
    if trial.spec.candidates:
        return (trial.result and trial.result.choice) or "–"
    scores = _scores(trial)
    best = min(scores, key=lambda epoch: scores[epoch])
    again = ", then all people" if trial.spec.refit else ""
    return f"epoch {best} of {max(scores)}{again}"


def _counted(texts: Sequence[str]) -> str:
    """Return each text once, with how often it is there where not all are one."""
    counts = {text: texts.count(text) for text in sorted(texts, key=texts.count, reverse=True)}
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{text} ({count}×)" for text, count in counts.items())


def _trained(method: Method) -> list[Cell]:
    spec = method.trials[0].spec
    theirs = catalogue.published(method.refiner)
    ours = spec.budget or theirs
    return cells([
        method.title, _seen(ours), _seen(theirs), _changed(method) or "none",
    ])  # fmt: skip


def _seen(budget: Budget) -> str:
    """Say how many windows a budget shows a network."""
    if budget.steps_per_epoch is None:
        return f"{budget.epochs} × all"
    return f"{budget.epochs * budget.steps_per_epoch * budget.batch:,}"


def _changed(method: Method) -> str:
    spec = method.trials[0].spec
    try:
        built = catalogue.build(method.refiner, pose_spec(Track.parse(spec.track)), {})
    except (PoiseError, RefinerError):
        return "–"
    usual = _plain(built.settings())
    given = _plain(spec.settings)
    return ", ".join(
        f"{name} {_short(value)} (theirs {_short(usual[name])})"
        for name, value in given.items()
        if name in usual and usual[name] != value
    )


def _plain(settings: Any) -> dict[str, Any]:
    return dict(settings) if not hasattr(settings, "__dataclass_fields__") else asdict(settings)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
