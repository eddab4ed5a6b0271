"""A keypoint file in memory: poses of several people over time, and what the file said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from poise.motion.units import Axis, Unit
from poise.runtime.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64] | NDArray[np.float32]
#: Names of the dimensions in tables.
DIMENSIONS: Final = ("x", "y", "z")
#: No camera is faster; squares of it are numbers still.
_MOST_FPS: Final = 1e9


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """Keypoints of several people over time.

    Shape letters: F frames, P people, J joints, D dimensions (2 or 3; 1 for angles).

    Attributes:
        poses_FPJD: float64 or float32, in `unit`; NaN where a joint was not seen.
        joints: their names, in order.
        people: an id of each person, in order.
        confidence_FPJ: what the estimator says of each joint; None where it says nothing.
        fps: frames a second, as the file says or as its times do; None where nothing tells.
        times_F: seconds, or frame numbers where `fps` is None; never falling. Frames that a file
            lacks are not there: the times have a gap.
        frames_F: numbers of the frames, as the file counts them.
        identified: whether the file says who is who; else a person is only a place in a frame, and
            may be another one in the next.
        skeleton: name of the joint set that the joints are; None where it is none Poise knows.
        bones: pairs of places among the joints, from the root outwards, where the file says them.
        unit: of the poses; None where neither file nor format says.
        image: width and height of the image that normalised coordinates are shares of, in pixels;
            of an image whose shape alone is known, the height is 1. None where nobody says.
        up: the axis that points up, with its sign (image coordinates: ``-y``); None where nobody
            says.
        entries_FP: which entry of the file a person in a frame is, for the writer that puts it
            back; -1 where there is none, None where the file has no entries.
        rest: what else the file holds, untouched; only its format's writer looks into it.
        format: name of the file's format.
        source: the file.
        notes: what the file left open, and how it was read.
    """

    poses_FPJD: Floats
    joints: tuple[str, ...]
    people: tuple[str, ...] = ("0",)
    confidence_FPJ: Floats | None = None
    fps: float | None = None
    times_F: NDArray[np.float64] = None  # type: ignore[assignment]  # filled in below
    frames_F: NDArray[np.int64] = None  # type: ignore[assignment]
    identified: bool = True
    skeleton: str | None = None
    bones: tuple[tuple[int, int], ...] | None = None
    unit: Unit | None = None
    up: Axis | None = None
    image: tuple[float, float] | None = None
    entries_FP: NDArray[np.int64] | None = None
    rest: Any = None
    format: str = ""
    source: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Fill in frame numbers and times; raise `DataError` where parts do not fit together."""
        poses = self.poses_FPJD
        if poses.ndim != 4 or poses.dtype not in (np.float64, np.float32):
            raise self._error(
                f"poses must be float32 or float64 of shape (frames, people, joints, dimensions), "
                f"not {poses.dtype} {poses.shape}"
            )
        frames, people, joints, dims = poses.shape
        if not frames:
            raise self._error("no frames")
        if not joints or not 1 <= dims <= len(DIMENSIONS):
            raise self._error(f"{joints} joints of {dims} dimensions; a pose has 1 to 3 dimensions")
        for what, names, count in (("joint", self.joints, joints), ("person", self.people, people)):
            if len(names) != count or len(set(names)) != count:
                raise self._error(
                    f"{count} different {what} names are needed, not {len(names)} of which "
                    f"{len(set(names))} differ"
                )
        bad_F = np.isinf(poses).any(axis=(1, 2, 3))
        if bad_F.any():
            raise self._error(
                f"frame {int(bad_F.argmax())}: infinite coordinates; write NaN where a joint was "
                "not seen"
            )
        if self.confidence_FPJ is not None and self.confidence_FPJ.shape != poses.shape[:3]:
            raise self._error(
                f"confidence has shape {self.confidence_FPJ.shape}, the poses {poses.shape}"
            )
        if self.entries_FP is not None and self.entries_FP.shape != poses.shape[:2]:
            raise self._error(f"entries have shape {self.entries_FP.shape}, poses {poses.shape}")
        if self.unit not in (None, *get_args(Unit)) or self.up not in (None, *get_args(Axis)):
            raise self._error(
                f"unit {self.unit!r} must be one of {', '.join(get_args(Unit))}, up {self.up!r} "
                f"one of {', '.join(get_args(Axis))}"
            )
        self._fill_in_times(frames)

    def _fill_in_times(self, frames: int) -> None:
        if self.fps is not None and not 0 < self.fps <= _MOST_FPS:
            raise self._error(f"{self.fps} frames a second; give the rate with --fps")
        numbers_F = np.arange(frames) if self.frames_F is None else self.frames_F
        times_F = numbers_F / (self.fps or 1.0) if self.times_F is None else self.times_F
        if len(times_F) != frames or len(numbers_F) != frames:
            raise self._error(
                f"{frames} frames, {len(numbers_F)} frame numbers, {len(times_F)} times"
            )
        if not np.isfinite(times_F).all():
            raise self._error(f"frame {int((~np.isfinite(times_F)).argmax())}: its time is none")
        if (np.diff(times_F) < 0).any():
            back = int((np.diff(times_F) < 0).argmax()) + 1
            raise self._error(f"frame {back}: its time lies before that of the frame before")
        # Frozen: this is the one place that completes what a caller left out.
        object.__setattr__(self, "frames_F", np.asarray(numbers_F, np.int64))
        object.__setattr__(self, "times_F", np.asarray(times_F, np.float64))

    def _error(self, what: str) -> DataError:
        return DataError(f"{self.source}: {what}" if self.source else f"motion: {what}")

    def __len__(self) -> int:
        """How many frames it has."""
        return len(self.poses_FPJD)

    def __repr__(self) -> str:
        frames, people, joints, dims = self.poses_FPJD.shape
        rate = f"{self.fps:g} fps" if self.fps else "rate unknown"
        return (
            f"<Motion {self.source or ''}: {frames} frames ({rate}), {people} people, {joints} "
            f"joints ({self.skeleton or 'own names'}), {dims}D {self.unit or ''}>"
        )

    @property
    def dims(self) -> int:
        """Dimensions of a joint."""
        return int(self.poses_FPJD.shape[3])

    @property
    def rate_known(self) -> bool:
        """Whether times are seconds; else they are frame numbers."""
        return self.fps is not None

    @property
    def proportions(self) -> tuple[Floats, str | None]:
        """What coordinates are multiplied by to be lengths, (D,), and the unit of those.

        Shares of an image's width and height are no lengths: the depth of MediaPipe's landmarks is
        a share of the width, too. Of all other coordinates, and where nobody knows the image, 1.
        """
        if self.unit != "normalised" or self.image is None or self.dims == 1:
            return np.ones(self.dims), self.unit
        width, height = self.image
        factors_D = np.array([width, height, width][: self.dims], np.float64)
        return factors_D, "px" if height > 1 else "image heights"

    @cached_property
    def seen_FPJ(self) -> NDArray[np.bool_]:
        """Whether a joint has all its coordinates."""
        return np.asarray(~np.isnan(self.poses_FPJD).any(axis=-1))

    def at_rate(self, fps: float) -> Self:
        """Return the same frames, a rate's distance apart, by their numbers."""
        return replace(self, fps=fps, times_F=(self.frames_F - self.frames_F[0]) / fps)

    def with_poses(self, poses_FPJD: Floats, confidence_FPJ: Floats | None = None) -> Self:
        """Return the same file with other poses, and other confidences where they are given.

        Args:
            poses_FPJD: of the same shape; NaN where a joint is still not there.
            confidence_FPJ: (F, P, J); None keeps those there are.

        Raises:
            DataError: the shape is another one.
        """
        if poses_FPJD.shape != self.poses_FPJD.shape:
            raise self._error(
                f"poses of shape {poses_FPJD.shape} in place of {self.poses_FPJD.shape}"
            )
        kept = self.confidence_FPJ if confidence_FPJ is None else confidence_FPJ
        return replace(self, poses_FPJD=poses_FPJD, confidence_FPJ=kept)

    def with_people(self, places_FQ: NDArray[np.int64], people: Sequence[str]) -> Self:
        """Return the same frames with people told apart anew: Q tracks in place of P.

        Args:
            places_FQ: for each frame and track, the place among today's people; -1 where the
                track is not in that frame.
            people: an id for each track.

        Raises:
            DataError: the shapes do not fit.
        """
        if places_FQ.shape != (len(self), len(people)):
            raise self._error(f"places of shape {places_FQ.shape} for {len(people)} people")
        there_FQ = places_FQ >= 0
        if not len(self.people):  # nobody to pick, and no index 0
            shape = (len(self), len(people), *self.poses_FPJD.shape[2:])
            none = np.full(shape, np.nan, self.poses_FPJD.dtype)
            return replace(self, poses_FPJD=none, people=tuple(people), confidence_FPJ=None,
                           entries_FP=None, identified=True)  # fmt: skip
        rows_F1, picked_FQ = np.arange(len(self))[:, None], np.where(there_FQ, places_FQ, 0)
        poses = self.poses_FPJD[rows_F1, picked_FQ]
        poses[~there_FQ] = np.nan
        confidence, entries = self.confidence_FPJ, self.entries_FP
        if confidence is not None:
            confidence = confidence[rows_F1, picked_FQ]
            confidence[~there_FQ] = np.nan
        if entries is not None:
            entries = np.where(there_FQ, entries[rows_F1, picked_FQ], -1)
        return replace(
            self,
            poses_FPJD=poses,
            confidence_FPJ=confidence,
            entries_FP=entries,
            people=tuple(people),
            identified=True,
        )

    def person(self, name: str) -> Self:
        """Return one person alone; raise `DataError` where nobody has that id."""
        if name not in self.people:
            raise self._error(f"nobody is called {name!r}; there are {', '.join(self.people)}")
        place = self.people.index(name)
        kept_FQ = np.full((len(self), 1), place)
        return replace(self.with_people(kept_FQ, (name,)), identified=self.identified)

    def cut(self, start: int, stop: int) -> Self:
        """Return the frames from one place to before another, counted from 0."""
        part = slice(start, stop)
        return replace(
            self,
            poses_FPJD=self.poses_FPJD[part],
            confidence_FPJ=None if self.confidence_FPJ is None else self.confidence_FPJ[part],
            entries_FP=None if self.entries_FP is None else self.entries_FP[part],
            times_F=self.times_F[part],
            frames_F=self.frames_F[part],
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each frame, person and joint.

        Columns: frame, time (where the rate is known), person, joint, x, y, z (as many as there
        are dimensions), confidence (where there is one). ``set_index(["frame", "person",
        "joint"]).to_xarray()`` makes labelled arrays of it.
        """
        import pandas as pd

        frames, people, joints, dims = self.poses_FPJD.shape
        each = people * joints
        columns: dict[str, Any] = {"frame": np.repeat(self.frames_F, each)}
        if self.rate_known:
            columns["time"] = np.repeat(self.times_F, each)
        person = np.tile(np.repeat(np.arange(people), joints), frames)
        joint = np.tile(np.arange(joints), frames * people)
        columns["person"] = pd.Categorical.from_codes(person, pd.Index(self.people, dtype=str))
        columns["joint"] = pd.Categorical.from_codes(joint, pd.Index(self.joints, dtype=str))
        flat = self.poses_FPJD.reshape(-1, dims)
        columns |= {name: flat[:, place] for place, name in enumerate(DIMENSIONS[:dims])}
        if self.confidence_FPJ is not None:
            columns["confidence"] = self.confidence_FPJ.reshape(-1)
        return pd.DataFrame(columns)

    def write(self, path: str | Path, format: str | None = None) -> Path:
        """Write a keypoint file, whole or not at all.

        Args:
            path: where to; the ending says the format where several can hold the motion.
            format: a name of ``poise formats``; None takes the motion's own where the ending
                allows it.

        Raises:
            DataError: no format has that ending, or it cannot hold this motion.
        """
        from poise.motion.files import write  # every format imports this module

        return write(self, Path(path), format)
