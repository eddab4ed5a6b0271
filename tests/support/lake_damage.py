"""Ways to break a tiny lake, each with the finding that must come of it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.support.lake_rows import write_rows
from tests.support.tiny_lake import TRACK

from poise.catalog.splits import Split
from poise.lake.manifest import (
    KINDS,
    Kind,
    Manifest,
    part_folder,
    part_paths,
    read_manifest,
    write_manifest,
)
from poise.lake.schemas import vector_schema
from poise.lake.windows import neighbours_of

Change = Callable[[pa.Table], pa.Table]
Damage = Callable[[Path], None]


def edit(lake: Path, kind: Kind, split: Split, change: Change) -> None:
    """Change a part's rows and write it as ingest would, so that only the rows are wrong."""
    manifest = read_manifest(lake, TRACK)
    (old,) = part_paths(str(lake), manifest, kind, split)
    table = change(pq.read_table(old, partitioning=None))
    Path(old).unlink()
    name = write_rows(part_folder(str(lake), TRACK, kind, split), table)
    changes: dict[str, Any] = {f"{kind}_parts": [name]}
    summary = replace(manifest.splits[split], **changes)
    write_manifest(str(lake), replace(manifest, splits={**manifest.splits, split: summary}))


def retell(lake: Path, **changes: Any) -> None:
    """Change the manifest's word on the train split."""
    manifest = read_manifest(lake, TRACK)
    summary = replace(manifest.splits["train"], **changes)
    write_manifest(str(lake), replace(manifest, splits={**manifest.splits, "train": summary}))


def on_manifest(change: Callable[[Manifest], Manifest]) -> Damage:
    return lambda lake: write_manifest(str(lake), change(read_manifest(lake, TRACK)))


def put(table: pa.Table, column: str, values: Any) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(
        place, table.schema.field(column), pa.array(values, type=table.schema.field(column).type)
    )


def with_poses(
    column: Literal["detected", "truth"], change: Callable[[list[Any]], list[Any]]
) -> Change:
    """Change the poses of all sequences, given as one (F, C) array each."""

    def apply(table: pa.Table) -> pa.Table:
        poses = [np.array(one, np.float32) for one in table.column(column).to_pylist()]
        return put(table, column, [None if p is None else list(p) for p in change(poses)])

    return apply


def with_first(column: str, value: Any) -> Change:
    """Change a column's value in the first row."""
    return lambda table: put(table, column, [value, *table.column(column).to_pylist()[1:]])


def scaled(factor: float) -> Change:
    def apply(table: pa.Table) -> pa.Table:
        columns: tuple[Literal["detected", "truth"], ...] = ("detected", "truth")
        for column in columns:
            table = with_poses(column, lambda poses: [p * factor for p in poses])(table)
        return table

    return apply


def first(change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda poses: [change(poses[0]), *poses[1:]]


def with_nan(pose_FC: Any) -> Any:
    pose_FC[3, 5] = np.nan
    return pose_FC


def with_infinity(pose_FC: Any) -> Any:
    pose_FC[0, 0] = -np.inf
    return pose_FC


def still(pose_FC: Any) -> Any:
    return np.tile(pose_FC[:1], (len(pose_FC), 1))


def truth_of(table: pa.Table) -> list[Any]:
    return [list(np.array(one, np.float32)) for one in table.column("truth").to_pylist()]


def neighbour(choose: Callable[[pa.Table], int]) -> Change:
    def apply(table: pa.Table) -> pa.Table:
        changed = neighbours_of(table).ids_BK.copy()
        changed[7, 1] = choose(table)
        return put(table, "neighbour_ids", list(changed))

    return apply


def other_window_of_the_subject(table: pa.Table) -> int:
    subjects = table.column("subject").to_pylist()
    ids = table.column("window_id").to_numpy()
    return int(ids[max(i for i, s in enumerate(subjects) if s == subjects[7])])


def past_the_last(table: pa.Table) -> int:
    return int(table.column("window_id").to_numpy()[-1]) + 1


def shuffled_joints(poses: list[Any]) -> list[Any]:
    order = np.random.default_rng(0).permutation(17)
    return [p.reshape(-1, 17, 3)[:, order].reshape(len(p), -1) for p in poses]


def corrupt_page(lake: Path) -> None:
    (part,) = (lake / "uiprmd/kinect-3D/sequences/split=train").iterdir()
    data = bytearray(part.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 64] = b"\xff" * 64
    part.write_bytes(data)


def truncate(lake: Path) -> None:
    (part,) = (lake / "uiprmd/kinect-3D/windows/split=test").iterdir()
    part.write_bytes(part.read_bytes()[:-100])


def remove_part(lake: Path) -> None:
    (part,) = (lake / "uiprmd/kinect-3D/sequences/split=test").iterdir()
    part.unlink()


def part_as_pipe(lake: Path) -> None:
    (part,) = (lake / "uiprmd/kinect-3D/sequences/split=test").iterdir()
    part.unlink()
    os.mkfifo(part)


def old_schema(lake: Path) -> None:
    path = lake / "uiprmd/kinect-3D/manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema_version": 0}))


def share_subjects(lake: Path) -> None:
    name_test_subject(lake, read_manifest(lake, TRACK).splits["train"].subjects[0])


def spell_in_two_ways(lake: Path) -> None:
    """Let one person be in both splits, as an earlier Poise read a name of two normal forms."""
    edit(lake, "sequences", "train", lambda table: put(table, "subject", ["Zo\u00eb"] * len(table)))
    name_test_subject(lake, "Zoe\u0308")


def name_test_subject(lake: Path, name: str) -> None:
    for kind in KINDS:
        edit(lake, kind, "test", lambda table: put(table, "subject", [name] * len(table)))
    manifest = read_manifest(lake, TRACK)
    summary = replace(manifest.splits["test"], subjects=[name])
    write_manifest(str(lake), replace(manifest, splits={**manifest.splits, "test": summary}))


def on(kind: Kind, split: Split, change: Change) -> Damage:
    return lambda lake: edit(lake, kind, split, change)


def vectors(change: Change = lambda table: table) -> Damage:
    """Give the tiny lake vectors of its training windows, of which it has none."""

    def apply(lake: Path) -> None:
        manifest = read_manifest(lake, TRACK)
        assert manifest.pvd is not None
        (path,) = part_paths(str(lake), manifest, "windows", "train")
        rows = pq.read_table(path, partitioning=None).select(["window_id", "subject"])
        schema = vector_schema(manifest.pvd.width)
        made = list(np.zeros((rows.num_rows, manifest.pvd.width), np.float32))
        table = rows.append_column("vector", pa.array(made, schema.field("vector").type))
        name = write_rows(
            part_folder(str(lake), TRACK, "vectors", "train"), change(table.cast(schema))
        )
        write_manifest(lake, replace(manifest, pvd=replace(manifest.pvd, vectors_parts=[name])))

    return apply


DAMAGES: dict[str, tuple[str, str, Damage]] = {
    # name: level, check, damage
    "schema-version": ("error", "manifest", old_schema),
    "joints": ("error", "manifest", on_manifest(lambda m: replace(m, joints=14))),
    "pvd-rows": (
        "error", "pvd", on_manifest(lambda m: replace(m, pvd=m.pvd and replace(m.pvd, rows=1)))
    ),
    "read": ("error", "counts", lambda lake: retell(lake, read=10)),
    "quarantined": ("error", "counts", lambda lake: retell(lake, read=10, quarantined=1)),
    "sequences": ("error", "counts", lambda lake: retell(lake, read=8, sequences=8)),
    "frames": ("error", "counts", lambda lake: retell(lake, frames=361)),
    "windows": ("error", "counts", lambda lake: retell(lake, windows=298)),
    "subjects": ("error", "counts", lambda lake: retell(lake, subjects=["S1"])),
    "missing-part": ("error", "missing-part", remove_part),
    "part-is-a-pipe": ("error", "unreadable", part_as_pipe),
    "corrupt-page": ("error", "content", corrupt_page),
    "truncated": ("error", "unreadable", truncate),
    "column-gone": ("error", "schema", on("sequences", "train", lambda t: t.drop_columns(["fps"]))),
    "column-type": (
        "error", "schema",
        on("windows", "train", lambda t: t.set_column(
            2, "start", t.column("start").cast(pa.int64())
        )),
    ),
    "frame-count": (
        "error", "frames",
        on("sequences", "train", with_first("frames", 39)),
    ),
    "nan": ("error", "finite", on("sequences", "train", with_poses("detected", first(with_nan)))),
    "infinite-truth": (
        "error", "finite",
        on("sequences", "test", with_poses("truth", first(with_infinity))),
    ),
    "no-truth": (
        "error", "counts", on("sequences", "test", with_poses("truth", first(lambda p: None)))
    ),
    "frozen": (
        "warning", "frozen",
        on("sequences", "train", with_poses("detected", first(still))),
    ),
    "same": (
        "warning", "same", on("sequences", "train", lambda t: put(t, "detected", truth_of(t)))
    ),
    "bones": ("warning", "bones", on("sequences", "train", with_poses("truth", shuffled_joints))),
    "millimetres": ("error", "units", on("sequences", "train", scaled(1000))),
    "duplicate": (
        "error", "duplicates",
        on("sequences", "train", lambda t: pa.concat_tables([t.slice(0, 8), t.slice(0, 1)])),
    ),
    "sequence-id": (
        "error", "ids",
        on("sequences", "train", with_first("sequence_id", 2)),
    ),
    "shared-subjects": ("error", "shared-subjects", share_subjects),
    "shared-and-spelt-apart": ("error", "shared-subjects", spell_in_two_ways),
    "spelling": ("error", "spelling", spell_in_two_ways),
    "window-ids": (
        "error", "window-ids",
        on("windows", "test", with_first("window_id", 5)),
    ),
    "window-twice": (
        "error", "window-order",
        on("windows", "test", lambda t: pa.concat_tables([t.slice(0, 1), t.slice(0, 98)])),
    ),
    "window-gone": ("error", "counts", on("windows", "test", lambda t: t.slice(0, 98))),
    "window-subject": (
        "error", "window-subjects",
        on("windows", "train", with_first("subject", "S3")),
    ),
    "no-such-neighbour": (
        "error", "neighbours",
        on("windows", "test", neighbour(lambda _: 4 << 24))
    ),
    "neighbour-past-the-end": (
        "error", "neighbours",
        on("windows", "train", neighbour(past_the_last)),
    ),
    "own-subject": (
        "error", "subject-rule", on("windows", "train", neighbour(other_window_of_the_subject))
    ),
    "distances": (
        "error", "distances",
        on("windows", "train", lambda t: put(t, "neighbour_distances", [[3.0, 2.0, 1.0]] * len(t))),
    ),
    "vectors-short": ("error", "counts", vectors(lambda t: t.slice(1))),
    "vectors-of-others": ("error", "vector-ids", vectors(with_first("subject", "S9"))),
    "vectors-not-finite": ("error", "vectors", vectors(with_first("vector", [np.nan] * 84))),
}  # fmt: skip
