"""The served model: a checkpoint, its retrieval, and sequences side by side through both."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from poise.catalog.tracks import Track, TrackInfo
from poise.checkpoints.checkpoint import ModelCard, load_checkpoint, pose_spec
from poise.checkpoints.inference import prepare
from poise.evaluation.evaluate import RetrievalUse
from poise.pvd.retriever import Retriever, SearchBackend, retrieves
from poise.runtime.errors import CheckpointError
from poise.serving.errors import NotFiniteError
from poise.serving.metrics import StepMetrics
from poise.serving.model_lookup import ModelLocation
from poise.serving.retrieval import ReconnectingRetriever
from poise.serving.tokens.clients import Client
from poise.serving.work import RefinedSequence, SharedSteps, Work
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
        token: that clients must show, unless they are others of `clients`.
        clients: those with tokens of their own. Without either everybody may come.
        streams: that a replica has open at a time.
        idle_s: how long a stream's client may say nothing.
        tracking_uri: registry of the models that requests may name; None has none.
        models: that a replica keeps loaded beside its own.
    """

    model: ModelLocation
    lake: str
    milvus_uri: str | None = None
    stride: int | None = None
    compiled: bool = False
    token: str | None = field(default=None, repr=False)
    clients: tuple[Client, ...] = ()
    streams: int = 256
    idle_s: float = 60.0
    tracking_uri: str | None = None
    models: int = 3


class ServedModel:
    """Refines sequences exactly as offline evaluation does.

    Raises:
        CheckpointError: the checkpoint cannot be loaded, or cannot run as the configuration asks.
    """

    def __init__(self, config: ReplicaConfig) -> None:
        self.config = config
        self.refiner: Refiner
        self.refiner, self.card, self.track = _loaded(config.model)
        #: Joints, dimensions and frame rate of the poses that the model takes.
        self.info: TrackInfo = self.track.info
        if isinstance(self.refiner, WindowRefiner) and self.refiner.views > 1:
            raise CheckpointError(
                f"{config.model.checkpoint} refines {self.refiner.views} cameras' views of a "
                "moment together; the service takes one sequence at a time: serve a model of one "
                "view"
            )
        prepare(self.refiner, config.stride, config.compiled)
        self._steps = SharedSteps(self.refiner, StepMetrics(self.name).count)
        self._retrieves = retrieves(self.refiner) and self.track.has_pvd
        self._retriever = self._open_retriever()
        if self._retriever is not None:
            self._retriever.wait(RETRIEVAL_START_S)
        self._warm_up()

    @property
    def version(self) -> str | None:
        """Version in the registry; None for a checkpoint that is not registered."""
        return self.config.model.version

    @property
    def name(self) -> str:
        """Name of the model in the registry, or of its checkpoint folder."""
        return self.config.model.name

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
        """Refine sequences (F, C), as the refiner takes them, side by side.

        Returns:
            One entry a sequence, in order; where one sequence fails, its error, while the others
            are refined all the same.
        """
        works = [Work(sequence) for sequence in sequences]
        while going_on := [work for work in works if work.outcome is None]:
            self.advance(going_on)
        return [work.outcome for work in works if work.outcome is not None]

    def advance(self, works: Sequence[Work], streams_wait: bool = False) -> None:
        """Take a step of sequences that are not finished: a fraction of a second.

        Args:
            works: the sequences.
            streams_wait: whether frames of streams come in between, so that a step is short.
        """
        self._steps.hurry(streams_wait)
        self._steps.take(works, self._retriever)
        for work in works:
            if work.refined is not None:
                work.outcome = self._told(work, work.refined)

    def neighbours_of(self, windows_STC: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours (S, K, T, C) of windows of streams, squared distances (S, K).

        While there are none to be had a window stands in for its own, at distance 1.
        """
        found = None if self._retriever is None else self._retriever.find_windows(windows_STC)
        many = self.refiner.neighbours if isinstance(self.refiner, WindowRefiner) else 1
        if found is None:
            itself_SKTC = windows_STC[:, None].expand(-1, many, -1, -1)
            return itself_SKTC, windows_STC.new_ones(len(windows_STC), many)
        return found[0][:, :many], found[1][:, :many]

    def close(self) -> None:
        """Stop what runs in the background."""
        if self._retriever is not None:
            self._retriever.close()

    def _warm_up(self) -> None:
        """Refine something: the first time takes ten times as long, and nobody waits for it."""
        with torch.inference_mode():
            self.refiner.refine([Clip(torch.randn(64, self.refiner.spec.channels))])

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

    def _told(self, work: Work, refined: Refined) -> RefinedSequence | Exception:
        known = (refined.poses_FC, refined.quality_F, refined.error_FJ)
        if not all(bool(one.isfinite().all()) for one in known if one is not None):
            return NotFiniteError(f"{self.name} gave NaN or infinity for finite poses")
        use: RetrievalUse = "used"
        if work.distances_N is None:
            use = "unavailable" if self._retrieves else "none"
        return RefinedSequence(
            poses_FC=refined.poses_FC.numpy(),
            quality_F=_numpy(refined.quality_F),
            error_FJ=_numpy(refined.error_FJ),
            distances_N=_numpy(work.distances_N),
            retrieval=use,
            neighbours_FC=_numpy(work.neighbours_FC),
        )


def _loaded(model: ModelLocation) -> tuple[Refiner, ModelCard, Track]:
    spec = None if model.track is None else pose_spec(model.track)
    refiner, card = load_checkpoint(model.checkpoint, spec=spec)
    return refiner, card, model.track or Track.parse(card.track)


def _numpy(tensor: Tensor | None) -> NDArray[np.float32] | None:
    return None if tensor is None else tensor.numpy()
