"""The served model: a checkpoint, its retrieval, and a batch of sequences through both."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.tracks import Track, TrackInfo
from poise.checkpoints.checkpoint import load_checkpoint
from poise.checkpoints.inference import prepare
from poise.pvd.retriever import Retriever
from poise.runtime.errors import CheckpointError
from poise.serving.errors import NotFiniteError
from poise.serving.retrieval import Retrieval
from poise.training_data.split import retrieves
from poise_models.base.refiner import Clip, Refined, Refiner, WindowRefiner

logger = logging.getLogger(__name__)

#: How long a starting replica waits for retrieval before it answers without.
RETRIEVAL_START_S = 30.0
#: What a Milvus that has gone or hangs may cost a request, once: the next ones do not ask it.
RETRIEVAL_BUDGET_S = 2.0

Outcome = Literal["used", "unavailable", "none"]


@dataclass(frozen=True)
class Source:
    """Where a served model comes from: all that a replica has to know."""

    name: str
    version: str | None
    checkpoint: str
    lake: str
    milvus_uri: str | None
    stride: int | None = None
    compiled: bool = False


@dataclass(frozen=True)
class Answer:
    """One refined sequence: poses (F, C), quality (F,), squared distances (N,)."""

    poses_FC: NDArray[np.float32]
    quality_F: NDArray[np.float32] | None
    distances_N: NDArray[np.float32] | None
    retrieval: Outcome


class ServedModel:
    """Refines batches of sequences exactly as offline evaluation does.

    Raises:
        CheckpointError: the source's checkpoint cannot be loaded, or cannot run as asked.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.refiner: Refiner
        self.refiner, self.card = load_checkpoint(source.checkpoint)
        self.refiner.eval()
        if isinstance(self.refiner, WindowRefiner) and self.refiner.views > 1:
            raise CheckpointError(
                f"{source.checkpoint} refines {self.refiner.views} cameras' views of a moment "
                "together; the service takes one sequence at a time: serve a model of one view"
            )
        prepare(self.refiner, source.stride, source.compiled)
        self.track = Track.parse(self.card.track)
        self._retrieves = retrieves(self.refiner) and self.track.has_pvd
        self._retrieval = self._open_retrieval()
        if self._retrieval is not None:
            self._retrieval.wait(RETRIEVAL_START_S)

    @property
    def info(self) -> TrackInfo:
        """What the poses of this model are."""
        return self.track.info

    @property
    def unit(self) -> str:
        """Unit of the poses that go in and come out."""
        if self.track.representation == "3D":
            return "m"
        if self.track.representation == "smpl":
            return "6D rotations"
        return "px" if self.info.to_metric == 1.0 else f"px / {self.info.to_metric:g}"

    @property
    def retrieval(self) -> Literal["ready", "unavailable", "none"]:
        """Whether the next request can expect neighbours."""
        if self._retrieval is not None:
            return self._retrieval.state
        return "unavailable" if self._retrieves else "none"

    @property
    def road(self) -> Literal["index", "milvus", "none"]:
        """Who searches for neighbours."""
        return "none" if self._retrieval is None else self._retrieval.road

    def refine(self, sequences: Sequence[NDArray[np.float32]]) -> list[Answer | Exception]:
        """Refine sequences (F, C) together; where one fails, the others still get an answer."""
        clips = [self._clip(sequence) for sequence in sequences]
        good = [clip for clip in clips if isinstance(clip, Clip)]
        refined = iter(self._through(good))
        return [
            self._answer(clip, next(refined)) if isinstance(clip, Clip) else clip for clip in clips
        ]

    def close(self) -> None:
        """Stop what runs in the background."""
        if self._retrieval is not None:
            self._retrieval.close()

    def _open_retrieval(self) -> Retrieval | None:
        lake, track, uri = self.source.lake, self.track, self.source.milvus_uri
        if not self._retrieves:
            return None
        if uri is None:
            logger.warning("No Milvus was named: %s goes without retrieval.", self.source.name)
            return None
        many = self.refiner.neighbours if isinstance(self.refiner, WindowRefiner) else 1
        return Retrieval(
            lambda: Retriever(lake, track, uri, budget_s=RETRIEVAL_BUDGET_S, neighbours=many)
        )

    def _clip(self, sequence: NDArray[np.float32]) -> Clip | Exception:
        detected_FC = torch.from_numpy(sequence)
        try:
            found = self._retrieval.find(detected_FC) if self._retrieval else None
        except Exception as error:  # goes to the one request it belongs to
            return error
        return Clip(detected_FC) if found is None else Clip(detected_FC).near(*found)

    def _through(self, clips: list[Clip]) -> list[Refined | Exception]:
        try:
            return list(self.refiner.refine(clips))
        except Exception as error:
            if len(clips) == 1:
                return [error]
            logger.exception("A batch of %d failed; refining one by one.", len(clips))
            return [self._through([clip])[0] for clip in clips]

    def _answer(self, clip: Clip, refined: Refined | Exception) -> Answer | Exception:
        if isinstance(refined, Exception):
            return refined
        if not bool(torch.isfinite(refined.poses_FC).all()):
            return NotFiniteError(f"{self.source.name} gave NaN or infinity for finite poses")
        outcome: Outcome = "used"
        if clip.distances_N is None:
            outcome = "unavailable" if self._retrieves else "none"
        return Answer(
            refined.poses_FC.numpy(),
            _numpy(refined.quality_F),
            _numpy(clip.distances_N),
            outcome,
        )


def _numpy(tensor: Tensor | None) -> NDArray[np.float32] | None:
    return None if tensor is None else tensor.numpy()
