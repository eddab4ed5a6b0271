"""Tables VIII and IX of the paper, which measure one trained network in several ways.

A sweep is asked for them by its plan's name: they take minutes, and tell nothing of other plans.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from poise.analysis.inputs import AnalysisInputs, load_inputs
from poise.analysis.latency import BATCHES, PUBLISHED_FPS, latencies
from poise.analysis.neighbour_distance import neighbour_rows
from poise.catalog import published
from poise.catalog.published import PublishedRow
from poise.catalog.tracks import Track
from poise.evaluation.tables import metric_names
from poise.report.pages.document import Block, Cell, Items, Section, Table, Text
from poise.report.refined.again import MOST_S, Refinery, first_seed
from poise.report.results import Row, signed
from poise.report.sweeps.trials import Trial
from poise.runtime.errors import PoiseError
from poise.runtime.machine import processor
from poise.runtime.settings import Settings
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner
from poise_models.errors import RefinerError
from poise_models.networks.synspp import SynSPP

Say = Callable[[str], None]

_NEIGHBOURS = (
    "The same network, given neighbours of other people that are no nearer than a squared "
    "distance, a random pose, or none; `poise analyse neighbours` has the same."
)
_TIMES = (
    "Milliseconds. Refining is the network and the average of its windows (SWAA), the wait that "
    "for a window's frames at the paper's 12 a second, PVD what finding neighbours takes."
)
_TURNS, _QUICK_S = 3, 5.0


def ablations(plan: str, rows: Sequence[Row], settings: Settings, say: Say) -> Iterator[Section]:
    """Measure what Table VIII or IX does, where the plan is of one.

    Args:
        plan: its name, which begins with that of the paper's.
        rows: of one track.
        settings: where the lake is.
        say: told what is being worked on.
    """
    trials = [
        (row, first_seed(row.method)[0])
        for row in rows
        if row.is_network and row.line and row.method
    ]
    measures = {"table8": _table8, "table9": _table9}
    for name, measure in measures.items():
        if plan.startswith(name) and trials:
            title = published.tables()[name].title
            yield Section(title, list(measure(trials, settings, say)), level=3)


def _table8(trials: Sequence[tuple[Row, Trial]], settings: Settings, say: Say) -> Iterator[Block]:
    printed = {row.variant: row for row in published.rows("table8")}
    yield Text(_NEIGHBOURS)
    for row, trial in trials:
        if row.refiner != SynSPP.name:
            continue
        say(f"Table VIII: {row.title}")
        try:
            found = neighbour_rows(load_inputs(trial.folder.checkpoint, settings))
        except (PoiseError, RefinerError, OSError) as error:
            yield Items([f"{row.title}: {error}."])
            continue
        names = metric_names(found[0].row.unit)
        body = [
            [
                Cell(one.kind),
                Cell("–" if one.distance is None else f"{one.distance:.3f}"),
                Cell(f"{one.missing:,}"),
                _beside(one.row.mpjpe, "mpjpe", printed.get(one.kind)),
                _beside(one.row.accel, "accel", printed.get(one.kind)),
            ]
            for one in found
        ]
        header = ["Neighbours", "mean distance", "windows without", names[0], names[2]]
        there = next(iter(printed.values())).track
        yield Table(header, body, caption=row.title, notes=[f"The paper's are of {there}."])


def _table9(trials: Sequence[tuple[Row, Trial]], settings: Settings, say: Say) -> Iterator[Block]:
    printed = {row.refiner: row for row in published.rows("table9")}
    body, notes, windows = [], [], BATCHES[0]
    refinery = Refinery(Track.parse(trials[0][1].spec.track), settings)
    for row, trial in trials:
        say(f"Table IX: {row.title}")
        try:
            refiner, split, _ = refinery.loaded(trial)
            frames_FC = torch.cat(split.detected())
            window = int(getattr(refiner, "window", 1))
            there = int(split.index.windows_S.sum())
            windows = min(windows, there, len(frames_FC) - window + 1)
            clip = Clip(frames_FC[: windows + window - 1].contiguous())
            spent = _refining_ms(refiner, clip, trial)
            waits = 1000 * window / PUBLISHED_FPS
            pvd = _pvd_ms(trial, windows, settings) if isinstance(refiner, SynSPP) else 0.0
        except (PoiseError, RefinerError, OSError) as error:
            notes.append(f"{row.title}: {error}.")
            continue
        told = printed.get(row.refiner)
        body.append([
            Cell(row.title), Cell(str(window)),
            _time(spent, told, "model_ms", "swaa_ms"), _time(waits, told, "wait_ms"),
            _time(pvd, told, "pvd_ms"), _time(spent + waits + pvd, told, "total_ms"),
        ])  # fmt: skip
    yield Text(_TIMES)
    here = f"{processor()}, {os.cpu_count()} cores, 1 thread; the paper's is one V100."
    header = ["Refiner", "window", "refining", "wait", "PVD", "together"]
    caption = f"{windows:,} windows together"
    yield Table(header, body, caption=caption, notes=[f"Here: {here}", *notes])


def _refining_ms(refiner: Refiner, clip: Clip, trial: Trial) -> float:
    """Return how long a clip takes, a median; what would take minutes is told from its scoring."""
    row = trial.entry.row if trial.entry else None
    frames = len(clip.detected_FC)
    expected_s = frames * row.seconds / row.frames if row and row.frames else 0.0
    if expected_s > MOST_S:
        return 1000 * expected_s
    times: list[float] = []
    while len(times) < (_TURNS if expected_s < _QUICK_S else 1):
        start = time.perf_counter()
        refiner.refine([clip])
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _pvd_ms(trial: Trial, windows: int, settings: Settings) -> float:
    inputs: AnalysisInputs = load_inputs(trial.folder.checkpoint, settings)
    found = latencies(inputs, PUBLISHED_FPS, turns=1, batches=(windows,))
    return sum(one.milliseconds for one in found if one.part.startswith("PVD"))


def _beside(value: float, metric: str, told: PublishedRow | None) -> Cell:
    if told is None:
        return Cell(f"{value:.2f}")
    paper = told.metrics[metric]
    return Cell(f"{value:.2f}", f"paper {paper:.2f}, {signed(value - paper)}")


def _time(value: float, told: PublishedRow | None, *names: str) -> Cell:
    paper = sum(told.metrics.get(name, 0.0) for name in names) if told else 0.0
    return Cell(f"{value:,.1f}" if value else "–", f"paper {paper:,.1f}" if paper else "")
