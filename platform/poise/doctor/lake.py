"""The lake: can its manifests be read, and is every part there that they name?"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pyarrow import fs

from poise.catalog.splits import SPLITS
from poise.catalog.tracks import Track
from poise.doctor.finding import Finding
from poise.doctor.s3 import S3, endpoint
from poise.lake.manifest import KINDS, Manifest, part_paths, read_manifest, tracks_in
from poise.runtime import storage
from poise.runtime.errors import PoiseError, in_short
from poise.runtime.settings import VARIABLES, Settings

#: Fewer bytes are no Parquet file: its mark at either end, and a length.
_LEAST = 12
_MIB = 2**20


@dataclass
class _Parts:
    """Parts that manifests name, and those of them that are not what they should be."""

    count: int = 0
    size: int = 0
    missing: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


def check(settings: Settings) -> Iterator[Finding]:
    """Look at manifests and at the names and sizes of parts; no part is read."""
    where = endpoint(settings.lake)
    if where:
        storage_of_s3 = S3.asked(where)
        yield storage_of_s3.finding("lake")
        if not storage_of_s3.answers:
            return
    try:
        if not storage.exists(settings.lake):
            yield Finding(
                "lake", "skipped", f"{settings.lake} is not there yet: poise ingest makes it"
            )
            return
        names = tracks_in(settings.lake)
    except (PoiseError, OSError) as error:
        yield Finding(
            "lake.readable",
            "failed",
            str(error) if isinstance(error, PoiseError) else f"{settings.lake}: {in_short(error)}",
            f"look at --lake or ${VARIABLES['lake']}, at the rights, and s3:// at AWS_*",
        )
        return
    if not names:
        yield Finding("lake", "skipped", f"{settings.lake} holds no track yet: poise ingest")
        return
    parts = _Parts()
    for name in names:
        try:
            _look(settings.lake, read_manifest(settings.lake, Track.parse(name)), parts)
        except (PoiseError, OSError) as error:
            said = str(error) if isinstance(error, PoiseError) else f"{name}: {in_short(error)}"
            yield Finding(
                "lake.manifests", "failed", said, f"poise check {settings.lake} says more"
            )
    yield from _judged(settings.lake, names, parts)


def _look(lake: str, manifest: Manifest, parts: _Parts) -> None:
    for kind in KINDS:
        for split in SPLITS:
            named = part_paths(lake, manifest, kind, split)
            if not named:
                continue
            folder = named[0].rpartition("/")[0]
            there = _sizes(folder)
            for path in named:
                name = path.rpartition("/")[2]
                parts.count += 1
                parts.size += there.get(name, 0)
                if name not in there:
                    parts.missing.append(path)
                elif there[name] < _LEAST:
                    parts.cut.append(path)


def _sizes(folder: str) -> dict[str, int]:
    filesystem, path = storage.resolve(folder)
    found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return {info.base_name: info.size or 0 for info in found if info.type is fs.FileType.File}


def _judged(lake: str, names: list[str], parts: _Parts) -> Iterator[Finding]:
    again = (
        f"put them back, or make the track again: poise ingest --track TRACK --lake {lake}; "
        "poise check looks into every part"
    )
    for kind, lost in (("not there", parts.missing), ("cut off", parts.cut)):
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            yield Finding("lake.parts", "failed", f"{lost[0]}{more}: {kind}", again)
    if not (parts.missing or parts.cut):
        yield Finding(
            "lake.parts",
            "ok",
            f"{lake}: {len(names)} track{'s' if len(names) > 1 else ''}, {parts.count} parts of "
            f"{parts.size / _MIB:,.0f} MiB; poise check reads them",
        )
