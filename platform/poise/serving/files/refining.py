"""A file's bytes in, refined motion out: what a worker does, in the folder where it stands."""

import io
import json
import math
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.motion.files import can_write, format_called, formats, lost, read
from poise.motion.format import Format, Parts, Written
from poise.motion.motion import Motion
from poise.refining.options import Options
from poise.refining.refine import Refining, refine
from poise.refining.reporting.report import report_of
from poise.runtime.errors import DataError, expected_errors
from poise.runtime.printable import printable
from poise.serving.files.asked import ARCHIVE, ENDINGS, FORM, NPZ, OCTETS
from poise.serving.files.content import arrays_of, as_json, summary
from poise.serving.files.form import files_of
from poise.serving.schema import MAX_FRAMES

Answer = tuple[dict[str, Any], bytes]
#: Of one file.
MOST_PEOPLE: Final = 64
MOST_PLACES: Final = 3_000_000
_JSON: Final = "application/json"


def answered(asked: dict[str, Any], body: bytes) -> Answer:
    """Refine a file, and say how it went; never raise what can be said in a line."""
    try:
        return _refined(asked, body)
    except expected_errors() as error:
        return {"status": 422, "message": printable(error)}, b""
    except MemoryError:
        return {"status": 422, "message": "it needs more memory than there is: cut it"}, b""


def _refined(asked: dict[str, Any], body: bytes) -> Answer:
    source = _laid_out(asked, body)
    try:
        times = [time.perf_counter()]
        motion = read(source, **asked["reading"])
        _check_size(motion, asked.get("most", {}))
        options = Options(**asked["options"])
        form = _form(motion, asked)  # before the work, so that what cannot be fails at once
        times.append(time.perf_counter())
        refining = refine(motion, options)
        times.append(time.perf_counter())
        spent = dict(zip(("parse", "network"), np.diff(times).round(6).tolist(), strict=True))
        head, content = _answer(refining, options, {**asked, "timing": spent}, form)
        timing = {**spent, "format": round(time.perf_counter() - times[-1], 6)}
        seconds = timing["network"] + timing["format"]
        return {**head, "frames": len(motion), "seconds": seconds, "timing": timing}, content
    finally:
        shutil.rmtree(source) if source.is_dir() else source.unlink(missing_ok=True)


def _laid_out(asked: dict[str, Any], body: bytes) -> Path:
    """Put a body where readers find it: a file, or a folder of the files of a form."""
    kind = asked["content_type"]
    name = _safe(asked["filename"] or "motion")
    if not kind.lower().startswith(FORM):
        Path(name).write_bytes(body)
        return Path(name)
    files = files_of(kind, body)
    if len(files) == 1:
        given, content = files[0]
        path = Path(_safe(asked["filename"] or given))
        path.write_bytes(content)
        return path
    folder = Path(Path(name).stem or "motion")
    folder.mkdir()
    for given, content in files:
        (folder / _safe(given)).write_bytes(content)
    return folder


def _safe(name: str) -> str:
    """The last part of a name, as any file system takes it."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(c if c.isalnum() or c in "-_. ()+" else "_" for c in printable(last))
    stem, dot, ending = plain.lstrip(". ").rpartition(".")
    return f"{stem[:80]}{dot}{ending[:12]}" if stem else ending[:80] or "motion"


def _check_size(motion: Motion, most_of: dict[str, int | None]) -> None:
    """Refuse more than may be, or than the client may send."""
    frames, people, joints, _ = motion.poses_FPJD.shape
    for count, most, what in (
        (frames, MAX_FRAMES, "frames"),
        (people, MOST_PEOPLE, "people"),
        (frames * people * joints, MOST_PLACES, "places of joints"),
    ):
        most = min(most, most_of.get(what) or most)
        if count > most:
            raise DataError(f"{count:,} {what}, more than {most:,}: split the recording")


def _form(motion: Motion, asked: dict[str, Any]) -> str | None:
    """Name of the format to answer in; None where the client takes arrays or JSON."""
    if asked["to"] is None and asked["accept"] in (NPZ, _JSON):
        return None
    if asked["to"] is None:
        own = format_called(motion.format)
        if own.write is None:
            raise DataError(f"{motion.format} is read and not written: ask for another with to=")
        return own.name
    form = format_called(asked["to"])
    if not _writes(form, motion):
        able = ", ".join(one.name for one in formats() if _writes(one, motion))
        raise DataError(f"{form.name} is not written of this file; there are {able}")
    return form.name


def _answer(
    refining: Refining, options: Options, asked: dict[str, Any], form: str | None
) -> Answer:
    if form is not None:
        return _file(refining.after, form)
    report = report_of(refining, options).to_json()
    about = {
        **summary(refining),
        "written": _written(refining.after),
        "report": _plain(report),
        "model": asked["model"],
        "retrieval": "none",  # as in `poise refine`
        "timing": asked["timing"],
    }
    if asked["accept"] == NPZ:
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        packed = io.BytesIO()
        arrays: dict[str, Any] = {"about": text, **arrays_of(refining)}
        np.savez(packed, **arrays)
        return {"status": 200, "type": NPZ}, packed.getvalue()
    return {"status": 200, "type": _JSON}, json.dumps(as_json(refining, about)).encode()


def _file(motion: Motion, name: str) -> Answer:
    form = format_called(name)
    assert form.write is not None  # noqa: S101  (`_form` looked)
    written: Written = form.write(motion)
    stem = motion.source.stem if motion.source else "motion"
    if isinstance(written, Parts):
        written = b"".join(written.parts)
    if isinstance(written, bytes):
        ending = next((one for one in form.endings if one != "/"), "")
        own = motion.source and motion.source.suffix.lower()
        ending = own if form.name == motion.format and own in form.endings else ending
        kind = ENDINGS.get(ending, OCTETS)
        return {"status": 200, "type": kind, "filename": f"{stem}.poise{ending}"}, written
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, content in written:
            archive.writestr(inside, content)
    return {"status": 200, "type": ARCHIVE, "filename": f"{stem}.poise.zip"}, packed.getvalue()


def _written(motion: Motion) -> list[dict[str, Any]]:
    """Formats that this motion can be written in, its own first, and what each cannot hold."""
    found = []
    for form in formats():
        if not _writes(form, motion):
            continue
        lacks = [] if form.name == motion.format else lost(motion, form)
        found.append({"name": form.name, "ending": form.endings[0], "lost": lacks})
    return sorted(found, key=lambda one: one["name"] != motion.format)


def _writes(form: Format, motion: Motion) -> bool:
    return motion.dims in form.dims and can_write(form, motion)


def _plain(value: Any) -> Any:
    """The same without numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
