"""The refiners of a comparison on data that none of the networks was trained on.

Filters as they come and at their best setting, the linear map, and models, which were trained on
another track: poses are turned so that the model's vertical is up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from poise.catalog.splits import Split
from poise.catalog.tracks import Track, TrackInfo
from poise.checkpoints.checkpoint import pose_spec
from poise.checkpoints.inference import as_taken
from poise.checkpoints.models import load_model
from poise.evaluation.evaluate import Evaluation, evaluate
from poise.experiments.candidates import GRIDS, candidates
from poise.readers.raw_split import open_split
from poise.readers.sequence import PoseSequence
from poise.runtime.errors import CheckpointError, DataError
from poise.training_data.examples import Examples
from poise_models import catalogue
from poise_models.base.clip import Clip, Refined
from poise_models.base.refiner import ClosedFormRefiner, Pair, Refiner
from poise_models.base.window_refiner import WindowRefiner

#: What the linear map is fitted on: estimators of all kinds, as networks of ours are.
SIMULATED = "cmu/simulated/3D"
#: Filters that learn nothing from the truth but their setting.
FILTERS = tuple(name for name in GRIDS if not catalogue.learns(name))
#: Settings are chosen on every so many-th sequence, which says as much in a fraction of the time.
_EVERY = 8
#: Fewer are all looked at.
_FEW = 40


@dataclass(frozen=True)
class Contender:
    """A refiner in a comparison.

    Attributes:
        label: what tables call it.
        refiner: ready to refine.
        home: the track it was made for, whose vertical poses are turned to; None where it is for
            any.
        learnt_on: the track on which it learnt how people move; None where it never did.
    """

    label: str
    refiner: Refiner
    home: Track | None = None
    learnt_on: Track | None = None


@dataclass(frozen=True)
class Sequences:
    """Sequences with truth that contenders are compared on, of one track."""

    track: Track
    items: Sequence[PoseSequence]

    @classmethod
    def read(cls, data: Path | None, track: Track, split: Split) -> "Sequences":
        """Read those of a split that have truth; raise `DataError` where none has."""
        if track.representation == "smpl":
            raise DataError(f"{track}: this is about joints in space or images")
        items = [
            item
            for item in open_split(data, track, split)
            if isinstance(item, PoseSequence) and item.truth_FC is not None
        ]
        if not items:
            raise DataError(f"{track}: no sequence of the {split} split has ground truth")
        return cls(track, items)

    def some(self) -> "Sequences":
        """As many as it takes to choose a setting."""
        few = len(self.items) <= _FEW
        return self if few else Sequences(self.track, self.items[::_EVERY])

    def examples(self, refiner: Refiner, turn_DD: Tensor) -> Examples:
        """The sequences as a refiner takes them: gaps as NaN or filled, and turned."""
        clips, truths, untrue = [], [], {}
        for one in self.items:
            assert one.truth_FC is not None  # noqa: S101  (as it was read)
            seen_FC = as_taken(refiner, one.detected_FC, one.unseen_FJ)
            clips.append(Clip(_turned(torch.from_numpy(seen_FC), turn_DD)))
            truths.append(_turned(torch.from_numpy(one.truth_FC), turn_DD))
            if one.untrue_FJ is not None:
                untrue[one.name] = torch.from_numpy(one.untrue_FJ)
        return Examples([one.name for one in self.items], clips, truths, untrue)

    def refined(self, contender: Contender) -> list[Refined]:
        """What a contender makes of them, in the track's own directions."""
        turn_DD = turn(self.track.info, (contender.home or self.track).info)
        clips = self.examples(contender.refiner, turn_DD).clips
        found = contender.refiner.refine(clips)
        return [replace(one, poses_FC=_turned(one.poses_FC, turn_DD.T)) for one in found]

    def score(self, contender: Contender) -> Evaluation:
        """Evaluate a contender on them, by the one routine."""
        home = (contender.home or self.track).info
        examples = self.examples(contender.refiner, turn(self.track.info, home))
        return evaluate(contender.refiner, examples, self.track, seed=0)


def filters(track: Track, tune_on: Sequences) -> Iterator[Contender]:
    """Every filter as it comes, and with the setting that is best on given sequences."""
    raw = tune_on.score(plain(track, "input")).row
    for name in FILTERS:
        yield plain(track, name)
        yield tuned(track, name, tune_on, (raw.mpjpe, raw.accel))


def plain(track: Track, name: str) -> Contender:
    """A refiner that needs no training, as it comes."""
    return Contender(catalogue.title(name), catalogue.build(name, pose_spec(track)))


def tuned(track: Track, name: str, tune_on: Sequences, raw: tuple[float, float]) -> Contender:
    """A filter with the best setting of its grid, by a sweep's score.

    Args:
        track: of the poses.
        name: of the filter.
        tune_on: what the setting is chosen on.
        raw: MPJPE and Accel of these sequences as they are.
    """
    best, least = plain(track, name), float("inf")
    for settings in candidates(name, name, {}):
        words = ", ".join(f"{key} {value:g}" for key, value in settings.items() if key != "block")
        refiner = catalogue.build(name, pose_spec(track), settings)
        one = Contender(f"{catalogue.title(name)} (tuned: {words})", refiner)
        row = tune_on.score(one).row
        score = row.mpjpe / raw[0] + row.accel / raw[1]
        if score < least:
            best, least = one, score
    return best


def linear(train: Sequences) -> Contender:
    """The linear map, fitted on the sequences of its home."""
    refiner = catalogue.build("linear", pose_spec(train.track))
    assert isinstance(refiner, ClosedFormRefiner)  # noqa: S101  (as the catalogue has it)
    refiner.fit(_pairs(train))
    return Contender(f"{refiner.title} ({train.track})", refiner, train.track, train.track)


def model(name: str, tracking_uri: str, track: Track) -> Contender:
    """A trained model by its registered name or checkpoint folder.

    Raises:
        CheckpointError: it was made for other joints, or refines several views together.
    """
    refiner, card = load_model(name, tracking_uri, pose_spec(track))
    home = Track.parse(card.track)
    for_any = refiner.spec == pose_spec(track)
    if not (for_any or same_joints(home, track)):
        raise CheckpointError(
            f"{name} was trained on {home}, which has other joints than {track}: name a model of "
            "the same skeleton"
        )
    if isinstance(refiner, WindowRefiner) and refiner.views > 1:
        raise CheckpointError(f"{name} refines {refiner.views} views together; name another model")
    said = f"{home}, seed {card.seed}" if "/" in name else name
    return Contender(f"{refiner.title} ({said})", refiner, None if for_any else home, home)


def same_joints(one: Track, other: Track) -> bool:
    """Whether two tracks have the same joints in the same order, and dimensions."""
    infos = one.info, other.info
    return infos[0].joint_names == infos[1].joint_names and infos[0].dims == infos[1].dims


def turn(track: TrackInfo, home: TrackInfo) -> Tensor:
    """What turns a track's poses so that ``home``'s vertical is up, (D, D), from the right."""
    upright = torch.eye(track.dims)
    if track.dims != 3 or track.up is None or home.up is None:
        return upright
    # All axes in a circle: a rotation, and no mirror.
    return upright.roll(home.up - track.up, dims=1)


def _turned(poses_FC: Tensor, turn_DD: Tensor) -> Tensor:
    turned_FC: Tensor = (poses_FC.unflatten(-1, (-1, len(turn_DD))) @ turn_DD).flatten(-2)
    return turned_FC


def _pairs(sequences: Sequences) -> Iterable[Pair]:
    for one in sequences.items:
        assert one.truth_FC is not None  # noqa: S101  (as it was read)
        yield Pair(one.subject, torch.from_numpy(one.detected_FC), torch.from_numpy(one.truth_FC))
