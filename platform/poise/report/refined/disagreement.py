"""The paper's Fig. 1(b): how far two networks are apart tells how far off their input is.

Diff1 is the input's error, Diff2 how far apart two refined motions are: of two trainings with other
weights of smoothness, as in the paper, and of the two branches of one SynSP++, which stand in its
quality encoding for them.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from poise.analysis.quality_correlation import (
    FrameMeasures,
    correlations,
    pearson,
    quality_frames,
)
from poise.catalog import published
from poise.catalog.tracks import Track
from poise.report.charts.panel import Axis, Panel
from poise.report.pages.document import Block, Cell, Items, Picture, Section, Table, Text
from poise.report.refined.again import MOST_S, Floats, Refinery, first_seed, seconds
from poise.report.results import Row, whole
from poise.report.sweeps.trials import Method, Trial
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_models.errors import RefinerError
from poise_models.networks.synspp import SynSPP

Say = Callable[[str], None]

_SAID = (
    "Diff1 is how far off the input is, which nobody knows without a truth; Diff2 how far apart "
    "two refined motions are, one of them for precision and one for smoothness. Pearson's r of the "
    "two, over all frames and over the frames of each sequence; above 0.3 the paper calls it "
    "relevant. The first seed, all folds."
)
_DRAWN = "Frame by frame in a sequence of median r, each over its own mean"
_PAIR = (("disagreement", "input error"),)


def disagreement(
    track: str, rows: Sequence[Row], settings: Settings, say: Say
) -> Iterator[Section]:
    """Draw Fig. 1(b) of a track, where its networks have what it takes.

    Args:
        track: of the rows.
        rows: its table.
        settings: where the lake is.
        say: told what is being refined.
    """
    refinery = Refinery(Track.parse(track), settings)
    found: list[tuple[str, FrameMeasures]] = []
    notes = []
    for name, trials, measure in _sources(rows, refinery):
        if seconds(trials) > MOST_S:
            notes.append(f"{name}: refining took {seconds(trials):.0f} s, too long to do again.")
            continue
        say(f"Fig. 1(b): refining again: {name}")
        try:
            found.append((name, _joined(list(measure()))))
        except (PoiseError, RefinerError, OSError) as error:
            notes.append(f"{name}: {error}.")
    blocks = list(_blocks(track, found))
    if notes:
        blocks += [Text("Could not be refined again:"), Items(notes)]
    if blocks:
        yield Section("Fig. 1(b): disagreement and error", [Text(_SAID), *blocks], level=3)


_Measure = Callable[[], Iterator[FrameMeasures]]


def _sources(
    rows: Sequence[Row], refinery: Refinery
) -> Iterator[tuple[str, list[Trial], _Measure]]:
    """Yield what Diff2 may be of, the trials that are refined, and how it is measured."""
    pair = _trained_apart([row.method for row in rows if row.method and row.line])
    if pair is not None:
        one, other = (first_seed(method) for method in pair)
        yield (
            f"{pair[0].title} and {pair[1].title}",
            [*one, *other],
            lambda: (_apart(refinery, a, b) for a, b in zip(one, other, strict=True)),
        )
    told = [row for row in whole(rows) if row.method and row.refiner == SynSPP.name]
    best = min(told, key=lambda row: row.mean("mpjpe"), default=None)
    if best is not None and best.method is not None and _has_branches(best.method):
        trials = first_seed(best.method)
        yield (
            f"the branches of {best.title}",
            trials,
            lambda: (_branches(refinery, trial) for trial in trials),
        )


def _trained_apart(methods: Sequence[Method]) -> tuple[Method, Method] | None:
    """Return the methods of one network whose weights of smoothness are farthest apart.

    They differ in nothing else, and the first is the one for smoothness.
    """
    groups: dict[str, dict[float, Method]] = {}
    for method in methods:
        spec = method.trials[0].spec
        weight = float(spec.settings.get("smoothness", 0))
        if weight > 0:  # without any, a network may go anywhere between two frames
            others = {name: value for name, value in spec.settings.items() if name != "smoothness"}
            groups.setdefault(f"{spec.refiner} {others} {spec.budget}", {})[weight] = method
    for group in groups.values():
        most, least = group[max(group)], group[min(group)]
        if most is not least and len(first_seed(most)) == len(first_seed(least)):
            return most, least
    return None


def _has_branches(method: Method) -> bool:
    settings = method.trials[0].spec.settings
    return all(settings.get(name, True) for name in ("refine_decoder", "quality_encoding"))


def _apart(refinery: Refinery, one: Trial, other: Trial) -> FrameMeasures:
    sequence, apart, off = [], [], []
    pairs = zip(refinery.refined(one), refinery.refined(other), strict=True)
    for number, (a, b) in enumerate(pairs):
        seen_F = a.scored_FJ.any(axis=1)
        apart.append(_distance(a.refined_FJD, b.refined_FJD, a.scored_FJ)[seen_F])
        off.append(_distance(a.detected_FJD, a.truth_FJD, a.scored_FJ)[seen_F])
        sequence.append(np.full(int(seen_F.sum()), number))
    values = {"disagreement": np.concatenate(apart), "input error": np.concatenate(off)}
    return FrameMeasures(np.concatenate(sequence), values, refinery.track.info.unit)


def _distance(one_FJD: Floats, other_FJD: Floats, scored_FJ: NDArray[np.bool_]) -> Floats:
    """Mean distance of the scored joints in each frame."""
    apart_FJ = np.where(scored_FJ, np.linalg.norm(one_FJD - other_FJD, axis=-1), 0.0)
    mean_F: Floats = apart_FJ.sum(axis=1) / np.maximum(scored_FJ.sum(axis=1), 1)
    return mean_F


def _branches(refinery: Refinery, trial: Trial) -> FrameMeasures:
    refiner, split, bank = refinery.loaded(trial)
    assert isinstance(refiner, SynSPP)  # noqa: S101  (its trial's refiner)
    return quality_frames(refiner, refinery.track, split, bank)


def _joined(parts: Sequence[FrameMeasures]) -> FrameMeasures:
    """Return the frames of all folds; no sequence is in two of them."""
    first, sequence = 0, []
    for part in parts:
        sequence.append(part.sequence_F + first)
        first += int(part.sequence_F.max(initial=-1)) + 1
    names = parts[0].values
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in names}
    return FrameMeasures(np.concatenate(sequence), values, parts[0].unit)


def _blocks(track: str, found: Sequence[tuple[str, FrameMeasures]]) -> Iterator[Block]:
    if not found:
        return
    printed = next((row for row in published.rows("figure1b") if row.track == track), None)
    told = f"{printed.metrics['pearson']:.2f}" if printed else "0.48, of other tracks"
    body = []
    for name, frames in found:
        (r,) = correlations(frames, _PAIR)
        body.append([Cell(name), *map(_r, (r.frames, r.within, r.sequences)), Cell(told)])
    header = ["Diff2 of", "r, all frames", "in a sequence", "of sequence means", "paper"]
    yield Table(header, body, left=(0,))
    for name, frames in found:
        yield Picture(_curves(frames), f"{_DRAWN}: {name}", wide=True)


def _r(value: float) -> Cell:
    return Cell("–" if math.isnan(value) else f"{value:+.2f}")


def _curves(frames: FrameMeasures) -> str:
    off_F, apart_F = frames.values["input error"], frames.values["disagreement"]
    places = [np.flatnonzero(frames.sequence_F == n) for n in np.unique(frames.sequence_F)]
    telling = [p for p in places if np.ptp(off_F[p]) > 0 and np.ptp(apart_F[p]) > 0] or places
    order = sorted(telling, key=lambda p: pearson(apart_F[p], off_F[p]))
    shown = order[len(order) // 2]
    curves = [
        (f"Diff1, mean {off_F[shown].mean():.1f} {frames.unit}", off_F[shown], "var(--c1)"),
        (f"Diff2, mean {apart_F[shown].mean():.1f} {frames.unit}", apart_F[shown], "var(--c2)"),
    ]
    drawn = [(name, value_F / value_F.mean(), colour) for name, value_F, colour in curves]
    every = [float(one) for _, value_F, _ in drawn for one in value_F]
    panel = Panel(Axis(0, len(shown) - 1, "frame"), Axis.over(every, "of its mean"), 760, 260)
    for _, value_F, colour in drawn:
        panel.line([(float(at), float(one)) for at, one in enumerate(value_F)], colour, 1.8)
    return panel.svg([(name, colour) for name, _, colour in drawn])
