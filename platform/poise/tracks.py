"""Tracks: (dataset, estimator, representation), and what Poise knows about each."""

from dataclasses import dataclass
from typing import Literal, Self

from poise.errors import TrackError

Representation = Literal["2D", "3D", "smpl"]
REPRESENTATIONS: tuple[Representation, ...] = ("2D", "3D", "smpl")

#: Noise levels of the denoise task are given in pixels of a 115 px/m image (Tables III, IV).
NOISE_PIXELS_PER_METRE = 115.0


@dataclass(frozen=True)
class Noise:
    """Synthetic noise on the truth: per coordinate, independent, root included.

    ``scale`` is in metres: the standard deviation (gaussian) or the full width (uniform).
    """

    kind: Literal["gaussian", "uniform"]
    scale: float


@dataclass(frozen=True)
class TrackInfo:
    """What a track's poses are.

    Attributes:
        skeleton: joint order, a name of `poise_retrieval.skeletons`; None where it has no PVD.
        roots: joints whose mean is the root in metrics and centring.
        to_metric: factor from stored units to reported ones (m to mm, stored 2D to px).
        folder: its folder under ``poses/`` in the SmoothNet layout; None for generated tracks.
        noise: set on denoise tracks, whose detections are truth + noise.
    """

    joints: int
    dims: int
    roots: tuple[int, ...]
    skeleton: str | None
    fps: float | None
    to_metric: float
    unit: str
    folder: str | None
    noise: Noise | None = None


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
        """The name with dashes: ``uiprmd-kinect-3D``, for registries and collections."""
        return str(self).replace("/", "-")

    @property
    def has_pvd(self) -> bool:
        """Whether its poses can be embedded: SMPL as they are, others on a known skeleton."""
        return self.representation == "smpl" or self.info.skeleton is not None

    @property
    def info(self) -> TrackInfo:
        """What the track's poses are; raise `TrackError` where nobody has told Poise."""
        return _describe(self)


def _describe(track: Track) -> TrackInfo:
    folder = f"{track.dataset}_{track.estimator}_{track.representation}"
    if track.representation == "smpl":
        return TrackInfo(24, 6, (), None, _FPS.get(track.dataset), 1.0, "", folder)
    if track.dataset == "cmu":
        return TrackInfo(17, 3, (2, 3), "h36m17", 60.0, 1000.0, "mm", "cmu_noise_3D", _noise(track))
    if track.dataset == "synthetic":
        return TrackInfo(17, 3, (0,), "h36m17", 30.0, 1000.0, "mm", None)
    if track.representation == "2D":
        joints = _JOINTS_2D.get((track.dataset, track.estimator), _JOINTS_2D.get(track.dataset))
        if joints is None:
            raise TrackError(f"no 2D track {track}: known data sets are {_known(_JOINTS_2D)}")
        # JHMDB is stored relative to the image, whose size changes from video to video.
        scale, unit = (500.0, "px") if track.dataset == "h36m" else (1.0, "image sizes")
        return TrackInfo(joints, 2, (), None, _FPS.get(track.dataset), scale, unit, folder)
    known = _JOINTS_3D.get(track.dataset)
    if known is None:
        raise TrackError(f"no track {track}: known data sets are {_known(_JOINTS_3D)}")
    joints, roots = known
    if track.dataset == "h36m" and track.estimator in ("vibe", "tcmr"):
        joints, roots = 14, (2, 3)
    skeleton = {14: "j14", 17: "h36m17"}[joints] if track.dataset not in _OTHER_ORDER else None
    fps = _FPS.get(track.dataset)
    return TrackInfo(joints, 3, roots, skeleton, fps, 1000.0, "mm", folder)


_JOINTS_3D: dict[str, tuple[int, tuple[int, ...]]] = {
    "uiprmd": (17, (0,)),
    "h36m": (17, (0,)),
    "aist": (14, (2, 3)),
    "pw3d": (14, (2, 3)),
    "mpiinf3dhp": (17, (14,)),
    "mupots": (17, (14,)),
}
_OTHER_ORDER = ("mpiinf3dhp", "mupots")
_JOINTS_2D: dict[str | tuple[str, str], int] = {"h36m": 16, ("h36m", "cpn"): 17, "jhmdb": 15}
_FPS = {"uiprmd": 30.0, "h36m": 50.0, "aist": 60.0, "pw3d": 30.0}


def _known(table: dict[str, tuple[int, tuple[int, ...]]] | dict[str | tuple[str, str], int]) -> str:
    return ", ".join(sorted(key for key in table if isinstance(key, str)))


def _noise(track: Track) -> Noise:
    kind, _, level = track.estimator.partition("-")
    if kind not in ("gaussian", "uniform") or not level.isdigit():
        raise TrackError(
            f"{track}: the data set {track.dataset} has no estimator; name a noise, "
            "for example cmu/gaussian-10/3D or cmu/uniform-50/3D"
        )
    scale = int(level) / NOISE_PIXELS_PER_METRE
    return Noise("gaussian" if kind == "gaussian" else "uniform", scale)
