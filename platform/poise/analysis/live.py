"""Errors against lag: what refiners make of a frame when so many later ones are there.

Beside the models stand a linear map and filters that look only back. The mean joint offset of the
training frames is taken off before the filters: networks know it, and it is the same at any lag.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from poise.analysis.result import AnalysisResult, side_by_side
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, pose_spec
from poise.checkpoints.models import load_model
from poise.checkpoints.training_lake import lake_of
from poise.evaluation.evaluate import CLIPS_AT_ONCE
from poise.evaluation.metrics import PoseErrors, pool, pose_errors, unit
from poise.experiments.candidates import GRIDS, candidates
from poise.runtime.errors import CheckpointError
from poise.runtime.plotting import BLUE, FAINT, GREY, INK, ORANGE, png
from poise.runtime.settings import Settings
from poise.runtime.text.table import text_table
from poise.training_data.examples import Examples, examples
from poise.training_data.split import TrackSplit, load_split
from poise_models import catalogue
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.memory import keep_freed_memory
from poise_models.filters.linear import Linear, LinearConfig
from poise_models.filters.offset import Offset, OffsetConfig
from poise_models.live.refine import refine_at_lags

LAGS = (0, 1, 2, 4, 8, 16, 31)
#: Training sequences that filters are tuned on, about.
_TUNED_ON = 200
#: A cut-off so low that the lag alone bounds a filter's delay.
_LOW = {"cutoff": 0.003}
_COLOURS, _MARKS = (ORANGE, BLUE, INK, GREY, FAINT), "oosD^v"


@dataclass(frozen=True)
class LiveErrors:
    """Errors of a refiner at a lag in frames, in the track's reported unit (Accel per frame^2)."""

    refiner: str
    lag: int
    mpjpe: float
    accel: float
    unit: str


def analyse(
    models: Sequence[str],
    settings: Settings,
    lags: Sequence[int] = LAGS,
    track: Track | None = None,
) -> AnalysisResult:
    """Score models, a linear map and causal filters at every lag, on the test split in the lake.

    Args:
        models: registered names or checkpoint folders, of the track, or of any (``poise:general``).
        settings: where the registry is, and the lake if it is not the one of the training.
        lags: in frames; a network of T frames stays at lag T - 1 from there on.
        track: None for that of the first model.

    Raises:
        CheckpointError: a model is of another track's skeleton, or of several views.
        LakeError: the track is not in the lake.
    """
    keep_freed_memory()
    if track is None:
        _, card = load_model(models[0], settings.tracking_uri)
        track = Track.parse(card.track)
    loaded = [_loaded(model, settings, track) for model in models]
    trained_here = [card for _, card in loaded if card.track == str(track)]
    lake = lake_of(settings, trained_here[0] if trained_here else None)
    train, test = load_split(lake, track, "train"), load_split(lake, track, "test")
    bank = train.bank() if track.has_pvd else None
    titles = [refiner.title for refiner, _ in loaded]
    rows: list[LiveErrors] = []
    for model, title, (refiner, _) in zip(models, titles, loaded, strict=True):
        name = title if titles.count(title) == 1 else f"{title} ({model})"
        rows += _rows(name, refiner, examples(refiner, test, bank), track, lags)
    rows += _yardsticks(train, test, lags)
    frames = int(test.index.frames_S.sum())
    said = f"{track}, {len(test.index.names)} test sequences, {frames:,} frames; lag in frames"
    return AnalysisResult(rows, f"{_table(rows, lags)}\n{said}", lambda: _drawn(rows))


def _loaded(model: str, settings: Settings, track: Track) -> tuple[Refiner, ModelCard]:
    spec = pose_spec(track)
    refiner, card = load_model(model, settings.tracking_uri, spec)
    if refiner.spec != spec:
        raise CheckpointError(f"{model} was trained on {card.track}, whose skeleton differs")
    if isinstance(refiner, WindowRefiner) and refiner.views > 1:
        raise CheckpointError(f"{model} refines {refiner.views} views together: it has no lag")
    return refiner, card


def _rows(
    name: str, refiner: Refiner, seen: Examples, track: Track, lags: Sequence[int]
) -> Iterator[LiveErrors]:
    for lag, errors in zip(lags, errors_at(refiner, seen, track, lags), strict=True):
        yield LiveErrors(name, lag, errors.mpjpe, errors.accel, unit(track.info, None))


def errors_at(
    refiner: Refiner, seen: Examples, track: Track, lags: Sequence[int]
) -> list[PoseErrors]:
    """Refine clips live, and compare them with their truths: at every lag, all frames together."""
    most = refiner.window - 1 if isinstance(refiner, WindowRefiner | Linear) else max(lags)
    used = [min(lag, most) for lag in lags]
    errors: list[list[PoseErrors]] = [[] for _ in lags]
    for first in range(0, len(seen.clips), CLIPS_AT_ONCE):
        part = slice(first, first + CLIPS_AT_ONCE)
        refined = refine_at_lags(refiner, seen.clips[part], used)
        untrue = [seen.untrue.get(name) for name in seen.names[part]]
        for at_lag, clips in zip(errors, refined, strict=True):
            for one, truth, no in zip(clips, seen.truths[part], untrue, strict=True):
                at_lag.append(pose_errors(one.poses_FC, truth, track.info, None, no))
    return [pool(at_lag) for at_lag in errors]


def _yardsticks(train: TrackSplit, test: TrackSplit, lags: Sequence[int]) -> Iterator[LiveErrors]:
    """Rows of what needs no training by gradient; filters at their usual and at their best."""
    track, spec = test.track, pose_spec(test.track)
    linear, offset = Linear(spec, LinearConfig()), Offset(spec, OffsetConfig())
    linear.fit(train.pairs())
    offset.fit(train.pairs())
    yield from _rows("Linear", linear, Examples.of(test, test.clips(None)), track, lags)
    few = _thinned(_without_offset(train, offset))
    seen = _without_offset(test, offset)
    yield from _rows("One-Euro", catalogue.build("oneeuro", spec), seen, track, lags)
    tried = [catalogue.build("oneeuro", spec, one) for one in candidates("live", "oneeuro", {})]
    best = _best([errors_at(one, few, track, [0])[0] for one in tried], few, track)
    said = ", ".join(f"{key} {tried[best].settings()[key]:g}" for key in GRIDS["oneeuro"])
    yield from _rows(f"One-Euro (tuned: {said})", tried[best], seen, track, lags)
    low = catalogue.build("butterworth", spec, _LOW)
    delayed = list(_rows("Butterworth, delay = lag", low, seen, track, lags))
    yield from delayed
    # At its best it may delay by less than there is time for.
    learnt = errors_at(low, few, track, lags)
    for number, lag in enumerate(lags):
        best = _best(learnt[: number + 1], few, track)
        name = "Butterworth, tuned delay <= lag"
        yield replace(delayed[best], refiner=name, lag=lag)


def _without_offset(split: TrackSplit, offset: Offset) -> Examples:
    clips = split.clips(None)
    off = [replace(clip, detected_FC=offset.filter(clip.detected_FC)) for clip in clips]
    return Examples.of(split, off)


def _thinned(seen: Examples) -> Examples:
    """Every so many sequences, for settings that need no more."""
    every = slice(None, None, max(len(seen.clips) // _TUNED_ON, 1))
    return replace(
        seen, names=seen.names[every], clips=seen.clips[every], truths=seen.truths[every]
    )


def _best(found: Sequence[PoseErrors], seen: Examples, track: Track) -> int:
    """The lowest score, as a sweep has it: MPJPE and Accel, each as a share of the input's."""
    (raw,) = errors_at(catalogue.build("input", pose_spec(track)), seen, track, [0])
    scores = [one.mpjpe / raw.mpjpe + one.accel / raw.accel for one in found]
    return scores.index(min(scores))


def _table(rows: Sequence[LiveErrors], lags: Sequence[int]) -> str:
    header = ["MPJPE / Accel", *(f"lag {lag}" for lag in lags)]
    names = list(dict.fromkeys(row.refiner for row in rows))
    cells = {(row.refiner, row.lag): f"{row.mpjpe:.2f} / {row.accel:.2f}" for row in rows}
    return text_table(header, [[name, *(cells[name, lag] for lag in lags)] for name in names])


def _drawn(rows: Sequence[LiveErrors]) -> bytes:
    figure, (precision, smoothness) = side_by_side(2)
    names = list(dict.fromkeys(row.refiner for row in rows))
    for place, name in enumerate(names):
        colour, mark = _COLOURS[place % len(_COLOURS)], _MARKS[place % len(_MARKS)]
        line = "-" if place < len(_COLOURS) else "--"
        of = [row for row in rows if row.refiner == name]
        # Lags about double from one to the next.
        across = [str(row.lag) for row in of]
        look: dict[str, Any] = {"color": colour, "marker": mark, "linestyle": line, "label": name}
        look |= {"linewidth": 1.6, "markersize": 5}
        precision.plot(across, [row.mpjpe for row in of], **look)
        smoothness.plot(across, [row.accel for row in of], **look)
    precision.set_ylabel(f"precision: MPJPE {rows[0].unit}", color=INK)
    smoothness.set_ylabel(f"smoothness: Accel {rows[0].unit}/frame²", color=INK)
    smoothness.set_yscale("log")
    smoothness.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    smoothness.yaxis.set_minor_formatter(NullFormatter())
    smoothness.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for panel in (precision, smoothness):
        panel.set_xlabel("lag: later frames that a frame waits for", color=INK)
    smoothness.legend(fontsize=8, frameon=False)
    return png(figure, palette=64)
