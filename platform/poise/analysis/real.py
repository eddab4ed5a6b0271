"""A real estimator that no network here was trained on: every refiner, and what it took away.

Filters have their best setting from the training subjects of the same data, which no network here
saw; where there are none, from the very sequences that are scored, which favours the filters.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.analysis import contenders
from poise.analysis.contenders import SIMULATED, Contender, Sequences
from poise.analysis.result import AnalysisResult
from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.evaluation.evaluate import Row
from poise.evaluation.motion import MotionErrors
from poise.evaluation.tables import metric_names
from poise.readers.raw_split import split_exists
from poise.runtime.text.table import text_table

#: What a model is said to lose in, to filters that are tuned: name and key of `_values`.
_SMALLER = {
    "MPJPE": "mpjpe",
    "PA-MPJPE": "pa_mpjpe",
    "Accel": "accel",
    "precision of motion": "precision",
}
#: Sequences that are shown one by one.
_FEW = 8
#: Range and peak speed are kept within so many %.
_KEPT = 3.0


@dataclass(frozen=True)
class RealRow:
    """A refiner's errors, and what became of the motion.

    Attributes:
        label: what tables call it.
        learnt: whether it learnt from other data how people move.
        row: its errors.
        motion: see `MotionErrors.to_json`.
        sequences: MPJPE, Accel and precision of each sequence, where they are few.
    """

    label: str
    learnt: bool
    row: Row
    motion: dict[str, Any]
    sequences: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class RealRequest:
    """What to compare on.

    Attributes:
        data: folder of raw data.
        motion: folder of raw data that holds `SIMULATED`'s motion, for the linear map.
        track: a real estimator's.
        split: what is scored.
        models: registered names or checkpoint folders.
        tracking_uri: of the registry.
    """

    data: Path | None
    motion: Path | None
    track: Track
    split: Split
    models: Sequence[str]
    tracking_uri: str


def analyse(request: RealRequest) -> AnalysisResult:
    """Compare every refiner on a split.

    Raises:
        DataError: there is nothing to score.
        CheckpointError: a model is for other joints.
    """
    data, track, split = request.data, request.track, request.split
    test = Sequences.read(data, track, split)
    has_training = split != "train" and split_exists(data, track, "train")
    tune_on = Sequences.read(data, track, "train").some() if has_training else test.some()
    known = [contenders.model(name, request.tracking_uri, track) for name in request.models]
    rows = [_scored(one, test) for one in _all(request, tune_on, known)]
    table = text_table(*_table(rows))
    lines = [
        f"{track}, {split}: {len(test.items):,} sequences, {rows[0].row.frames:,} frames",
        table,
        *_one_by_one(rows),
        *(line for row in rows if row.learnt for line in _verdict(row, rows)),
    ]
    if not has_training:
        lines.append("Filters were tuned on these sequences themselves, and so have an advantage.")
    return AnalysisResult(rows, "\n".join(lines))


def _all(
    request: RealRequest, tune_on: Sequences, known: Sequence[Contender]
) -> Iterator[Contender]:
    track, home = request.track, Track.parse(SIMULATED)
    yield contenders.plain(track, "input")
    yield from contenders.filters(track, tune_on)
    if contenders.same_joints(track, home) and split_exists(request.motion, home, "train"):
        yield contenders.linear(Sequences.read(request.motion, home, "train"))
    yield from known


def _scored(contender: Contender, test: Sequences) -> RealRow:
    found = test.score(contender)
    names = test.track.info.joint_names
    motion = found.motion.to_json(names) if isinstance(found.motion, MotionErrors) else {}
    few = zip(found.sequences, found.motions, strict=True) if len(found.motions) <= _FEW else ()
    sequences = {
        name: (errors.mpjpe, errors.accel, moved.precision)
        for (name, errors), moved in few
        if moved is not None
    }
    return RealRow(contender.label, contender.learnt_on is not None, found.row, motion, sequences)


def _values(row: RealRow) -> dict[str, float]:
    values = {key: getattr(row.row, key) for key in ("mpjpe", "pa_mpjpe", "accel")}
    for key in ("precision", "range_kept", "peak_kept"):
        value = row.motion.get(key)
        values[key] = math.nan if value is None else value
    return values


def _table(rows: Sequence[RealRow]) -> tuple[list[str], list[list[str]]]:
    unit = rows[0].row.unit
    header = ["Refiner", *metric_names(unit), f"Precision {unit}", "Range kept %", "Peak kept %"]
    return header, [[row.label, *map(_cell, _values(row).values())] for row in rows]


def _one_by_one(rows: Sequence[RealRow]) -> list[str]:
    names = list(rows[0].sequences)
    if not names:
        return []
    body = [[row.label, *(_triple(row.sequences[name]) for name in names)] for row in rows]
    return ["", "MPJPE / Accel / precision by sequence", text_table(["Refiner", *names], body), ""]


def _triple(values: Sequence[float]) -> str:
    return " / ".join(map(_cell, values))


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _verdict(row: RealRow, rows: Sequence[RealRow]) -> list[str]:
    """Say where a refiner that learnt loses to a filter, and what it does not keep."""
    mine, filters = _values(row), [one for one in rows if not one.learnt]
    lost = []
    for name, key in _SMALLER.items():
        best = min(filters, key=lambda one, key=key: _values(one)[key])  # type: ignore[misc]
        if _values(best)[key] <= mine[key]:
            lost.append(f"{name} to {best.label} ({mine[key]:.2f}, {_values(best)[key]:.2f})")
    for name, key in (("range of motion", "range_kept"), ("peak speed", "peak_kept")):
        if abs(mine[key] - 100) > _KEPT:
            lost.append(f"{name} by {mine[key] - 100:+.1f} %")
    return [f"{row.label} loses {'; '.join(lost) or 'nothing'}."]
