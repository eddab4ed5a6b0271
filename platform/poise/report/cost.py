"""What refining costs: time, weights, multiplications."""

import logging
from collections.abc import Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.report.made import duration
from poise.report.pages.document import Block, Cell, Table, Text, cells
from poise.report.sweeps.trials import Method
from poise.runtime.errors import PoiseError
from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.window_refiner import WindowRefiner
from poise_models.errors import RefinerError

log = logging.getLogger(__name__)

_SAID = (
    "Frames a second are of the trials' own scoring, on the machine and the threads that they had, "
    "and with whatever else ran there. MMAC: millions of multiplications with addition in matrix "
    "products and attention, for each frame of a long sequence with a window at every frame."
)


def cost_blocks(methods: Sequence[Method]) -> list[Block]:
    """Return what refining with each method of a track costs, and what fitting it took."""
    rows = [_row(method) for method in methods if method.entries]
    if not rows:
        return []
    header = ["Refiner", "frames/s", "weights", "window", "MMAC a frame", "fitting, each trial"]
    return [Text(_SAID), Table(header, rows)]


def _row(method: Method) -> list[Cell]:
    rows = [entry.row for entry in method.entries]
    seconds = sum(row.seconds for row in rows)
    speed = f"{sum(row.frames for row in rows) / seconds:,.0f}" if seconds else "–"
    spent = [trial.seconds - trial.entry.row.seconds for trial in method.finished if trial.entry]
    window = method.trials[0].spec.settings.get("window", "")
    return cells([
        method.title,
        speed,
        f"{rows[0].params:,}" if rows[0].params else "",
        str(window) if catalogue.trains(method.refiner) else "",
        _mmac(method),
        duration(max(sum(spent) / len(spent), 0)),
    ])  # fmt: skip


def _mmac(method: Method) -> str:
    spec = method.trials[0].spec
    try:
        refiner = catalogue.build(method.refiner, pose_spec(Track.parse(spec.track)), spec.settings)
        if not isinstance(refiner, WindowRefiner):
            return ""
        return f"{frame_macs(refiner.eval()) / 1e6:,.1f}"
    except (PoiseError, RefinerError, RuntimeError) as error:
        log.info("%s: operations cannot be counted: %s", method.title, error)
        return "–"


@torch.no_grad()  # in inference mode networks call what the counter does not know
def frame_macs(network: WindowRefiner) -> float:
    """Return multiplications a frame; what does not grow with the length does not count.

    Neighbours, where it reads them, are the windows themselves.
    """
    counts: list[float] = []
    width = network.spec.joints * network.spec.dims
    for windows in (1, 1, 2):  # the first prepares what all share
        clip = Clip(torch.randn(network.window + (windows - 1) * network.stride, width))
        views = [torch.cat([column] * network.views) for column in network.inputs_of(clip)]
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            network.predict_chunk((views[0], views[1], views[2]))
        counts.append(float(counter.get_total_flops()) / 2)
    return (counts[2] - counts[1]) / network.stride
