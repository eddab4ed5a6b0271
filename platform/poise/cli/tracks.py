"""``poise tracks``: what Poise can read, and what of it a folder holds."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poise.catalog import datasets
from poise.catalog.dataset_file import ANY, Pixels
from poise.catalog.tracks import Track, TrackInfo, catalogue
from poise.ingest.sources import tracks_in, unknown_folders
from poise.lake.ids import SPLITS, Split
from poise.readers import raw_split as raw

EXAMPLES = """columns:
  joints      joints of a frame, 17>14 where the files hold more than are used
  root        joints whose mean is the root of the published metrics
  stored      unit or normalisation; poses are metres, normalised pixels, or 6D rotations inside
  splits      the published ones; with DATA, the ones that are there
  PVD         whether its joints fit the Pose Vector Database (which wants a train split, too)
  MPJPE ...   published errors of the raw poses, mm or px: what refining starts from

examples:
  poise tracks                       the whole catalogue
  poise tracks --dataset h36m
  poise tracks ~/data                what is there, in SmoothNet's or DeciWatch's folders
  poise tracks --json | jq '.[0]'    everything the catalogue knows: joint names, PVD map, ...

dataset/*/3D stands for every estimator that is not listed. A data set of your own is one small TOML
file, named in $POISE_DATASETS or put into <home>/datasets: see docs/own-data.md.
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "tracks",
        help="what Poise can read, and what of it a folder holds",
        description="Print the catalogue of tracks (dataset/estimator/representation).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option("data", nargs="?", type=Path, metavar="DATA", help="show only what this folder holds")
    option("--dataset", metavar="NAME", help="only this data set, for example h36m")
    option("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table; return 0."""
    if args.dataset:
        _ = datasets.dataset(args.dataset)
    tracks = catalogue() if args.data is None else tracks_in(args.data)
    shown = [track for track in tracks if args.dataset in (None, track.dataset)]
    if args.json:
        print(json.dumps([_plain(track, args.data) for track in shown], indent=2))
        return 0
    if shown:
        print("\n".join(_table([_cells(track, args.data) for track in shown])))
    if args.data is None:
        print(f"\nand any other estimator as {', '.join(_open_to_all(args.dataset))}")
        return 0
    print(f"\n{len(shown)} tracks in {args.data}")
    strange = unknown_folders(args.data, tracks)
    if strange:
        print(f"not in the catalogue, so not read: {', '.join(strange)}; see docs/own-data.md")
    return 0


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
        "stored_unit": _stored_unit(track.info),
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
        "stored": _stored_unit(info),
        "fps": "-" if info.fps is None else f"{info.fps:g}",
        "splits": ", ".join(_splits(track, data)) or "-",
        "PVD": "yes" if track.has_pvd else "no",
        "MPJPE": _number(published.mpjpe),
        "PA-MPJPE": _number(published.pa_mpjpe),
        "Accel": _number(published.accel),
    }


def _stored_unit(info: TrackInfo) -> str:
    if info.dims == 6:
        return "axis-angle"
    if info.dims == 3:
        return "m" if info.metres == 1.0 else "mm"
    if isinstance(info.pixels, Pixels):
        x, y = info.pixels.centre
        centre = f"{x:g}" if x == y else f"({x:g}, {y:g})"
        return f"(px-{centre})/{info.pixels.scale:g}"
    return "px/size-0.5"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table(rows: Sequence[dict[str, str]]) -> list[str]:
    header = {key: key for key in rows[0]}
    widths = {key: max(len(row[key]) for row in (header, *rows)) for key in header}
    lines = [
        "  ".join(
            cell.rjust(widths[key]) if key in _NUMBERS else cell.ljust(widths[key])
            for key, cell in row.items()
        ).rstrip()
        for row in (header, *rows)
    ]
    return [lines[0], "  ".join("-" * width for width in widths.values()), *lines[1:]]


_NUMBERS = ("fps", "MPJPE", "PA-MPJPE", "Accel")
