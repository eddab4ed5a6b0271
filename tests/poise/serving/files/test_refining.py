"""Files over HTTP without HTTP: what a worker answers, and that it outlives what files do to it."""

import asyncio
import io
import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.exceptions import RequestValidationError

from poise.client.playing import sample_path
from poise.motion.files import formats, read
from poise.refining.options import Options
from poise.refining.refine import refine
from poise.runtime.errors import DataError
from poise.serving.files import refining, workers
from poise.serving.files.asked import FileOptions, checked, is_file
from poise.serving.files.form import files_of
from poise.serving.files.refining import answered
from poise.serving.files.workers import Workers

OCTETS = "application/octet-stream"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(accept: str = "", content_type: str = OCTETS, **options: Any) -> dict[str, Any]:
    given = FileOptions.model_validate({"refiner": "butterworth", **options})
    model = {"name": "butterworth", "version": None, "track": None}
    return {**checked(given, {}, accept), "content_type": content_type, "model": model}


def form(*files: tuple[str, bytes]) -> tuple[str, bytes]:
    parts = [
        f'--line\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return "multipart/form-data; boundary=line", b"".join(parts) + b"--line--\r\n"


def wide(folder: Path, *ending: str) -> bytes:
    path = folder / ("given" + "".join(ending))
    read(sample_path()).write(path)
    content = path.read_bytes()
    path.unlink()
    return content


@pytest.mark.parametrize("ending", [".trc", ".csv", ".parquet", ".arrow", ".npz"])
def test_a_file_comes_back_as_the_command_would_write_it(folder: Path, ending: str) -> None:
    content = wide(folder, ending)
    about, answer = answered(asked(filename=f"walk{ending}"), content)
    assert (about["status"], about["filename"]) == (200, f"walk.poise{ending}")
    (folder / f"given{ending}").write_bytes(content)
    expected = refine(read(folder / f"given{ending}"), Options(refiner="butterworth"))
    (folder / f"came{ending}").write_bytes(answer)
    came = read(folder / f"came{ending}")
    np.testing.assert_allclose(came.poses_FPJD, expected.after.poses_FPJD, atol=1e-5)
    assert not list(folder.glob("walk*")), "what came is removed"


def test_arrays_and_json_say_the_same() -> None:
    content = sample_path().read_bytes()
    _, packed = answered(asked("application/x-npz"), content)
    _, text = answered(asked("application/json"), content)
    arrays, values = np.load(io.BytesIO(packed)), json.loads(text)
    about = json.loads(arrays["about"].tobytes())
    for same in ("joints", "report", "model", "retrieval"):
        assert about[same] == values[same], same
    assert (about["model"]["name"], about["retrieval"]) == ("butterworth", "none")
    assert set(values["timing"]) == {"parse", "network"}
    poses = np.array(values["people"][0]["poses"])
    np.testing.assert_allclose(arrays["after"][:, 0], poses, atol=1e-6)
    assert arrays["before"].shape == arrays["after"].shape == (100, 1, 17, 3)
    assert arrays["state"].shape == arrays["error"].shape == (100, 1, 17)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.file;q=0.9", "application/vnd.apache.arrow.file"),
        ("image/png, text/csv, application/json", "text/csv"),
        ("*/*", OCTETS),
    ],
)
def test_the_answer_is_of_the_type_that_is_accepted(accept: str, kind: str) -> None:
    about, _ = answered(asked(accept), sample_path().read_bytes())
    assert about["type"] == kind


@pytest.mark.parametrize("form_", [one.name for one in formats() if one.write and 3 in one.dims])
def test_every_format_that_is_offered_is_written(form_: str) -> None:
    content = sample_path().read_bytes()
    _, text = answered(asked("application/json"), content)
    offered = {one["name"] for one in json.loads(text)["written"]}
    about, answer = answered(asked(to=form_), content)
    assert (about["status"] == 200) == (form_ in offered), about
    if about.get("type") == "application/zip":
        assert zipfile.ZipFile(io.BytesIO(answer)).namelist()


def test_a_form_of_frames_is_a_folder() -> None:
    person = {"pose_keypoints_2d": [10.0, 20.0, 0.9] * 25}
    frames = [
        (f"{f:03d}_keypoints.json", json.dumps({"version": 1.3, "people": [person]}).encode())
        for f in range(8)
    ]
    kind, body = form(*frames)
    about, text = answered(asked("application/json", kind), body)
    assert about["status"] == 200, about
    found = json.loads(text)
    assert (found["frames"], found["format"], len(found["joints"])) == (8, "openpose", 25)


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("multipart/form-data", b"", "boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\n", "does not end"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "does not end"),
        ("multipart/form-data; boundary=x", b"--x\r\nno head\r\n--x--", "without a head"),
        ("multipart/form-data; boundary=x", b"--x\r\na: b\r\n\r\nc\r\n--x--", "no file"),
    ],
)
def test_what_is_no_form_is_said(kind: str, body: bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        files_of(kind, body)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\a.trc", "/a.trc", ".trc", "...", "a\0\nb.trc", "ü" * 400]
)
def test_names_stay_in_the_folder(folder: Path, name: str) -> None:
    kind, body = form((name, b"hello"), ("x.json", b"{}"))
    for about, _ in (
        answered({**asked(), "filename": name}, b"hello"),
        answered({**asked(content_type=kind), "filename": name}, body),
    ):
        assert about["status"] == 422
        assert str(folder) not in about["message"]
    assert not list(folder.iterdir())


def test_more_than_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refining, "MAX_FRAMES", 99)
    about, _ = answered(asked(), sample_path().read_bytes())
    assert about["message"] == "100 frames, more than 99: split the recording"


@pytest.mark.parametrize("name", ["format", "to", "skeleton", "refiner"])
def test_names_that_lead_nowhere_are_refused(name: str) -> None:
    with pytest.raises(RequestValidationError) as caught:
        asked(**{name: "/etc/passwd"})
    assert caught.value.errors()[0]["loc"] == ("query", name)


def test_files_are_told_from_requests() -> None:
    assert is_file(OCTETS, FileOptions())
    assert is_file("Multipart/Form-Data; boundary=x", FileOptions())
    assert is_file("application/json", FileOptions(filename="a.json"))
    for kind in ("application/vnd.apache.arrow.stream", "application/x-npz", "text/csv"):
        assert is_file(kind, FileOptions())
    assert not is_file("application/json", FileOptions())
    assert not is_file("", FileOptions())


@pytest.fixture
def pool() -> Iterator[Workers]:
    found = Workers(1)
    yield found
    found.close()


def test_a_worker_that_holds_much_ends_after_its_file(
    pool: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk() -> None:
        about, _ = await pool.answer(asked(), sample_path().read_bytes())
        assert (about["status"], about["last"], len(pool._idle)) == (200, False, 1)
        [worker] = pool._idle
        answer = worker.answer

        def as_if_last(*message: Any) -> Any:
            about, content = answer(*message) or ({}, b"")
            return {**about, "last": True}, content

        monkeypatch.setattr(worker, "answer", as_if_last)
        about, _ = await pool.answer(asked(), sample_path().read_bytes())
        assert about["status"] == 200
        assert worker._process.poll() is not None
        assert not pool._idle

    asyncio.run(talk())


def test_a_worker_that_dies_costs_its_file_alone(
    pool: Workers, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    content = sample_path().read_bytes()

    async def talk() -> None:
        about, _ = await pool.answer(asked(), content)
        assert about["status"] == 200, about
        [worker] = pool._idle
        place = Path(worker._folder)
        assert place.is_dir()
        os.kill(worker._process.pid, signal.SIGKILL)
        about, _ = await pool.answer(asked(), content)
        assert about["status"] == 422
        assert "split" in about["message"]
        assert not place.exists()
        monkeypatch.setattr(workers, "LONGEST_S", 0.01)
        about, _ = await pool.answer(asked(), content)
        assert "longer" in about["message"]
        monkeypatch.setattr(workers, "LONGEST_S", 60.0)
        about, _ = await pool.answer(asked(), content)
        assert about["status"] == 200

    asyncio.run(talk())
