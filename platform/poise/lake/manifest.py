"""The manifest of a track: counts, parts, sources, what was left out, and its PVD collection.

A track is one folder of the lake (``<lake>/<dataset>/<estimator>-<representation>``) with
``sequences/`` and ``windows/``, each a folder of parts for every split. The names of parts carry a
hash of their content, and ``manifest.json`` says which parts count. It is written last: a track is
there when its manifest is.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.runtime import storage
from poise.runtime.errors import LakeError, in_short
from poise.runtime.names import encode, same_but_for_case

#: What must differ between a training window and its neighbours: the subject, or only the take
#: (all cameras of one moment; the sequence itself where the data set names no take).
Exclude = Literal["subject", "take"]
SCHEMA_VERSION = 2
MANIFEST = "manifest.json"

Kind = Literal["sequences", "windows", "vectors"]
#: The tables of every split; vectors are of the train split alone, where there is a PVD.
KINDS: tuple[Kind, ...] = ("sequences", "windows")


@dataclass(frozen=True)
class Source:
    """A raw file the track was made from; ``path`` is relative to the data folder."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Quarantined:
    """A raw sequence that was left out, and why."""

    split: str
    file: str
    sequence: str
    key: str
    reason: str


@dataclass(frozen=True)
class Filled:
    """A sequence with joints that nobody saw, whose values in the lake are filled along time.

    Attributes:
        pose: ``detected`` or ``truth``; such truth is trained on, and not scored.
        gaps: joint, first frame and number of frames of every gap.
    """

    split: str
    sequence: str
    pose: Literal["detected", "truth"]
    gaps: list[tuple[int, int, int]]


@dataclass(frozen=True)
class SplitSummary:
    """Counts and parts of a split: ``read == sequences + quarantined``, always.

    ``truth`` says whether every sequence has ground truth. Part names are in row order.
    """

    read: int
    sequences: int
    quarantined: int
    frames: int
    windows: int
    truth: bool
    subjects: list[str]
    sequences_parts: list[str]
    windows_parts: list[str]


@dataclass(frozen=True)
class Pvd:
    """The Milvus collection of the train split's truth windows.

    Attributes:
        alias: the name readers use; it points at ``collection``.
        metric: always L2, which in Milvus is the squared distance.
        recall: of the neighbour search against an exact one, with what ``exclude`` leaves out.
        exclude: what a training window's neighbours must not share with it.
        embedding: `EMBEDDING_VERSION` of its vectors; 1 in manifests from before there were two.
        vectors_parts: names of the parts that hold its rows; none in manifests of earlier versions.
    """

    collection: str
    alias: str
    width: int
    rows: int
    metric: str
    recall: float
    exclude: Exclude = "subject"
    embedding: int = 1
    vectors_parts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Manifest:
    """What the lake knows of a track.

    Attributes:
        pvd: None where the track has none (no skeleton, or no truth to train from).
        fps: frames a second, None where unknown.
        filled: sequences with joints that nobody saw; none in manifests of earlier versions.
    """

    schema_version: int
    poise_version: str
    track: str
    representation: str
    joints: int
    dims: int
    window: int
    fps: float | None
    splits: dict[str, SplitSummary]
    sources: list[Source]
    quarantined: list[Quarantined]
    pvd: Pvd | None
    filled: list[Filled] = field(default_factory=list)

    @property
    def track_name(self) -> Track:
        """The track as an object."""
        return Track.parse(self.track)

    def to_json(self) -> str:
        """Return the text of ``manifest.json``."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"


_PARSER = TypeAdapter(Manifest)


def track_folder(lake: storage.Location, track: Track) -> str:
    """Return the track's folder in the lake."""
    return storage.join(lake, track.dataset, f"{track.estimator}-{track.representation}")


def part_paths(lake: storage.Location, manifest: Manifest, kind: Kind, split: Split) -> list[str]:
    """Return where the parts of a split are, in order; none where the track lacks the split."""
    summary = manifest.splits.get(split)
    if summary is None:
        return []
    names = summary.sequences_parts if kind == "sequences" else summary.windows_parts
    if kind == "vectors":
        names = manifest.pvd.vectors_parts if manifest.pvd and split == "train" else []
    folder = part_folder(lake, manifest.track_name, kind, split)
    return [storage.join(folder, name) for name in names]


def part_folder(lake: storage.Location, track: Track, kind: Kind, split: Split) -> str:
    """Return the folder of a split's parts."""
    return storage.join(track_folder(lake, track), kind, f"split={split}")


def pvd_alias(track: Track) -> str:
    """Return the alias a new PVD of the track is published under: ``pvd_uiprmd_kinect_3D``.

    Where a PVD is, its manifest says: that of an earlier Poise may have another alias.
    """
    return "pvd_" + encode(track.dataset, track.estimator, track.representation)


def has_track(lake: storage.Location, track: Track) -> bool:
    """Say whether a finished ingest of the track is in the lake."""
    return storage.exists(storage.join(track_folder(lake, track), MANIFEST))


def read_manifest(lake: storage.Location, track: Track) -> Manifest:
    """Return the track's manifest.

    Raise `LakeError` where the track is not in the lake (it says which are), or was written by
    a version with another schema.
    """
    path = storage.join(track_folder(lake, track), MANIFEST)
    try:
        text = storage.read_bytes(path)
    except FileNotFoundError:
        raise LakeError(_not_there(lake, track)) from None
    again = f"run poise ingest --track {track} --force to make it anew"
    try:
        version = json.loads(text)["schema_version"]
        if version != SCHEMA_VERSION:
            raise LakeError(
                f"{path}: schema version {version!r}, this Poise reads {SCHEMA_VERSION}; {again}"
            )
        manifest = _PARSER.validate_json(text)
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LakeError(f"{path}: not a manifest ({in_short(error)}); {again}") from None
    if manifest.track != str(track):
        raise LakeError(
            f"{path} is of {manifest.track}, in the folder of {track}: move it to its own place"
        )
    return manifest


def write_manifest(lake: storage.Location, manifest: Manifest) -> None:
    """Write the track's manifest, whole or not at all: from here on the track is in the lake."""
    folder = track_folder(lake, manifest.track_name)
    storage.write_bytes(storage.join(folder, MANIFEST), manifest.to_json().encode())


def manifest_hash(manifest: Manifest) -> str:
    """Return a short hash of the rows: equal for two ingests that wrote the same data."""
    splits = {name: asdict(summary) for name, summary in sorted(manifest.splits.items())}
    content = {"schema": manifest.schema_version, "track": manifest.track, "splits": splits}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def tracks_in(lake: storage.Location) -> list[str]:
    """Return the names of the tracks in the lake, sorted."""
    found = []
    for dataset in storage.list_dir(lake):
        for folder in storage.list_dir(storage.join(lake, dataset)):
            if storage.exists(storage.join(lake, dataset, folder, MANIFEST)):
                estimator, _, representation = folder.rpartition("-")
                found.append(f"{dataset}/{estimator}/{representation}")
    return sorted(found)


def check_name(lake: storage.Location, track: Track) -> None:
    """Raise `LakeError` where the lake has another track whose name differs in case alone."""
    there = tracks_in(lake)
    twin = same_but_for_case(str(track), there)
    if twin is not None and str(track) not in there:
        raise LakeError(
            f"the lake {lake} has {twin} already, which differs from {track} only in case: on some "
            "disks and in some registries these are one name, so choose another name"
        )


def _not_there(lake: storage.Location, track: Track) -> str:
    present = ", ".join(tracks_in(lake)) or "no track yet"
    return (
        f"{track} is not in the lake {lake} (it has {present}); "
        f"run: poise ingest --track {track} --lake {lake}"
    )
