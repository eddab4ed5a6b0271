"""Options and arguments that several commands take, each declared once."""

import functools
import inspect
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from poise.runtime.settings import MARKS, VARIABLES, Settings, misspelt

if TYPE_CHECKING:
    from poise.pvd.options import BulkFolder

log = logging.getLogger(__name__)

Command = Callable[..., int | None]

#: The track of those who name neither tracks nor data.
SYNTHETIC = "synthetic/simulated/3D"
MODEL = "a registered model (name, name@alias, name/version), a checkpoint folder, or poise:general"
_LAKE = "a folder, or a URI such as s3://bucket/lake"

Model = Annotated[str, typer.Option(metavar="MODEL", help=MODEL)]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL} or its URI")]
Tracks = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACK ...",
        help="dataset/estimator/representation, for example uiprmd/kinect/3D; may be repeated "
        "(all of the data folder, or of the plan)",
    ),
]
Stride = Annotated[
    int | None,
    typer.Option(
        metavar="FRAMES",
        min=1,
        help="between a network's windows (its own, mostly 1); 2 halves the cost",
    ),
]
CpuOk = Annotated[
    bool,
    typer.Option("--cpu-ok", help="train on the CPU where the plan wants a GPU and there is none"),
]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="write the figures here as JSON")]
JsonOutput = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]
Writers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=64,
        help="tasks writing to Milvus at once (one a CPU; embedded Milvus: one)",
    ),
]
Bulk = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URI",
        help="have Milvus read files instead of sending it rows, which passes by its proxy and "
        "its log; for a cluster that others use meanwhile. FOLDER, a path or s3://bucket/prefix, "
        "is where the files lie until then, and the server must be able to read it: in the bucket "
        "in which that Milvus keeps its own data, or, where it keeps them on a disk, a folder "
        "there. Not with the embedded Milvus, and one that is interrupted begins anew",
    ),
]
BulkSeenAs = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="what FOLDER is called where the server runs, for example in its container (the "
        "same path; of s3://bucket/prefix, prefix)",
    ),
]
LakeAndTracks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LAKE] [TRACK]...",
        help=f"LAKE: {_LAKE} (--lake); TRACK: dataset/estimator/representation (all of them)",
    ),
]
LakeAndTrack = Annotated[
    list[str],
    typer.Argument(
        metavar="[LAKE] TRACK",
        help=f"LAKE: {_LAKE} (--lake); TRACK: dataset/estimator/representation",
    ),
]

#: Metavariable, what it is where neither option nor variable is given, and type.
_SHARED: dict[str, tuple[str, str, Any]] = {
    "home": ("FOLDER", ".poise", Path | None),
    "data": ("FOLDER|URI", "none", str | None),
    "lake": ("FOLDER|URI", "HOME/lake", str | None),
    "milvus_uri": ("URI", "an embedded server", str | None),
    "tracking_uri": ("URI", "sqlite in HOME", str | None),
    "smpl": ("FOLDER", "none", Path | None),
}
_TRACK = re.compile(r"[^/:]+/[^/:]+/(2D|3D|smpl)")


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command some of the options of `Settings`, which is then its first argument.

    The settings are those of the process from then on, and of the processes that it starts. A
    command that takes a lake (``where``) works in the home that the lake lies in, unless --home
    says another: the lake's PVD is there.

    Args:
        names: fields of `Settings`; each is an option of the same name.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> int | None:
            told = {name: given.pop(name) for name in names}
            for name, near in misspelt():
                log.warning("$%s is no variable of Poise, and not read: perhaps $%s?", name, near)
            settings = Settings.use(**told)
            if "where" in given and told["home"] is None:
                lake, _ = lake_and_tracks(settings, given["where"] or [])
                settings = Settings.use(**{**told, "home": _home_of(lake)})
            return command(settings, **given)

        signature = inspect.signature(command)
        own = list(signature.parameters.values())[1:]
        parameters = [*own, *map(_shared, names)]
        # typer reads both.
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def lake_and_tracks(settings: Settings, given: Sequence[str]) -> tuple[str, list[str]]:
    """Tell a lake from the tracks behind it: the first word, unless that is a track's name."""
    if given and not _TRACK.fullmatch(given[0]):
        return given[0], list(given[1:])
    return settings.lake, list(given)


def lake_and_track(settings: Settings, given: Sequence[str]) -> tuple[str, str]:
    """Tell a lake from the one track behind it; the lake may be left out."""
    lake, tracks = lake_and_tracks(settings, given)
    if len(tracks) != 1:
        raise typer.BadParameter("name one track, for example uiprmd/kinect/3D")
    return lake, tracks[0]


def bulk_of(settings: Settings, folder: str | None, seen_as: str | None) -> "BulkFolder | None":
    """Return the folder of ``--bulk``; None where rows are to be sent.

    Raises:
        ImportFailedError: with these options Milvus cannot import.
    """
    if folder is None and seen_as is None:
        return None
    from poise.pvd.options import BulkFolder
    from poise_retrieval.errors import ImportFailedError

    if folder is None:
        raise ImportFailedError("--bulk-seen-as is another name of --bulk's folder: give both")
    if settings.milvus_uri is None:
        raise ImportFailedError(
            "the embedded Milvus cannot import files: leave --bulk out, or name a full-size Milvus "
            "with --milvus-uri"
        )
    return BulkFolder(folder, seen_as)


def _home_of(lake: str) -> Path | None:
    """Return the home a lake lies in; None where it lies elsewhere."""
    place = Path(lake).absolute()
    if "://" in lake or place.name != "lake":
        return None
    return place.parent if any((place.parent / one).exists() for one in MARKS) else None


def _shared(name: str) -> inspect.Parameter:
    metavar, unset, kind = _SHARED[name]
    text = f"{Settings.model_fields[name].description} (${VARIABLES[name]}, else {unset})"
    flag = f"--{name.replace('_', '-')}"
    option = typer.Option(flag, metavar=metavar, help=text, rich_help_panel="Where things are")
    annotation = Annotated[kind, option]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
