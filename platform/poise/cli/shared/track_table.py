"""The catalogue of tracks as a table, and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poise.catalog import datasets
from poise.catalog.dataset_file import ANY, Pixels
from poise.catalog.splits import SPLITS, Split
from poise.catalog.tracks import Track, catalogue
from poise.cli.shared.output import print_table, say
from poise.ingest.sources import tracks_in, unknown_folders
from poise.readers import raw_split as raw

#: Columns that are aligned to the left; the others hold numbers.
_LEFT = ("track", "joints", "root", "stored", "splits", "PVD")


def print_tracks(data: Path | None, dataset: str | None) -> None:
    """Print the whole catalogue, or what a folder holds, of one data set where it is named."""
    tracks = _tracks(data)
    shown = _of(tracks, dataset)
    if shown:
        rows = [_cells(track, data) for track in shown]
        header = list(rows[0])
        left = [header.index(name) for name in _LEFT]
        print_table(header, [list(row.values()) for row in rows], left)
    if data is None:
        print(f"\nand any other estimator as {', '.join(_open_to_all(dataset))}")
        return
    say(f"\n{len(shown)} tracks in {data}")
    strange = unknown_folders(data, tracks)
    if strange:
        say(f"not in the catalogue, so not read: {', '.join(strange)}; see docs/own-data.md")


def print_json(data: Path | None, dataset: str | None) -> None:
    """Print everything the catalogue knows of the same tracks."""
    print(json.dumps([_plain(track, data) for track in _of(_tracks(data), dataset)], indent=2))


def _tracks(data: Path | None) -> list[Track]:
    return catalogue() if data is None else tracks_in(data)


def _of(tracks: Sequence[Track], dataset: str | None) -> list[Track]:
    if dataset:
        _ = datasets.dataset(dataset)  # says which there are
    return [track for track in tracks if dataset in (None, track.dataset)]


def _splits(track: Track, data: Path | None) -> tuple[Split, ...]:
    if data is None:
        return track.info.published.splits
    return tuple(split for split in SPLITS if raw.split_exists(data, track, split))


def _open_to_all(only: str | None) -> list[str]:
    return [
        f"{dataset.name}/{ANY}/{part.representation}"
        for dataset in datasets.known().values()
        for part in dataset.tracks
        if ANY in part.estimators and only in (None, dataset.name)
    ]


def _plain(track: Track, data: Path | None) -> dict[str, Any]:
    info = asdict(track.info)
    info["mirror"] = info.pop("flip")  # as the data set's files and budgets call it
    skeleton, pixels = track.info.skeleton, track.info.pixels
    return {
        "track": str(track),
        **info,
        "roots": [track.info.joint_names[root] for root in track.info.roots],
        "skeleton": skeleton and skeleton.name,
        "pvd": track.has_pvd,
        "pvd_joints": skeleton and skeleton.pvd_joints,
        "stored": track.part.stored or track.info.joint_names,
        "stored_unit": _stored_unit(track),
        "pixels": pixels.model_dump() if isinstance(pixels, Pixels) else pixels,
        "published": track.info.published.model_dump(),
        "found": None if data is None else _splits(track, data),
    }


def _cells(track: Track, data: Path | None) -> dict[str, str]:
    info, published = track.info, track.info.published
    stored = info.stored_joints
    return {
        "track": str(track),
        "joints": str(info.joints) if stored == info.joints else f"{stored}>{info.joints}",
        "root": "+".join(info.joint_names[root] for root in info.roots) or "-",
        "stored": _stored_unit(track),
        "fps": "-" if info.fps is None else f"{info.fps:g}",
        "splits": ", ".join(_splits(track, data)) or "-",
        "PVD": "yes" if track.has_pvd else "no",
        "MPJPE": _number(published.mpjpe),
        "PA-MPJPE": _number(published.pa_mpjpe),
        "Accel": _number(published.accel),
    }


def _stored_unit(track: Track) -> str:
    part = track.part
    if part.representation == "smpl":
        return "axis-angle"
    if part.representation == "3D":
        return str(part.unit)
    if isinstance(part.pixels, Pixels):
        x, y = part.pixels.centre
        centre = f"{x:g}" if x == y else f"({x:g}, {y:g})"
        return f"(px-{centre})/{part.pixels.scale:g}"
    return "px/size-0.5"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
