"""A lake of given sequences, without PVD, written in no time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW, Split, sequence_ids
from poise.lake.manifest import SCHEMA_VERSION, Manifest, SplitSummary, write_manifest
from poise.lake.parts import write_part
from poise.lake.schemas import part_folder, sequence_table
from poise.pvd.neighbour_table import Windows, write_windows
from poise.readers.sequence import PoseSequence


def write_lake(lake: Path, track: Track, splits: Mapping[Split, Sequence[PoseSequence]]) -> None:
    """Write the sequences and their windows."""
    summaries = {str(split): _split(lake, track, split, made) for split, made in splits.items()}
    info = track.info
    write_manifest(
        lake,
        Manifest(
            schema_version=SCHEMA_VERSION,
            poise_version="test",
            track=str(track),
            representation=track.representation,
            joints=info.joints,
            dims=info.dims,
            window=WINDOW,
            fps=info.fps,
            splits=summaries,
            sources=[],
            quarantined=[],
            pvd=None,
        ),
    )


def _split(lake: Path, track: Track, split: Split, made: Sequence[PoseSequence]) -> SplitSummary:
    ids = sequence_ids(track, split, [one.name for one in made])
    folder = part_folder(lake, track, "sequences", split)
    part = write_part(folder, 0, sequence_table([ids[one.name] for one in made], made))
    windows = Windows.of([f"{folder}/{part}"])
    return SplitSummary(
        read=len(made),
        sequences=len(made),
        quarantined=0,
        frames=sum(len(one.detected_FC) for one in made),
        windows=len(windows),
        truth=all(one.truth_FC is not None for one in made),
        subjects=sorted({one.subject for one in made}),
        sequences_parts=[part],
        windows_parts=write_windows(str(lake), track, split, windows, None),
    )
