"""Damaged, hostile and odd keypoint files: an answer in one line, or a motion that is right."""

import io
import json
import os
import pickle
import random
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poise.cli.main import main
from poise.motion.files import read
from poise.runtime.errors import DataError

TRC = (
    "PathFileType\t4\t(X/Y/Z)\tx.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
    "60\t60\t2\t2\tm\nFrame#\tTime\tRHip\t\t\tLHip\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
)
ROW = "1\t0.00\t0.1\t0.2\t0.3\t1\t2\t3\n"


def coco(*rows: object) -> bytes:
    return json.dumps(rows).encode()


def entry(image: object = 1, keypoints: object = None, **more: object) -> dict[str, object]:
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": keypoints or [1.5, 2.5, 0.5] * 17,
    } | more


def npy(array: object, **options: bool) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array), **options)
    return out.getvalue()


#: Made by the code in a pickle, should anything run it.
CALLED = Path(tempfile.gettempdir()) / f"poise-ran-code-{os.getpid()}"


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {CALLED}",)


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        head = npy(np.zeros((1, 1)))[:128].replace(b"(1, 1), ", b"(4000000, 17, 3), ")
        archive.writestr("poses.npy", head[:128] + bytes(300 * 2**20))
    return out.getvalue()


def trc(*rows: str) -> bytes:
    return (TRC + "".join(rows)).encode()


def npz(**arrays: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    return out.getvalue()


AMASS = npz(
    poses=np.zeros((4, 156)), trans=np.zeros((4, 3)), mocap_frame_rate=60.0, gender="neutral"
)


def arrow(columns: dict[str, Any]) -> bytes:
    """A stream of Arrow's of one batch."""
    out, batch = io.BytesIO(), pa.RecordBatch.from_pydict(columns)
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return out.getvalue()


#: Two billion numbers, in as many bytes as one.
A_RUN: Any = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1]), pa.array([1.0]))
ONE_JOINT = {"frame": [1, 2], "nose_x": [1.0, 2.0], "nose_y": [1.0, 2.0]}
BAD = {
    "nothing.json": (b"", "nothing.json: is empty"),
    "blanks.csv": (b"\n\n  \n", "no keypoint file"),
    "picture.json": (b"\x89PNG\r\n\x1a\n\0\0\0\0", "no keypoint file"),
    "cut.json": (coco(entry(), entry())[:200], "line 1, column 201: JSON that ends too early"),
    "no.json": (b"[1, 2", "ends too early"),
    "deep.json": (b"[" * 100_000, "nested too deep"),
    "digits.json": (b"[" + b"9" * 10_000 + b"]", "no JSON|no keypoint file"),
    "mixed.json": (coco(entry(), entry(2, [1.0, 2, 0.5] * 26)), "entry 1: 26 joints"),
    "half.json": (coco(entry(1, [1.0, 2.0])), "entry 0: its keypoints are 2 numbers"),
    "text.json": (coco(entry(1, ["a", 2, 3])), "entry 0.*no finite number"),
    "huge.json": (b'[{"image_id": 1, "keypoints": [1e999, 2, 1]}]', "entry 0.*no finite number"),
    "noimage.json": (coco(entry(None)), "image_id None names no image"),
    "header.trc": (TRC.encode()[:150], "no frames below its header"),
    "noframes.trc": (trc(), "no frames below its header"),
    "word.trc": (trc(ROW, ROW.replace("0.2", "oops")), "line 7, cell 4: 'oops' is no number"),
    "back.trc": (trc(ROW, ROW.replace("0.00", "-1")), "line 7: its time lies before"),
    "infinite.trc": (trc(ROW, ROW.replace("0.2", "inf")), "line 7, cell 4: an infinite number"),
    "utf16.trc": (trc(ROW).decode().encode("utf-16")[:-1], "no UTF-16-LE text"),
    "twice.csv": (b"frame,joint,x,y\n1,a,1,2\n1,a,3,4\n", "line 3: a of the same person and frame"),
    "frame.csv": (b"frame,nose_x,nose_y\n1,1,2\n1.5,3,4\n", "line 3: has no whole frame number"),
    "prose.md": (
        b"gait of person x, y, z axes, left_x, left_y\nup (mm), and, so, on, then\n",
        "no keypoint",
    ),
    "empty.json": (b"", "is empty; copy or export it again"),
    "cut.csv": (b"frame,nose_x,nose_y\n1,0.25,0.5\n2,0.2", r"line 3: ends after 2 of 3 cells.*cut"),
    "cut.trc": (trc(ROW, ROW.replace("1", "2", 1)[:-6]), "ends after .* cells, without a line end"),
    "norows.csv": (b"frame,nose_x,nose_y\n", "no frames below its header"),
    "objects.npy": (npy([Bomb()], allow_pickle=True), "holds object|no numbers|refused"),
    "empty.npy": (npy(np.zeros((0, 17, 3))), "shape \\(0, 17, 3\\)"),
    "flat.npy": (npy(np.zeros(7)), "shape \\(7,\\)"),
    "cut.npy": (npy(np.zeros((5, 17, 3)))[:-9], "no whole npy file"),
    "bomb.npz": (zip_bomb(), "refused|damaged"),
    "cut.npz": (zip_bomb()[:2000], "not a readable npz"),
    "cut.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "no whole HDF5 file"),
    "cut.parquet": (b"PAR1" + bytes(100), "no whole Parquet file"),
    "cut.arrow": (arrow(ONE_JOINT)[:-30], "no whole Arrow file"),
    "nothing.arrow": (arrow({"frame": [], "nose_x": [], "nose_y": []}), "no rows"),
    "runs.arrow": (arrow({"frame": A_RUN}), "refused: .* bytes"),
    "nested.arrow": (arrow({"frame": [1], "nose_x": [[[1.0]]], "nose_y": [[[2.0]]]}), "no numbers"),
    "words.arrow": (arrow({"frame": [1], "nose_x": ["far"], "nose_y": ["up"]}), "no numbers"),
    "other.arrow": (arrow({"a": [1]}), "its columns are a; expected frame"),
    "cut.c3d": (b"\x02\x50" + bytes(600), "C3D"),
    "cut.bvh": (b"HIERARCHY\nROOT Hips\n{\n", "bvh"),
    "run.pkl": (pickle.dumps(Bomb()), "a pickle.*np.savez"),
    "amass.npz": (AMASS, r"an SMPL body; name the folder .* in \$POISE_SMPL"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_answered_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, said = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as told:
        read(path)
    text = str(told.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert "Error" not in text
    assert not CALLED.exists()
    assert main(["info", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "none.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no keypoint folder"):
        read(tmp_path / "empty")
    with pytest.raises(DataError, match="no format 'nope'; there are trc"):
        read(tmp_path, format="nope")


def test_a_link_out_of_a_folder_is_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "take", tmp_path / "secret.json"
    folder.mkdir()
    outside.write_text('{"people": []}')
    (folder / "frame_1.json").symlink_to(outside)
    with pytest.raises(DataError, match=r"frame_1\.json: a link out of its folder"):
        read(folder)


def test_frames_are_in_the_order_of_their_numbers_not_of_text(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        people = [{"person_id": [-1], "pose_keypoints_2d": [float(number), 3.0, 0.9] * 25}]
        text = json.dumps({"version": 1.3, "people": people if number != 2 else []})
        (tmp_path / f"frame_{number}.json").write_text(text)
    motion = read(tmp_path)
    assert motion.frames_F.tolist() == [1, 2, 10]
    np.testing.assert_array_equal(motion.poses_FPJD[:, 0, 0, 0], [1, np.nan, 10])


@pytest.mark.parametrize(
    ("change", "line_end"),
    [
        (lambda text: text.encode(), b"\n"),
        (lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), b"\r\n"),
        (lambda text: text.encode("utf-16"), b"\n\0"),
        (lambda text: text.replace("Nase", "N\xe4se").encode("latin-1"), b"\n"),
        (lambda text: text.replace(",", ";").replace(".", ",").encode(), b"\n"),
        (lambda text: text.replace(",", "\t").encode(), b"\n"),
    ],
    ids=["plain", "bom and crlf", "utf-16", "latin-1", "decimal commas", "tabs"],
)
def test_a_table_keeps_how_it_is_written(
    change: Callable[[str], bytes], line_end: bytes, tmp_path: Path
) -> None:
    text = "frame,note,Nase_x,Nase_y\n" + "".join(f"{n},a b,{n}.25,7.5\n" for n in range(4))
    path = tmp_path / "clip.csv"
    path.write_bytes(change(text))
    motion = read(path)
    np.testing.assert_array_equal(motion.poses_FPJD[:, 0, 0], [[n + 0.25, 7.5] for n in range(4)])
    poses = motion.poses_FPJD.copy()
    poses[2, 0, 0, 0] = 9.5
    again = motion.with_poses(poses).write(tmp_path / "new.csv").read_bytes().split(line_end)
    before = path.read_bytes().split(line_end)
    assert [place for place in range(len(before)) if before[place] != again[place]] == [3]
    assert read(tmp_path / "new.csv").poses_FPJD[2, 0, 0, 0] == 9.5


def test_people_come_and_go_and_twins_are_told_apart(tmp_path: Path) -> None:
    rows = [entry("2.jpg", idx=[[0.0]]), entry("10.jpg", idx=0.0), entry("2.jpg", idx=[1.0])]
    (tmp_path / "ids.json").write_bytes(coco(*rows, entry("10.jpg", idx=[0])))
    motion = read(tmp_path / "ids.json")
    assert motion.people == ("0", "0_2", "1")
    assert motion.frames_F.tolist() == [2, 10]
    assert motion.seen_FPJ.any(-1).tolist() == [[True, False, True], [True, True, False]]


def test_one_frame_and_far_coordinates_are_no_fault(tmp_path: Path) -> None:
    np.save(tmp_path / "far.npy", np.full((1, 33, 3), 1e9))
    assert len(read(tmp_path / "far.npy")) == 1
    assert main(["info", str(tmp_path / "far.npy")]) == 0


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).random((4, 33, 2)))
    assert main(["convert", str(tmp_path / "clip.npy"), str(tmp_path / "clip.trc")]) == 2
    assert main(["convert", str(tmp_path / "clip.npy"), str(tmp_path / "clip.npy")]) == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    arguments = ["convert", str(tmp_path / "clip.npy"), str(tmp_path / "full"), "--overwrite"]
    assert main(arguments) == 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["clip.npy", "full"]
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


SAMPLES = Path(os.environ.get("POISE_DATA", "none")) / "keypoint_files"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SAMPLES.glob("*")) if path.suffix != ".md"],
    ids=lambda path: path.name,
)
def test_damaged_copies_end_in_a_motion_or_a_line(path: Path, tmp_path: Path) -> None:
    whole = (
        path.read_bytes()[:60_000]
        if path.suffix in (".json", ".csv", ".trc")
        else path.read_bytes()
    )
    chance = random.Random(path.name)
    for _ in range(8):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 5, 100))):
            content[chance.randrange(min(len(content), 20_000))] = chance.randrange(256)
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        copy = tmp_path / path.name
        copy.write_bytes(content)
        started = time.thread_time()
        with suppress(DataError):
            read(copy)
        assert time.thread_time() - started < 20
