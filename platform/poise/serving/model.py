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
from poise.evaluation.evaluate import RetrievalUse
from poise.pvd.retriever import Retriever, SearchBackend, retrieves
from poise.runtime.errors import CheckpointError
from poise.serving.errors import NotFiniteError
from poise.serving.model_lookup import ModelLocation
from poise.serving.retrieval import ReconnectingRetriever
from poise_models.base.clip import Clip, Refined
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner

logger = logging.getLogger(__name__)

#: How long a starting replica waits for retrieval before it answers without.
RETRIEVAL_START_S = 30.0
#: How long one request waits for a Milvus that is gone or hangs; later requests do not ask it.
RETRIEVAL_BUDGET_S = 2.0


@dataclass(frozen=True)
class ReplicaConfig:
    """All that a replica has to know in order to serve a model.

    Attributes:
        model: which model, and where its checkpoint is.
        lake: where the track's training poses are, folder or URI.
        milvus_uri: the Milvus that holds the PVD; None serves without retrieval.
        stride: frames between a network's windows; None for its own.
        compiled: whether to compile the network.
    """

    model: ModelLocation
    lake: str
    milvus_uri: str | None = None
    stride: int | None = None
    compiled: bool = False


@dataclass(frozen=True)
class RefinedSequence:
    """One refined sequence, as arrays.

    Attributes:
        poses_FC: refined poses (F, C), in the unit of the input.
        quality_F: quality of each frame (F,), in (0, 1]; None where the refiner has none.
        distances_N: squared L2 distances (N,) of the windows to their neighbours; None without.
        retrieval: whether neighbours took part.
    """

    poses_FC: NDArray[np.float32]
    quality_F: NDArray[np.float32] | None
    distances_N: NDArray[np.float32] | None
    retrieval: RetrievalUse


class ServedModel:
    """Refines batches of sequences exactly as offline evaluation does.

    Raises:
        CheckpointError: the checkpoint cannot be loaded, or cannot run as the configuration asks.
    """

    def __init__(self, config: ReplicaConfig) -> None:
        self.config = config
        self.refiner: Refiner
        self.refiner, self.card = load_checkpoint(config.model.checkpoint)
        self.refiner.eval()
        if isinstance(self.refiner, WindowRefiner) and self.refiner.views > 1:
            raise CheckpointError(
                f"{config.model.checkpoint} refines {self.refiner.views} cameras' views of a "
                "moment together; the service takes one sequence at a time: serve a model of one "
                "view"
            )
        prepare(self.refiner, config.stride, config.compiled)
        self.track = Track.parse(self.card.track)
        self._retrieves = retrieves(self.refiner) and self.track.has_pvd
        self._retriever = self._open_retriever()
        if self._retriever is not None:
            self._retriever.wait(RETRIEVAL_START_S)

    @property
    def name(self) -> str:
        """Name of the model in the registry, or of its checkpoint folder."""
        return self.config.model.name

    @property
    def info(self) -> TrackInfo:
        """Joints, dimensions and frame rate of the poses that the model takes."""
        return self.track.info

    @property
    def unit(self) -> str:
        """Unit of the poses that go in and come out."""
        if self.track.representation == "3D":
            return "m"
        if self.track.representation == "smpl":
            return "6D rotations"
        unit, scale = self.info.unit, self.info.to_metric
        return unit if scale == 1.0 else f"{unit} / {scale:g}"

    @property
    def retrieval(self) -> Literal["ready", "unavailable", "none"]:
        """Whether the next request can expect neighbours; ``none``: the model uses none."""
        if self._retriever is not None:
            return self._retriever.state
        return "unavailable" if self._retrieves else "none"

    @property
    def search_backend(self) -> SearchBackend | Literal["none"]:
        """Who searches for neighbours."""
        return "none" if self._retriever is None else self._retriever.search_backend

    def refine(self, sequences: Sequence[NDArray[np.float32]]) -> list[RefinedSequence | Exception]:
        """Refine sequences (F, C) together.

        Returns:
            One entry a sequence, in order; where one sequence fails, its error, while the others
            are refined all the same.
        """
        clips = [self._clip(sequence) for sequence in sequences]
        refined = iter(self._refine_clips([clip for clip in clips if isinstance(clip, Clip)]))
        return [
            self._result(clip, next(refined)) if isinstance(clip, Clip) else clip for clip in clips
        ]

    def close(self) -> None:
        """Stop what runs in the background."""
        if self._retriever is not None:
            self._retriever.close()

    def _open_retriever(self) -> ReconnectingRetriever | None:
        lake, track, uri = self.config.lake, self.track, self.config.milvus_uri
        if not self._retrieves:
            return None
        if uri is None:
            logger.warning("No Milvus was named: %s goes without retrieval.", self.name)
            return None
        many = self.refiner.neighbours if isinstance(self.refiner, WindowRefiner) else 1
        return ReconnectingRetriever(
            lambda: Retriever(lake, track, uri, budget_s=RETRIEVAL_BUDGET_S, neighbours=many)
        )

    def _clip(self, sequence: NDArray[np.float32]) -> Clip | Exception:
        detected_FC = torch.from_numpy(sequence)
        try:
            found = self._retriever.find(detected_FC) if self._retriever else None
        except Exception as error:  # goes to the one request it belongs to
            return error
        return Clip(detected_FC) if found is None else Clip(detected_FC).with_neighbours(*found)

    def _refine_clips(self, clips: list[Clip]) -> list[Refined | Exception]:
        try:
            return list(self.refiner.refine(clips))
        except Exception as error:
            if len(clips) == 1:
                return [error]
            logger.exception("A batch of %d failed; refining one by one.", len(clips))
            return [self._refine_clips([clip])[0] for clip in clips]

    def _result(self, clip: Clip, refined: Refined | Exception) -> RefinedSequence | Exception:
        if isinstance(refined, Exception):
            return refined
        if not bool(torch.isfinite(refined.poses_FC).all()):
            return NotFiniteError(f"{self.name} gave NaN or infinity for finite poses")
        use: RetrievalUse = "used"
        distances_NK = clip.distances_NK
        if distances_NK is None:
            use = "unavailable" if self._retrieves else "none"
        return RefinedSequence(
            poses_FC=refined.poses_FC.numpy(),
            quality_F=_numpy(refined.quality_F),
            distances_N=_numpy(None if distances_NK is None else distances_NK[:, 0]),
            retrieval=use,
        )


def _numpy(tensor: Tensor | None) -> NDArray[np.float32] | None:
    return None if tensor is None else tensor.numpy()
