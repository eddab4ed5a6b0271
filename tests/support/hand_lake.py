"""A lake of given sequences, without PVD, written in no time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.lake_rows import write_rows

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.lake.ids import WINDOW, sequence_ids
from poise.lake.manifest import SCHEMA_VERSION, Manifest, SplitSummary, part_folder, write_manifest
from poise.lake.parts import window_ranges
from poise.lake.schemas import sequence_table
from poise.lake.split_index import SplitIndex
from poise.lake.windows import write_windows_part
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
    table = sequence_table([ids[one.name] for one in made], made)
    width = track.info.joints * track.info.dims
    truth = all(one.truth_FC is not None for one in made)
    index = SplitIndex.of_rows(track, split, [table], width=width, truth=truth)
    return SplitSummary(
        read=len(made),
        sequences=len(made),
        quarantined=0,
        frames=sum(len(one.detected_FC) for one in made),
        windows=index.windows,
        truth=truth,
        subjects=sorted({one.subject for one in made}),
        sequences_parts=[write_rows(folder, table)],
        windows_parts=[
            write_windows_part(lake, index, number)
            for number in range(len(window_ranges(index.windows)))
        ],
    )
