"""Table IX: where the time goes between a frame and its refined pose, on this machine.

The wait is no computation: a window is refined when its last frame is there, so its first frame
waits for as many frames as the window has. What the paper calls 1416 is windows refined together.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poise.analysis.inputs import AnalysisInputs, detected_windows, embed_windows
from poise.analysis.result import AnalysisResult
from poise.runtime.errors import DataError
from poise.runtime.machine import processor
from poise.runtime.text.table import text_table
from poise_models.base.windows import overlap_add
from poise_retrieval.index.neighbour_index import NeighbourIndex

#: Windows refined together in the paper, and one.
BATCHES = (1416, 1)
#: Frames a second of the paper's estimators; for tracks that do not say their own.
PUBLISHED_FPS = 12.0
PARTS = ("model", "wait", "SWAA", "PVD embedding", "PVD search", "PVD into frame")


@dataclass(frozen=True)
class Latency:
    """How long one part takes.

    Attributes:
        part: one of `PARTS`.
        windows: how many windows are refined together.
        milliseconds: for all of them.
    """

    part: str
    windows: int
    milliseconds: float


def analyse(inputs: AnalysisInputs, fps: float | None, turns: int) -> AnalysisResult:
    """Measure every part, and describe the machine; see `latencies`.

    Args:
        inputs: model and data.
        fps: frames a second that the estimator delivers; None for the track's own.
        turns: measurements of each part.
    """
    if fps is None:
        fps = inputs.track.info.fps or PUBLISHED_FPS
    found = latencies(inputs, fps, turns)
    rows = len(inputs.rows.ids_N)
    where = f"{_machine()}; {rows:,} rows in the PVD, {fps:g} frames a second"
    return AnalysisResult(found, f"{latency_table(found)}\n{where}")


def latencies(
    inputs: AnalysisInputs, fps: float, turns: int = 7, batches: Sequence[int] = BATCHES
) -> list[Latency]:
    """Measure how long every part takes: the median of several turns, after one to warm up.

    Args:
        inputs: model and data; the first windows of the test split are refined.
        fps: frames a second that the estimator delivers.
        turns: measurements of each part.
        batches: how many windows are refined together.

    Raises:
        DataError: the test split has fewer windows, or no frames a second or turns were asked for.
    """
    if fps <= 0 or turns < 1:
        raise DataError(f"latency needs fps and turns above 0, not {fps:g} and {turns}")
    windows_NTC, _ = detected_windows(inputs.test)
    if len(windows_NTC) < max(batches):
        raise DataError(
            f"{inputs.track}: the test split has {len(windows_NTC)} windows, not {max(batches)}"
        )
    rows = inputs.rows
    index = NeighbourIndex.build(rows.ids_N.numpy(), rows.vectors_NE.numpy(), rows.subjects)
    found = []
    for windows in batches:
        times = _milliseconds(inputs, index, windows_NTC[:windows].contiguous(), turns)
        times["wait"] = 1000 * inputs.refiner.window / fps
        found += [Latency(part, windows, times[part]) for part in PARTS]
    return found


def latency_table(found: Sequence[Latency]) -> str:
    """The parts as a text table: milliseconds and share of the total, for each batch."""
    batches = list(dict.fromkeys(one.windows for one in found))
    times = {(one.part, one.windows): one.milliseconds for one in found}
    totals = {
        size: sum(one.milliseconds for one in found if one.windows == size) for size in batches
    }
    rows: dict[str, dict[int, float]] = {
        part: {size: times[part, size] for size in batches} for part in PARTS
    }
    rows["PVD together"] = {
        size: sum(times[part, size] for part in PARTS if part.startswith("PVD")) for size in batches
    }
    rows["computation"] = {size: totals[size] - times["wait", size] for size in batches}
    rows["total"] = totals
    header = ["part"]
    for size in batches:
        header += [f"{size:,} window{'s' if size > 1 else ''}, ms", "share"]
    body = [
        [part, *(cell for size in batches for cell in _cells(row[size], totals[size]))]
        for part, row in rows.items()
    ]
    return text_table(header, body)


@torch.inference_mode()
def _milliseconds(
    inputs: AnalysisInputs, index: NeighbourIndex, windows_NTC: Tensor, turns: int
) -> dict[str, float]:
    refiner, bank, track = inputs.refiner.eval(), inputs.bank, inputs.track
    vectors_NE = embed_windows(windows_NTC, track)
    nearest = index.search(vectors_NE.numpy(), k=1)
    ids_NK = torch.from_numpy(nearest.ids_BK)
    distances_NK = torch.from_numpy(nearest.distances_BK)
    found_NKTC, far_NK = bank.neighbours(windows_NTC, ids_NK, distances_NK)
    frames = len(windows_NTC) + refiner.window - 1

    steps: dict[str, Callable[[], object]] = {
        "model": lambda: refiner.predict(windows_NTC, found_NKTC, far_NK),
        "SWAA": lambda: overlap_add(windows_NTC, frames),
        "PVD embedding": lambda: embed_windows(windows_NTC, track),
        "PVD search": lambda: index.search(vectors_NE.numpy(), k=1),
        "PVD into frame": lambda: bank.neighbours(windows_NTC, ids_NK, distances_NK),
    }
    return {part: _median_ms(step, turns) for part, step in steps.items()}


def _median_ms(step: Callable[[], object], turns: int) -> float:
    step()
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _machine() -> str:
    """Processor, threads and load that the measurements were made with."""
    return (
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, load average {os.getloadavg()[0]:.1f}"
    )


def _cells(milliseconds: float, total: float) -> tuple[str, str]:
    return f"{milliseconds:.2f}", f"{milliseconds / total:.1%}"
