"""Small valid keypoint files of every format, to damage."""

import io
import json
import pickle
import struct
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from poise.catalog.joint_sets import joint_sets
from poise.motion.files import formats
from poise.motion.format import Format
from poise.motion.motion import Motion

_FRAMES: Final = 5
_FPS: Final = 50.0


@dataclass(frozen=True)
class Seed:
    """A file, or a folder of files.

    Attributes:
        name: of the file or folder.
        files: bytes by name; of a file one, under its own name.
    """

    name: str
    files: Mapping[str, bytes]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.name not in self.files


def seeds() -> dict[str, list[Seed]]:
    """Return valid files of each format, by its name; raise `KeyError` where one has none."""
    return {
        one.name: _BY_HAND[one.name]()
        if one.name in _BY_HAND
        else [_written(one, people) for people in (1, 2)]
        for one in formats()
    }


def _written(form: Format, people: int) -> Seed:
    """Have a format write a motion with gaps; formats that are not written have files by hand."""
    if form.write is None or form.only_over:
        raise KeyError(f"{form.name} has no seed: put one into {__name__}")
    rng = np.random.default_rng(len(form.name))
    dims = form.dims[(people - 1) % len(form.dims)]
    several = people if "people" in form.holds else 1
    joints = joint_sets()["coco17"].joints
    poses = rng.uniform(1, 900, (_FRAMES, several, len(joints), dims)).round(2)
    poses[1, 0, 3] = np.nan
    sure = rng.random(poses.shape[:3]).round(3) if "confidence" in form.holds else None
    motion = Motion(
        poses_FPJD=poses,
        joints=joints,
        people=tuple(map(str, range(several))),
        confidence_FPJ=sure,
        unit="mm" if dims == 3 else "px",
    ).at_rate(_FPS)
    ending = "" if form.endings[0] == "/" else form.endings[0]
    with tempfile.TemporaryDirectory() as folder:
        path = motion.write(Path(folder) / f"clip{ending}", form.name)
        if path.is_dir():
            return Seed(path.name, {one.name: one.read_bytes() for one in sorted(path.iterdir())})
        return Seed(path.name, {path.name: path.read_bytes()})


def _file(name: str, content: bytes) -> Seed:
    return Seed(name, {name: content})


def _npz(name: str, **arrays: Any) -> Seed:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return _file(name, out.getvalue())


def _mot() -> list[Seed]:
    rows = "".join(f"{n / 50:.2f}\t{n * 1.5:.3f}\t{-n:.3f}\n" for n in range(_FRAMES))
    head = "Coordinates\nversion=1\nnRows=5\nnColumns=3\ninDegrees=yes\nendheader\n"
    return [_file("clip.mot", f"{head}time\thip_flexion_r\tknee_angle_r\n{rows}".encode())]


def _bvh() -> list[Seed]:
    text = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine
  {
    OFFSET 0 10.5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 5 0
    }
  }
}
MOTION
Frames: 5
Frame Time: 0.02
"""
    row = "1.0 90.5 3.25 10.0 -5.0 0.5 1.0 2.0 3.0\n"
    return [_file("clip.bvh", (text + row * _FRAMES).encode())]


def _smoothnet() -> list[Seed]:
    def column(*entries: Any) -> Any:
        found = np.empty(len(entries), object)
        found[:] = entries
        return found

    rng = np.random.default_rng(0)
    poses = [rng.random((length, 51)).astype(np.float32) for length in (5, 3)]
    images = [[f"S1/walk_{at}/{n}.jpg" for n in range(len(one))] for at, one in enumerate(poses)]
    objects = _npz("clip.npz", joints_3d=column(*poses), imgname=column(*images))
    plain = _npz(
        "clip.npz", keypoints_2d=np.stack([poses[0]] * 2)[..., :34], imgname=column(*images)
    )
    return [objects, plain]


def _amass() -> list[Seed]:
    parts: dict[str, Any] = {"trans": np.zeros((4, 3)), "gender": "neutral", "betas": np.zeros(16)}
    return [
        _npz("clip.npz", poses=np.zeros((4, 156)), mocap_framerate=60.0, **parts),
        _npz(
            "clip.npz",
            root_orient=np.zeros((4, 3)),
            pose_body=np.zeros((4, 63)),
            mocap_frame_rate=60.0,
            **parts,
        ),
    ]


def _smpl() -> list[Seed]:
    """Return what VIBE, WHAM, PHALP and GVHMR save, as pickles."""
    rng = np.random.default_rng(0)
    frames = np.array([2, 3, 5])
    vibe = {
        who: {
            "pose": rng.normal(size=(3, 72)).astype(np.float32),
            "betas": np.zeros((3, 10), np.float32),
            "joints3d": rng.normal(size=(3, 49, 3)).astype(np.float32),
            "joints2d": None,
            "frame_ids": frames + who,
        }
        for who in (1, 4)
    }
    wham: dict[int, dict[str, Any]] = defaultdict(dict)
    wham[0] = {
        "pose": np.zeros((3, 72)),
        "trans": np.zeros((3, 3)),
        "pose_world": rng.normal(scale=0.2, size=(3, 72)),
        "trans_world": rng.normal(size=(3, 3)),
        "betas": np.zeros((3, 10)),
        "frame_ids": frames,
    }
    one = {"global_orient": np.eye(3)[None], "body_pose": np.stack([np.eye(3)] * 23)}
    phalp = {
        f"outputs/_DEMO/clip/img/{n:06d}.jpg": {
            "time": n,
            "tid": [1, 2][: n % 3],
            "tracked_time": [0, 0][: n % 3],
            "smpl": [one | {"betas": np.zeros(10)}] * (n % 3),
            "3d_joints": [rng.normal(size=(45, 3))] * (n % 3),
        }
        for n in range(1, 6)
    }
    body = {
        "body_pose": rng.normal(scale=0.2, size=(4, 63)),
        "global_orient": np.zeros((4, 3)),
        "transl": rng.normal(size=(4, 3)),
        "betas": np.zeros((4, 10)),
    }
    gvhmr = {"smpl_params_global": body, "smpl_params_incam": body, "K_fullimg": np.eye(3)}
    return [_file("clip.pkl", pickle.dumps(each)) for each in (vibe, wham, phalp, gvhmr)]


def smpl_body() -> Seed:
    """Return a body model in SMPL's file structure: 24 joints in a line, a vertex at each."""
    return _npz(
        "SMPL_NEUTRAL.npz",
        v_template=np.arange(72.0).reshape(24, 3),
        shapedirs=np.zeros((24, 3, 10)),
        J_regressor=np.eye(24),
        kintree_table=np.stack([np.arange(24) - 1, np.arange(24)]),
    )


def _deeplabcut_h5() -> list[Seed]:
    import h5py

    columns = [
        ("net", part, axis) for part in ("nose", "tail") for axis in ("x", "y", "likelihood")
    ]
    rows = np.zeros(_FRAMES, [("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    rows["index"] = np.arange(_FRAMES)
    rows["values_block_0"] = np.arange(_FRAMES * len(columns)).reshape(_FRAMES, -1)
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps([(1, columns)], 0))
        group.create_dataset("table", data=rows)
    return [_file("clip.h5", out.getvalue())]


def _kinect() -> list[Seed]:
    rows = [
        ",".join([str(n * 333_000), *([f"{n}.25", "0.5", "-1.5", "2"] * 25)])
        for n in range(_FRAMES)
    ]
    return [_file("clip.csv", ("\n".join(rows) + "\n").encode())]


def _yolo() -> list[Seed]:
    """Return predictions of a tracker, and labels whose joints are seen or not."""
    rng = np.random.default_rng(0)

    def line(shown: float, *after: float) -> str:
        joints = np.hstack([rng.random((17, 2)).round(6), np.full((17, 1), shown)])
        joints[3] = 0.0
        numbers = (0.5, 0.5, 0.2, 0.4, *joints.ravel(), *after)
        return " ".join(["0", *(f"{one:g}" for one in numbers)])

    def folder(name: str, lines: Callable[[int], list[str]]) -> Seed:
        texts = {f"clip_{n}.txt": "\n".join(lines(n)) + "\n" for n in (2, 10, 11)}
        return Seed(name, {one: text.encode() for one, text in texts.items()})

    return [
        folder("tracks", lambda n: [line(0.75, 0.9, 1), line(0.5, 0.8, 7)]),
        folder("labels", lambda n: [line(2.0)]),
    ]


def _ultralytics() -> list[Seed]:
    """Return results of frames in a list, in objects with numbers, and in a folder."""
    rng = np.random.default_rng(0)

    def people(count: int) -> list[dict[str, Any]]:
        return [
            {
                "name": "person",
                "class": 0,
                "confidence": 0.91,
                "box": {"x1": 1.5, "y1": 2.5, "x2": 30.0, "y2": 90.0},
                "track_id": who + 1,
                "keypoints": {
                    "x": [0.0, *rng.uniform(1, 600, 16).round(5).tolist()],
                    "y": [0.0, *rng.uniform(1, 400, 16).round(5).tolist()],
                    "visible": rng.random(17).round(5).tolist(),
                },
            }
            for who in range(count)
        ]

    frames = [people(2), [], people(1), people(2)]
    numbered = [{"frame": 3 * n, "results": one} for n, one in enumerate(frames)]
    return [
        _file("clip.json", json.dumps(frames).encode()),
        _file("clip.json", json.dumps(numbered, indent=1).encode()),
        _folder_of("frames", frames),
    ]


def _mmpose() -> list[Seed]:
    """Return what is written of a video, and a folder with a file for each image."""
    frames = [
        [
            {
                "keypoints": [[10.25 * n + at, 20.5 + at] for at in range(17)],
                "keypoint_scores": [0.5 + at / 100 for at in range(17)],
                "bbox": [[1.0, 2.0, 3.0, 4.0]],
                "bbox_score": 0.75,
            }
            for _ in range(n % 3)
        ]
        for n in range(4)
    ]
    form = next(one for one in formats() if one.name == "mmpose")
    return [_written(form, 1), _written(form, 2), _folder_of("images", frames)]


def _folder_of(name: str, documents: list[Any]) -> Seed:
    files = {f"{n + 8:06d}.json": json.dumps(one).encode() for n, one in enumerate(documents)}
    return Seed(name, files)


def _azure() -> list[Seed]:
    """Return two bodies, of whom one is seen in each second frame."""
    joints = [[10.5 * at, -5.25 * at, 2000.0] for at in range(1, 33)]
    frames = [
        {
            "frame_id": n,
            "timestamp_usec": 33_333 * n,
            "num_bodies": 1 + n % 2,
            "bodies": [{"body_id": who, "joint_positions": joints} for who in range(1, 2 + n % 2)],
        }
        for n in range(_FRAMES)
    ]
    return [_file("clip.json", json.dumps({"frames": frames}).encode())]


def _zed() -> list[Seed]:
    joints = [[0.1 * at, -0.05 * at, -2.0] for at in range(1, 39)]
    body = {"id": 3, "keypoint": joints, "keypoint_confidence": [88.5] * 38}
    frames = {str(1_700_000_000_000 + 33 * n): {"body_list": [body]} for n in range(_FRAMES)}
    return [
        _file("clip.json", json.dumps(frames).encode()),
        _file("clip.json", json.dumps(list(frames.values())).encode()),
    ]


def _mvnx() -> list[Seed]:
    labels = ("Pelvis", "L5", "RightUpperArm", "LeftToe")
    segments = "".join(f'<segment id="{n}" label="{one}"/>' for n, one in enumerate(labels))
    kinds = ["identity", "npose", *["normal"] * _FRAMES]
    frames = "".join(
        f'<frame time="{max(n - 2, 0) * 16}" index="{max(n - 2, 0)}" type="{kind}">'
        f"<orientation>1 0 0 0</orientation><position>{'0.25 -1.5 0.9 ' * 4}</position></frame>"
        for n, kind in enumerate(kinds)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<mvnx version="4"><subject label="Anna" '
        f'frameRate="60"><segments>{segments}</segments><frames>{frames}</frames></subject></mvnx>'
    )
    return [_file("clip.mvnx", text.encode())]


def _kinovea() -> list[Seed]:
    """Return trajectories by the clock with decimal commas, and named ones by numbers."""
    head = "#Kinovea Trajectory data export\n#T X Y\n"
    old = "".join(f"0:00:00:{4 * n:02d} {n},50 20,25 \n" for n in range(_FRAMES))
    new = "".join(f"{40 * n} {n}.5 20.25\n" for n in range(_FRAMES))
    return [
        _file("clip.txt", f"{head}{old}\n\n{old}".encode()),
        _file("clip.txt", f"{head}\n# Knee\n{new}\n# Hip\n{new}".encode()),
    ]


def _pose() -> list[Seed]:
    """Return the body and a hand of two people, in both versions."""

    def text(word: str) -> bytes:
        return struct.pack("<H", len(word)) + word.encode()

    def component(name: str, points: tuple[str, ...]) -> bytes:
        head = text(name) + text("XYZC") + struct.pack("<HHH", len(points), 1, 1)
        return head + b"".join(map(text, points)) + struct.pack("<HHHHH", 0, 1, 255, 0, 0)

    rng = np.random.default_rng(0)
    points = joint_sets()["mediapipe33"].joints
    parts = component("POSE_LANDMARKS", points) + component("LEFT_HAND_LANDMARKS", ("WRIST", "TIP"))
    poses = rng.uniform(0, 600, (_FRAMES, 2, len(points) + 2, 3)).astype("<f4")
    sure = rng.random(poses.shape[:3]).astype("<f4")
    sure[1, 0, 3] = 0.0
    found = []
    for version, body in ((0.1, "<HHH"), (0.2, "<fIH")):
        head = struct.pack("<fHHHH", version, 640, 480, 0, 2) + parts
        content = head + struct.pack(body, 25, _FRAMES, 2) + poses.tobytes() + sure.tobytes()
        found.append(_file("clip.pose", content))
    return found


#: Of formats that are read only, written back only, or have dialects that nobody writes.
_BY_HAND: Final[dict[str, Callable[[], list[Seed]]]] = {
    "mot": _mot,
    "kinect-azure": _azure,
    "zed": _zed,
    "mvnx": _mvnx,
    "pose": _pose,
    "kinovea": _kinovea,
    "smpl": _smpl,
    "yolo": _yolo,
    "ultralytics": _ultralytics,
    "mmpose": _mmpose,
    "bvh": _bvh,
    "smoothnet": _smoothnet,
    "amass": _amass,
    "deeplabcut-h5": _deeplabcut_h5,
    "kinect": _kinect,
}
