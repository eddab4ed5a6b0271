"""Tracks: (dataset, estimator, representation), and what Poise knows about each."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

from poise.catalog import datasets
from poise.catalog.dataset_file import (
    ANY,
    METRES,
    NOISE_NAME,
    REPRESENTATIONS,
    DataSet,
    Pixels,
    Published,
    Representation,
    TrackPart,
)
from poise.runtime.errors import TrackError
from poise.runtime.names import ESTIMATOR, ESTIMATOR_RULE
from poise_models.base.pose_spec import LeftRightFlip
from poise_retrieval.geometry.skeletons import DIMS, SKELETONS, Skeleton

#: Noise levels of the denoise task are given in pixels of a 115 px/m image (Tables III, IV).
NOISE_PIXELS_PER_METRE = 115.0
#: The joints whose errors can be simulated.
SIMULATED_SKELETON = "h36m17"


@dataclass(frozen=True)
class Noise:
    """Synthetic errors on the truth.

    Gaussian and uniform noise is independent, per coordinate, root included, and ``scale`` is in
    metres: the standard deviation (gaussian) or the full width (uniform). Simulated errors are
    those of estimators, and have their own strengths (`poise.readers.simulated`).
    """

    kind: Literal["gaussian", "uniform", "simulated"]
    scale: float = 0.0


@dataclass(frozen=True)
class TrackInfo:
    """What a track's poses are, inside Poise and in its files.

    Attributes:
        roots: joints whose mean is the root in metrics and centring.
        skeleton: joint order and its map onto the pose template; None for SMPL, which needs none,
            and for joint orders without such a map.
        to_metric: factor from Poise's units to reported ones (m to mm, normalised 2D to px).
        unit: unit of reported errors.
        folder: the track's folder under ``poses/`` in the SmoothNet layout; None where generated.
        noise: the noise of a denoise track, whose detections are truth + noise; else None.
        stored_joints: number of joints of a frame in the files.
        picked: index of each of our joints among those of the files; None where they are equal.
        metres: length of the files' unit (3D).
        pixels: how the files' pixels are normalised (2D).
        published: what is published about the raw poses.
        flip: exchange of left and right; None where the catalogue names no lateral axis.
        up: the vertical of the dimensions; None where the catalogue does not say.
    """

    joints: int
    dims: int
    joint_names: tuple[str, ...]
    roots: tuple[int, ...]
    skeleton: Skeleton | None
    fps: float | None
    to_metric: float
    unit: str
    folder: str | None
    noise: Noise | None
    stored_joints: int
    picked: tuple[int, ...] | None
    metres: float
    pixels: Pixels | Literal["image"] | None
    published: Published
    flip: LeftRightFlip | None
    up: int | None


@dataclass(frozen=True, order=True)
class Track:
    """A track's name. Text form: ``uiprmd/kinect/3D``."""

    dataset: str
    estimator: str
    representation: Representation

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``dataset/estimator/representation``; raise `TrackError` where it is not one."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            raise TrackError(
                f"{text!r} is not a track: write dataset/estimator/representation, "
                "for example uiprmd/kinect/3D"
            )
        dataset, estimator, given = parts
        for representation in REPRESENTATIONS:
            if given == representation:
                track = cls(dataset, estimator, representation)
                _ = track.info
                return track
        raise TrackError(f"{text!r}: representation must be one of {', '.join(REPRESENTATIONS)}")

    def __str__(self) -> str:
        return f"{self.dataset}/{self.estimator}/{self.representation}"

    @property
    def slug(self) -> str:
        """The name with dashes: ``uiprmd-kinect-3D``, for models and files.

        No two tracks share one: data set and representation have no dash.
        """
        return str(self).replace("/", "-")

    @property
    def stored(self) -> "Track":
        """The track that is in the files: simulated images are made of one in space."""
        made = self.representation == "2D" and self.part.noise
        return Track(self.dataset, self.estimator, "3D") if made else self

    @property
    def has_pvd(self) -> bool:
        """Whether its poses can be embedded: SMPL as they are, others on a known skeleton."""
        return self.representation == "smpl" or self.info.skeleton is not None

    @property
    def part(self) -> TrackPart:
        """The part of the catalogue that describes the track; raise `TrackError` without one."""
        dataset = datasets.dataset(self.dataset)
        part = dataset.part(self.representation, self.estimator)
        if part is None:
            raise TrackError(f"no track {self}; {dataset.name} has {_offer(dataset)}")
        if not ESTIMATOR.fullmatch(self.estimator):
            raise TrackError(f"{self}: {ESTIMATOR_RULE}")
        return part

    @property
    def info(self) -> TrackInfo:
        """What the track's poses are; raise `TrackError` where the catalogue has no such track."""
        return _describe(self, datasets.dataset(self.dataset))


def catalogue() -> list[Track]:
    """Return the tracks that the catalogue names, in its order."""
    return [
        Track(dataset.name, estimator, part.representation)
        for dataset in datasets.known().values()
        for part in dataset.tracks
        for estimator in part.estimators
        if estimator != ANY
    ]


@lru_cache(maxsize=1024)
def _describe(track: Track, dataset: DataSet) -> TrackInfo:
    part = track.part
    names = part.joint_names
    to_metric, unit = _reported(part)
    return TrackInfo(
        joints=len(names),
        dims=DIMS[track.representation],
        joint_names=names,
        roots=tuple(names.index(root) for root in part.roots),
        skeleton=_skeleton(dataset, part),
        fps=part.fps or dataset.fps,
        to_metric=to_metric,
        unit=unit,
        folder=_folder(track, dataset, part),
        noise=_noise(track, part) if part.noise else None,
        stored_joints=len(part.stored or names),
        picked=tuple(part.stored.index(name) for name in names) if part.stored else None,
        metres=METRES.get(part.unit or "", 1.0),
        pixels=part.pixels,
        published=part.published.get(track.estimator, Published()),
        flip=_flip(part),
        up=None if part.up is None else "xyz".index(part.up),
    )


def _offer(dataset: DataSet) -> str:
    return "; ".join(f"{p.representation} of {', '.join(p.estimators)}" for p in dataset.tracks)


def _reported(part: TrackPart) -> tuple[float, str]:
    if part.representation == "3D":
        return 1000.0, "mm"
    if isinstance(part.pixels, Pixels):
        return part.pixels.scale, "px"
    # Stored relative to the image, whose size changes from video to video.
    return 1.0, "image sizes" if part.pixels == "image" else ""


def _skeleton(dataset: DataSet, part: TrackPart) -> Skeleton | None:
    if part.skeleton is not None:
        return SKELETONS[part.skeleton]
    if part.pvd is None or part.joints is None:
        return None
    places = tuple(part.joints.index(name) for name in part.pvd)
    return Skeleton(f"{dataset.name}'s own", part.joints, places)


def _folder(track: Track, dataset: DataSet, part: TrackPart) -> str | None:
    if dataset.generated:
        return None
    if part.noise:
        return f"{track.dataset}_noise_3D"
    return f"{track.dataset}_{track.estimator}_{track.representation}"


def _flip(part: TrackPart) -> LeftRightFlip | None:
    if part.lateral is None:
        return None
    joints = tuple(part.joint_names.index(name) for name in part.mirrored_names)
    return LeftRightFlip(joints, "xyz".index(part.lateral))


def _noise(track: Track, part: TrackPart) -> Noise:
    found = NOISE_NAME.fullmatch(track.estimator)
    if found is None:
        raise TrackError(
            f"{track}: the data set {track.dataset} has no estimator; name a noise, "
            f"for example {track.dataset}/gaussian-10/3D or {track.dataset}/uniform-50/3D"
        )
    if found[1] is None:
        if part.skeleton != SIMULATED_SKELETON:
            raise TrackError(
                f"{track}: estimators are simulated for the skeleton {SIMULATED_SKELETON} alone"
            )
        return Noise("simulated")
    scale = int(found[2]) / NOISE_PIXELS_PER_METRE
    return Noise("gaussian" if found[1] == "gaussian" else "uniform", scale)
