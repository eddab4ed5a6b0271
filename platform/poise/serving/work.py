"""One sequence on its way through a model, some of its windows at a time."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.evaluation.evaluate import RetrievalUse
from poise_models.base.batch import Columns, Prediction
from poise_models.base.clip import Clip, Refined
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner

logger = logging.getLogger(__name__)

#: A step that takes longer, or shorter, is followed by one of half, or of twice as many windows.
STEP_LONGEST_S, STEP_SHORTEST_S = 1.0, 0.1
_FEWEST_WINDOWS = 32
#: Windows of a sequence in a step, at least: fewer of more sequences cost more than they refine.
_EACH = 16
#: The same where streams wait, whose frames are due within a frame's time.
_SHORT_LONGEST_S, _SHORT_SHORTEST_S = 0.02, 0.005
_SHORT_FEWEST = 8


@dataclass(frozen=True)
class RefinedSequence:
    """One refined sequence, as arrays.

    Attributes:
        poses_FC: refined poses (F, C), in the unit of the input.
        quality_F: quality of each frame (F,), in (0, 1]; None where the refiner has none.
        error_FJ: how far off each joint is expected to be; None where the refiner does not say.
        distances_N: squared L2 distances (N,) of the windows to their neighbours; None without.
        retrieval: whether neighbours took part.
        neighbours_FC: the motion that was retrieved, averaged as windows are; None where nobody
            asked, or none took part.
    """

    poses_FC: NDArray[np.float32]
    quality_F: NDArray[np.float32] | None
    error_FJ: NDArray[np.float32] | None
    distances_N: NDArray[np.float32] | None
    retrieval: RetrievalUse
    neighbours_FC: NDArray[np.float32] | None = None


class WindowFinder(Protocol):
    """What finds neighbours, or says that it cannot at the moment."""

    def find_windows(self, detected_NTC: Tensor) -> tuple[Tensor, Tensor] | None:
        """Neighbours (N, K, T, C) in the windows' own frames and squared L2 distances (N, K)."""


class Work:
    """A sequence (F, C), as the refiner takes it, that is being refined.

    Attributes:
        clip: the sequence.
        refined: its poses, once all of its windows are refined.
        outcome: what is told of it, or what went wrong; None until it is finished.
        neighbours_FC: the motion that was retrieved, where it was to be kept and there was one.
        turn: the last step that it had a share in, 0 before the first.
        network_s, retrieval_s: that the steps took in which it had a share, in the network and
            finding neighbours.

    Args:
        sequence: its poses.
        keeps: whether the motion that is retrieved is kept.
    """

    def __init__(self, sequence: NDArray[np.float32], keeps: bool = False) -> None:
        self.clip = Clip(torch.from_numpy(sequence))
        self.refined: Refined | None = None
        self.outcome: RefinedSequence | Exception | None = None
        self.turn = 0
        self.network_s = self.retrieval_s = 0.0
        self._inputs: Columns | None = None
        self._done = 0
        self._alone = False
        self._parts: list[Prediction] = []
        self._distances: list[Tensor] = []
        self._next_distances: list[Tensor] = []
        self.neighbours_FC: Tensor | None = None
        self._keeps = keeps
        self._near: list[Tensor] = []
        self._next_near: list[Tensor] = []

    @property
    def distances_N(self) -> Tensor | None:
        """Squared L2 distances of the windows to their nearest neighbours; None without any."""
        return torch.cat(self._distances) if self._distances else None

    def left(self, network: WindowRefiner) -> int:
        """Windows that are not refined yet."""
        if self._inputs is None:
            self._inputs = network.inputs_of(self.clip)
        return len(self._inputs[0]) - self._done

    def next(self, rows: int) -> Columns:
        """The next windows, at most so many, each as its own neighbour."""
        assert self._inputs is not None  # noqa: S101  (`left` was asked)
        windows, itself, ones = (one[self._done : self._done + rows] for one in self._inputs)
        self._next_distances, self._next_near = [], []
        return windows, itself, ones

    @property
    def alone(self) -> bool:
        """Whether it is refined without neighbours."""
        return self._alone

    def found(self, neighbours_NKTC: Tensor, distances_NK: Tensor) -> None:
        """Take note of the neighbours of the windows of `next`."""
        self._next_distances = [distances_NK[:, 0]]
        if self._keeps:
            self._next_near = [neighbours_NKTC[:, 0]]

    def begin_alone(self) -> None:
        """Begin anew, without neighbours.

        A sequence is refined with neighbours or without, never with some.
        """
        self._alone, self._done = True, 0
        self._parts, self._distances, self._near = [], [], []

    def take(self, part: Prediction, network: WindowRefiner) -> None:
        """Take what the network made of the windows of `next`."""
        self._parts.append(part)
        self._distances += self._next_distances
        self._near += self._next_near
        self._done += len(part.poses_BTC)
        if self.left(network):
            return
        whole = Prediction.joined(self._parts, self.clip.detected_FC.device)
        self.refined = network.joined(whole, len(self.clip.detected_FC))
        if self._near:
            near = Prediction(torch.cat(self._near))
            self.neighbours_FC = network.joined(near, len(self.clip.detected_FC)).poses_FC


class SharedSteps:
    """Refines several sequences side by side: windows of some fill every step, in equal parts.

    Where there are more than find room, half of it is for those that have just come, so that a
    short one waits for no long one, and half for those that have waited longest.

    Args:
        refiner: ready to refine.
        count: told of every step of a network, how many windows it held and had room for.
    """

    def __init__(
        self, refiner: Refiner, count: Callable[[int, int], None] = lambda windows, room: None
    ) -> None:
        self._refiner = refiner
        self._count = count
        self._most = _rows_of_step(refiner)
        #: Windows of a step: where nobody else waits, and where streams do.
        self._rows_of = {False: self._most, True: min(_FEWEST_WINDOWS, self._most)}
        self._hurries = False
        self._turn = 0

    def hurry(self, hurries: bool) -> None:
        """Say whether the next steps are to be short, because streams wait."""
        self._hurries = hurries

    @torch.inference_mode()
    def take(self, works: Sequence[Work], finder: WindowFinder | None) -> None:
        """Refine some windows of each; of a filter, which has none, the shortest sequence.

        Where a step fails, the sequences go on one by one: one's fault is not the others'.
        """
        if not isinstance(self._refiner, WindowRefiner):
            works = [min(works, key=lambda work: len(work.clip.detected_FC))]
        works = self._chosen(works)
        try:
            self._together(works, finder)
        except Exception as error:
            if len(works) == 1:
                works[0].outcome = error
                return
            logger.exception("A step of %d sequences failed; going on one by one.", len(works))
            for work in works:
                self.take([work], finder)

    def _chosen(self, works: Sequence[Work]) -> Sequence[Work]:
        most = max(self._rows_of[self._hurries] // _EACH, 2)
        if len(works) > most:
            new = [work for work in works if not work.turn][: most // 2]
            rest = [work for work in works if work.turn or work not in new]
            rest.sort(key=lambda work: work.turn or self._turn + 1)
            works = [*new, *rest[: most - len(new)]]
        self._turn += 1
        for work in works:
            work.turn = self._turn
        return works

    def _together(self, works: Sequence[Work], finder: WindowFinder | None) -> None:
        network = self._refiner
        if not isinstance(network, WindowRefiner):
            [works[0].refined] = network.refine([works[0].clip])
            return
        shares = _shares([work.left(network) for work in works], self._rows_of[self._hurries])
        inputs = [work.next(rows) for work, rows in zip(works, shares, strict=True)]
        began = time.monotonic()
        if finder is not None:
            inputs = _with_neighbours(works, inputs, finder)
        found_s = time.monotonic() - began
        joined = tuple(torch.cat(column) for column in zip(*inputs, strict=True))
        found = network.predict(*joined)
        whole_s = time.monotonic() - began
        self._count(len(joined[0]), self._rows_of[self._hurries])
        self._adapt(len(joined[0]), whole_s - found_s)
        parts = found.split([len(windows_NTC) for windows_NTC, *_ in inputs])
        for work, part in zip(works, parts, strict=True):
            work.retrieval_s += found_s
            work.network_s += whole_s - found_s
            work.take(part, network)

    def _adapt(self, rows: int, seconds: float) -> None:
        """Bound how long a step takes, whatever the network and the machine."""
        longest, shortest, fewest = STEP_LONGEST_S, STEP_SHORTEST_S, _FEWEST_WINDOWS
        if self._hurries:
            longest, shortest, fewest = _SHORT_LONGEST_S, _SHORT_SHORTEST_S, _SHORT_FEWEST
        now = self._rows_of[self._hurries]
        if seconds > longest and rows >= now:
            self._rows_of[self._hurries] = max(now // 2, min(fewest, self._most))
        elif seconds < shortest:
            self._rows_of[self._hurries] = min(2 * now, self._most)


def _with_neighbours(
    works: Sequence[Work], inputs: Sequence[Columns], finder: WindowFinder
) -> list[Columns]:
    """Windows with their neighbours, found by one call for all sequences that want some.

    Where that finds nothing, each is asked for by itself: one without an embedding is not the
    others' fault.
    """
    want = [n for n, work in enumerate(works) if not work.alone]
    given = list(inputs)
    found: list[tuple[Tensor, ...] | None] = [None] * len(want)
    together = finder.find_windows(torch.cat([given[n][0] for n in want])) if want else None
    if together is not None:
        counts = [len(given[n][0]) for n in want]
        found = list(zip(*(column.split(counts) for column in together), strict=True))
    elif len(want) > 1:
        found = [finder.find_windows(given[n][0]) for n in want]
    for n, one in zip(want, found, strict=True):
        if one is None:
            works[n].begin_alone()
            given[n] = works[n].next(len(given[n][0]))
            continue
        neighbours_NKTC, distances_NK = one
        windows, _, ones = given[n]
        most = ones.shape[1]
        given[n] = windows, neighbours_NKTC[:, :most], distances_NK[:, :most]
        works[n].found(neighbours_NKTC, distances_NK)
    return given


def _rows_of_step(refiner: Refiner) -> int:
    """Windows that a network takes at once, on each of its threads some."""
    if not isinstance(refiner, WindowRefiner):
        return 1
    threads = torch.get_num_threads() if refiner.device.type == "cpu" else 1
    return refiner.chunk_size * (1 if threads == 1 else 2 * threads)


def _shares(left: Sequence[int], room: int) -> list[int]:
    """How many windows of each sequence fit into a step; at least one of each."""
    shares, room = [0] * len(left), max(room, len(left))
    while room and any(share < most for share, most in zip(shares, left, strict=True)):
        waiting = [place for place, most in enumerate(left) if shares[place] < most]
        each = max(room // len(waiting), 1)
        for place in waiting:
            more = min(each, left[place] - shares[place], room)
            shares[place] += more
            room -= more
    return shares
