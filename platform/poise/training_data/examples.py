"""What a refiner is trained and scored on: the windows and sequences that it looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from torch import Tensor

from poise.lake.schemas import NEIGHBOURS
from poise.pvd.pose_bank import PoseBank
from poise.pvd.retriever import retrieves
from poise.runtime.errors import LakeError
from poise.training_data.multiview import MultiView
from poise.training_data.split import TrackSplit
from poise.training_data.streaming import StreamedSplit, StreamedWindows
from poise.training_data.training_windows import TrainingWindows
from poise_models.base.batch import WindowSource
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner
from poise_models.base.window_refiner import WindowRefiner


@dataclass(frozen=True)
class Examples:
    """Sequences to score a refiner on; views of a take follow one another.

    Attributes:
        untrue: by a sequence's name, the joints (F, J) whose truth was not known but filled, which
            are not scored.
        subjects: whose each is; none where nobody asks.
    """

    names: Sequence[str]
    clips: Sequence[Clip]
    truths: Sequence[Tensor]
    untrue: Mapping[str, Tensor] = field(default_factory=dict)
    subjects: Sequence[str] = ()

    @classmethod
    def of(cls, split: TrackSplit, clips: Sequence[Clip]) -> Self:
        """Take the clips of a split's sequences; raise `LakeError` where it has no truth."""
        index = split.index
        return cls(index.names, clips, split.truths(), split.untrue_joints(), index.subjects)


def examples(refiner: Refiner, split: TrackSplit, bank: PoseBank | None) -> Examples:
    """Return all sequences of a split, with as many neighbours and views as the refiner reads.

    Raises:
        LakeError: the split lacks the neighbours, the views, or ground truth.
    """
    if not isinstance(refiner, WindowRefiner):
        return Examples.of(split, split.clips(None))
    if refiner.takes_missing:
        split = split.with_gaps()
    if refiner.views == 1:
        return Examples.of(split, split.clips(_used(bank, refiner), refiner.neighbours))
    views = _views(refiner, split)
    names = [f"{take}/{camera}" for take in views.takes for camera in views.cameras]
    of_take = dict(zip(split.index.takes, split.index.subjects, strict=True))
    subjects = [of_take[take] for take in views.takes for _ in views.cameras]
    return Examples(names, views.clips(), views.truths(), views.untrue_joints(names), subjects)


def training_windows(
    network: WindowRefiner, split: TrackSplit | StreamedSplit, bank: PoseBank | None, device: str
) -> WindowSource:
    """Return the windows a network trains on, with the views and neighbours that it reads.

    Raises:
        LakeError: no sequence is long enough, or the split lacks what the network looks at.
    """
    used = _used(bank, network)
    if isinstance(split, StreamedSplit) and network.views == 1:
        return StreamedWindows(split, network.window, used, device, network.takes_missing)
    if isinstance(split, StreamedSplit):
        raise LakeError(f"{split.track}: several views are not streamed; leave out stream_gb")
    if network.views == 1:
        split = split.with_gaps() if network.takes_missing else split
        return TrainingWindows(split, network.window, used, device, network.takes_missing)
    return _views(network, split).windows(network.window, device)


def _used(bank: PoseBank | None, network: WindowRefiner) -> PoseBank | None:
    if bank is None or not retrieves(network):
        return None
    if network.neighbours > NEIGHBOURS:
        raise LakeError(
            f"{bank.track}: {network.name} reads {network.neighbours} neighbours of a window, and "
            f"the lake has {NEIGHBOURS}"
        )
    return bank


def _views(network: WindowRefiner, split: TrackSplit) -> MultiView:
    found = MultiView.of(split)
    if len(found.cameras) < network.views:
        raise LakeError(
            f"{split.track}: {network.name} wants {network.views} views of a take, and the track "
            f"has {len(found.cameras)}: {', '.join(found.cameras)}"
        )
    if len(found.cameras) == network.views:
        return found
    return MultiView.of(split, found.cameras[: network.views])
