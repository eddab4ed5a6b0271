"""What users hand in by mistake, through info, convert and refine: an answer, or the motion."""

import io
import json
import os
import pickle
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poise.cli.main import main

#: Made by the code in a pickle, should anything run it.
CALLED = Path(tempfile.gettempdir()) / f"poise-ran-input-{os.getpid()}"
FRAMES = 12
HEADER = "frame,nose_x,nose_y,tail_x,tail_y\n"
ROWS = [f"{n},{n}.25,7.5,{2 * n}.125,9\n" for n in range(FRAMES)]
TABLE = HEADER + "".join(ROWS)


class Code:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CALLED}",)


def entry(image: int, joints: int = 17, x: float = 0.0) -> dict[str, object]:
    numbers = [value for at in range(joints) for value in (x + at + 0.5 * image, 20.0 + at, 0.9)]
    return {"image_id": image, "category_id": 1, "keypoints": numbers, "score": 0.5}


def coco(*rows: object) -> bytes:
    return json.dumps(rows).encode()


def bomb() -> bytes:
    head, out = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (2_000_000, 17, 3)}
    )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("poses.npy", head.getvalue() + bytes(80 * 2**20))
    return out.getvalue()


def npy(array: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


def openpose(numbers: tuple[int, ...], empty: int) -> dict[str, bytes]:
    def people(number: int) -> list[object]:
        joints = [float(number + 1), 3.0, 0.9] * 25
        return [] if number == empty else [{"person_id": [-1], "pose_keypoints_2d": joints}]

    return {
        f"frame_{number}.json": json.dumps({"people": people(number)}).encode()
        for number in numbers
    }


#: Name, content (of a folder by name), and what is said of it; nothing where it is read.
CASES: dict[str, tuple[str, bytes | dict[str, bytes], str]] = {
    "truncated": ("x.json", coco(entry(1), entry(2))[:300], "line 1, column 301: JSON that ends"),
    "mixed joints": ("x.json", coco(entry(1), entry(2, 26)), "entry 1: 26 joints, the entries"),
    "people come and go": (
        "x.json",
        coco(*[entry(n) for n in range(FRAMES)], *[entry(n, x=400.0) for n in (3, 4, 9)]),
        "",
    ),
    "empty frames, unsorted": ("x", openpose((*range(9), 10, 9), 4), ""),
    "no frames": ("x.csv", HEADER.encode(), "no frames below its header"),
    "nobody": ("x.json", b"[]", "no keypoint file"),
    "one frame": ("x.csv", (HEADER + ROWS[0]).encode(), ""),
    "a joint that is never there": (
        "x.csv",
        (HEADER + "".join(f"{n},{n}.5,1,,\n" for n in range(FRAMES))).encode(),
        "",
    ),
    "wrong extension": ("x.json", npy(np.random.default_rng(0).random((FRAMES, 17, 3))), ""),
    "no text at all": ("x.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no keypoint file"),
    "half a letter": ("x.csv", TABLE.encode("utf-16")[:-1], "is no UTF-16"),
    "byte order mark, CRLF": ("x.csv", b"\xef\xbb\xbf" + TABLE.replace("\n", "\r\n").encode(), ""),
    "decimal commas": ("x.csv", TABLE.replace(",", ";").replace(".", ",").encode(), ""),
    "latin-1": ("x.csv", TABLE.replace("tail", "nas\xe4l").encode("latin-1"), ""),
    "a frame twice": (
        "x.csv",
        b"frame,joint,x,y\n1,a,1,2\n1,a,3,4\n",
        "line 3: a of the same person and frame",
    ),
    "a word for a number": (
        "x.csv",
        (TABLE + "12,1,oops,3,4\n").encode(),
        f"line {FRAMES + 2}, cell 3: 'oops' is no number",
    ),
    "infinite": ("x.csv", (TABLE + "12,1,inf,3,4\n").encode(), "an infinite number"),
    "far away": ("x.csv", (TABLE + "12,1e9,2e9,1e9,-1e9\n").encode(), ""),
    "a pickle with code": ("x.pkl", pickle.dumps({"pose": Code()}), "no numbers|save the arrays"),
    "a zip bomb": ("x.npz", bomb(), "refused|damaged"),
    "too large": ("x.json", b"[{" + b" " * 2**17, "more than 268,435,456.*cut it into takes"),
}


def put(folder: Path, case: str) -> Path:
    name, content, _ = CASES[case]
    path = folder / name
    if isinstance(content, dict):
        path.mkdir()
        for one, inner in content.items():
            (path / one).write_bytes(inner)
        return path
    path.write_bytes(content)
    if case == "too large":
        os.truncate(path, 500 * 2**20)  # of holes, which take no room on disk
    return path


@pytest.mark.parametrize("case", CASES)
def test_an_odd_file_is_read_or_refused_and_stops_no_other(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.chdir(tmp_path)
    path, said = put(tmp_path, case).relative_to(tmp_path), CASES[case][2]
    (tmp_path / "good.csv").write_text(TABLE)
    status, before = 2 if said else 0, {one.name for one in tmp_path.iterdir()}
    rate = ["--fps", "25"]

    def told() -> str:
        shown = capsys.readouterr().err
        assert "Traceback" not in shown
        assert "Error" not in shown
        return shown

    def refused(shown: str) -> None:
        lines = [line for line in shown.splitlines() if line.startswith("poise: ")]
        assert len(lines) == (1 if said else 0), shown
        assert not said or lines[0].startswith(f"poise: {path}")

    assert main(["info", str(path), "good.csv", *rate]) == status
    refused(told())
    assert main(["convert", str(path), "new.npz", *rate]) == status
    refused(told())
    arguments = ["refine", str(path), "good.csv", "--refiner", "gaussian1d", *rate, "--no-track"]
    assert main(arguments) == status
    shown = told()
    assert not said or re.search(said, shown), shown
    new = {one.name for one in tmp_path.iterdir()} - before
    expected = {"good.poise.csv"}
    if not said:
        expected |= {"new.npz", f"{path.stem}.poise{path.suffix}"}
    assert new == expected
    assert not CALLED.exists()
