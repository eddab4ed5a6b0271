"""Tables with a row for each frame, or for each joint: into a motion, and the rows of one again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from poise.motion.format import in_order
from poise.motion.motion import Motion
from poise.motion.names import MOST_FRAME, checked_names, known_joints
from poise.motion.people import Entries
from poise.motion.rates import rate_of
from poise.motion.tables.columns import Layout
from poise.motion.text.triples import frame_numbers
from poise.runtime.errors import DataError

#: Of times in a column that does not say its unit: a step of more is none of seconds.
_LONGEST_STEP_S: Final = 2.0
#: Milliseconds, microseconds, and ticks of 100 ns, with the longest step of each.
_FINER: Final = ((1e-3, 2e3), (1e-6, 2e5), (1e-7, 2e6), (1e-9, 1e18))


class Table(Protocol):
    """A file's rows."""

    @property
    def path(self) -> Path:
        """The file."""

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """Return columns as numbers, (R, C), NaN where a cell is empty; raise `DataError`."""

    def texts(self, column: int) -> list[str]:
        """Return a column as text."""

    def is_text(self, column: int) -> bool:
        """Say whether a column holds something else than numbers."""

    def place(self, row: int) -> str:
        """Say where a row is, for messages."""


@dataclass(frozen=True)
class TableRest:
    """Which rows of a table the entries of a motion are.

    Attributes:
        columns: of the table, whose values `rows_of` returns: coordinates, confidences, and, where
            a row is a frame and they are numbers, its number and time.
        rows_EN: the rows of each entry: one, or one for each joint (-1 where that has none).
    """

    table: Any
    layout: Layout
    columns: tuple[int, ...]
    rows_EN: NDArray[np.int64]
    time_s: float
    start_s: float

    def rows_of(self, motion: Motion) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Return the rows of a motion, in the table's order, and their values.

        None where the table has no row to take for somebody, so that it must be written anew.
        """
        entries: Any = motion.entries_FP
        seen_FP = motion.seen_FPJ.any(-1)
        missing = (entries < 0) & seen_FP
        if self.layout.is_long:
            return None if missing.any() else self._long(motion, entries)
        taken = entries.copy()
        for person in np.flatnonzero(missing.any(0)).tolist():
            there = np.flatnonzero(entries[:, person] >= 0)
            if not len(there):
                return None
            lack = np.flatnonzero(missing[:, person])
            near = there[np.abs(lack[:, None] - there[None]).argmin(1)]
            taken[lack, person] = entries[near, person]
        frames, people = np.nonzero((entries >= 0) | missing)
        rows = self.rows_EN[taken[frames, people], 0]
        order = np.lexsort((rows, motion.frames_F[frames]))
        if (np.sort(rows) == rows).all():
            order = np.arange(len(rows))
        frames, people, rows = frames[order], people[order], rows[order]
        told = {
            self.layout.frame: motion.frames_F[frames],
            self.layout.time: (motion.times_F[frames] + self.start_s) / self.time_s,
        }
        columns = [column for column in told if column in self.columns and column >= 0]
        new_RC = np.stack([told[column] for column in columns], -1) if columns else None
        values = np.hstack(
            [
                np.asarray(motion.poses_FPJD[frames, people].reshape(len(rows), -1), np.float64),
                self._sure(motion)[frames, people],
                *(
                    []
                    if new_RC is None
                    else [self._kept(new_RC, columns, rows, missing[frames, people])]
                ),
            ]
        )
        return rows, values

    def _kept(
        self,
        new_RC: NDArray[Any],
        columns: Sequence[int],
        rows: NDArray[np.int64],
        is_new_R: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Return numbers and times as the table has them, others for rows that are new."""
        old_RC = self.table.numbers(columns)[rows]
        return np.where(is_new_R[:, None], new_RC, old_RC)

    def _sure(self, motion: Motion) -> NDArray[np.float64]:
        """Return confidences of the joints that have a column for it, (F, P, K)."""
        kept = [place for place, column in enumerate(self.layout.sure) if column >= 0]
        if motion.confidence_FPJ is None:
            return np.full((*motion.poses_FPJD.shape[:2], len(kept)), np.nan)
        return np.asarray(motion.confidence_FPJ[..., kept], np.float64)

    def _long(self, motion: Motion, entries: NDArray[np.int64]) -> Any:
        frames, people = np.nonzero(entries >= 0)
        rows_EJ = self.rows_EN[entries[frames, people]]
        values = motion.poses_FPJD[frames, people]
        if self.layout.sure[0] >= 0:
            told = motion.confidence_FPJ
            sure = values[..., :1] * np.nan if told is None else told[frames, people][..., None]
            values = np.concatenate([values, sure], -1)
        there = rows_EJ >= 0
        if (motion.seen_FPJ[frames, people] & ~there).any():
            return None
        order = np.argsort(rows_EJ[there], kind="stable")
        return np.asarray(rows_EJ[there][order]), np.asarray(values[there][order], np.float64)


def table_motion(table: Table, layout: Layout, **more: Any) -> Motion:
    """Make a motion of a table; raise `DataError` where rows are no frames."""
    return (_long if layout.is_long else _wide)(table, layout, more)


def _wide(table: Table, layout: Layout, more: dict[str, Any]) -> Motion:
    coordinates = [column for axes in layout.axes for column in axes]
    sure = [column for column in layout.sure if column >= 0]
    values = table.numbers([*coordinates, *sure])
    rows, joints = len(values), len(layout.joints)
    poses = values[:, : len(coordinates)].reshape(rows, joints, layout.dims)
    confidence = None
    if sure:
        confidence = np.full((rows, joints), np.nan)
        confidence[:, [at for at, one in enumerate(layout.sure) if one >= 0]] = values[
            :, len(coordinates) :
        ]
    frames = _Frames.of(table, layout, rows)
    order = np.argsort(frames.owner_R, kind="stable")
    ids = _ids(table, layout.person)
    names, skeleton = known_joints(checked_names(table.path, layout.joints))
    entries = Entries(
        path=table.path,
        frames_E=frames.owner_R[order],
        numbers_F=frames.numbers_F,
        poses_EJD=poses[order],
        confidence_EJ=None if confidence is None else confidence[order],
        ids_E=[ids[row] for row in order.tolist()] if ids else None,
    )
    columns = (*coordinates, *sure, *(one for one in frames.columns if one >= 0))
    rest = TableRest(table, layout, columns, order[:, None], frames.time_s, frames.start_s)
    return entries.motion(
        names,
        skeleton=skeleton,
        rest=rest,
        unit=layout.unit,
        notes=frames.notes,
        fps=frames.fps,
        times_F=frames.times_F,
        **more,
    )


def _long(table: Table, layout: Layout, more: dict[str, Any]) -> Motion:
    path = table.path
    sure = [layout.sure[0]] if layout.sure[0] >= 0 else []
    columns = (*layout.axes[0], *sure)
    values = table.numbers(columns)
    rows = len(values)
    joint_texts = _labels(table, layout.joint)
    joint_names = list(dict.fromkeys(joint_texts))
    if all(name.isdecimal() for name in joint_names):
        joint_names.sort(key=in_order)
    checked_names(path, joint_names)
    joint_at = {name: at for at, name in enumerate(joint_names)}
    joint_R = np.array([joint_at[name] for name in joint_texts], np.int64)
    ids = _ids(table, layout.person)
    people = list(dict.fromkeys(ids)) if ids else ["0"]
    person_at = {name: at for at, name in enumerate(people)}
    person_R = np.array([person_at[one] for one in ids] if ids else [0] * rows, np.int64)
    frames = _Frames.of(table, layout, rows, joint_R)
    pairs, entry_R = np.unique(frames.owner_R * len(people) + person_R, return_inverse=True)
    joints, dims = len(joint_names), layout.dims
    rows_EJ = np.full((len(pairs), joints), -1)
    rows_EJ[entry_R, joint_R] = np.arange(rows)
    if np.count_nonzero(rows_EJ >= 0) < rows:
        counts = np.bincount(entry_R * joints + joint_R)
        row = int(np.flatnonzero(counts[entry_R * joints + joint_R] > 1)[1])
        raise DataError(
            f"{table.place(row)}: {joint_texts[row]} of the same person and frame stands there "
            "twice; take one out, or give a column person"
        )
    poses = np.full((len(pairs), joints, dims), np.nan)
    poses[entry_R, joint_R] = values[:, :dims]
    confidence = None
    if sure:
        confidence = np.full((len(pairs), joints), np.nan)
        confidence[entry_R, joint_R] = values[:, dims]
    names, skeleton = known_joints(joint_names)
    entries = Entries(
        path=path,
        frames_E=pairs // len(people),
        numbers_F=frames.numbers_F,
        poses_EJD=poses,
        confidence_EJ=confidence,
        ids_E=[people[place] for place in (pairs % len(people)).tolist()],
    )
    return entries.motion(
        names,
        skeleton=skeleton,
        rest=TableRest(table, layout, columns, rows_EJ, frames.time_s, frames.start_s),
        unit=layout.unit,
        notes=frames.notes,
        fps=frames.fps,
        times_F=frames.times_F,
        **more,
    )


def _labels(table: Table, column: int) -> list[str]:
    """Return a column's labels; whole numbers without decimals."""
    if not table.is_text(column):
        # Of the first rows alone: further ones may be text.
        with suppress(DataError):
            return [f"{value:.15g}" for value in table.numbers([column])[:, 0].tolist()]
    return table.texts(column)


def _ids(table: Table, column: int) -> list[str] | None:
    if column < 0:
        return None
    found = _labels(table, column)
    # A number for each row is none of a person.
    return found if len(set(found)) < len(found) or len(found) == 1 else None


@dataclass(frozen=True)
class _Frames:
    """The frames of a table's rows; `columns` are those of number and time, -1 for text."""

    owner_R: NDArray[np.int64]
    numbers_F: NDArray[np.int64]
    times_F: NDArray[np.float64] | None
    fps: float | None
    time_s: float
    start_s: float
    columns: tuple[int, int]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, table: Table, layout: Layout, rows: int, joint_R: NDArray[np.int64] | None = None
    ) -> "_Frames":
        """Group rows by their frame's number, else by their time, else take each as a frame."""
        number_column, time_column = layout.frame, layout.time
        times_R = None
        if time_column >= 0 and not table.is_text(time_column):
            times_R = table.numbers([time_column])[:, 0]
        else:
            time_column = -1
        if number_column >= 0 and table.is_text(number_column):
            texts = table.texts(number_column)
            names = sorted(set(texts), key=in_order)
            at = {name: place for place, name in enumerate(names)}
            owner_R = np.array([at[name] for name in texts], np.int64)
            numbers_F, number_column = frame_numbers(names), -1
        elif number_column >= 0:
            told = table.numbers([number_column])[:, 0]
            bad = np.isnan(told) | (np.abs(told) > MOST_FRAME) | (told % 1 != 0)
            if bad.any():
                raise DataError(f"{table.place(int(bad.argmax()))}: has no whole frame number")
            numbers, owner_R = np.unique(told, return_inverse=True)
            numbers_F = numbers.astype(np.int64)
        elif times_R is not None and not np.isnan(times_R).any():
            found, owner_R = np.unique(times_R, return_inverse=True)
            numbers_F = np.arange(len(found))
        elif joint_R is not None:  # of a long table: a frame ends where its first joint comes again
            again = joint_R == joint_R[0]
            owner_R = np.cumsum(again) - 1
            numbers_F = np.arange(int(owner_R[-1]) + 1)
        else:
            owner_R, numbers_F = np.arange(rows), np.arange(rows)
        times_F, fps, time_s, start_s = None, None, layout.time_s, 0.0
        notes: tuple[str, ...] = ()
        if times_R is not None:
            first = np.zeros(len(numbers_F), np.int64)
            first[owner_R[::-1]] = np.arange(rows)[::-1]
            raw_F = times_R[first]
            if np.isnan(raw_F).any() or (np.diff(raw_F) < 0).any() or not np.diff(raw_F).any():
                notes = ("times are not in order, and left alone: --fps",) if rows > 1 else ()
                time_column = -1
            else:
                time_s = _unit_of(raw_F, time_s)
                start_s = float(raw_F[0]) * time_s if abs(raw_F[0] * time_s) > 1e6 else 0.0
                times_F = raw_F * time_s - start_s
                fps = rate_of(times_F, numbers_F)
        return cls(
            owner_R, numbers_F, times_F if fps else None, fps, time_s, start_s,
            (number_column, time_column if fps else -1), notes,
        )  # fmt: skip


def _unit_of(times_F: NDArray[np.float64], time_s: float) -> float:
    """Return seconds in a unit of times that do not say theirs, by how far frames are apart."""
    step = float(np.median(np.diff(times_F)))
    if time_s != 1.0 or step <= _LONGEST_STEP_S:
        return time_s
    return next(unit for unit, longest in _FINER if step <= longest)
