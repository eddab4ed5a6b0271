"""Whatever happens in reading one take leaves out that take alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bodies import write_amass, write_body
from tests.support.markers import LABELS, markers, write_c3d
from tests.support.takes import write_amc, write_asf, write_person

from poise.mocap import clip, recordings, skeleton_map
from poise.mocap.convert import Capture, read_takes
from poise.mocap.formats import amass
from poise.mocap.formats import markers as marker_module
from poise.mocap.skeleton_files import SkeletonFiles

KINDS = ("amc", "bvh", "c3d", "npz")
STEPS: list[tuple[Any, str, tuple[str, ...]]] = [
    (recordings, "read_amc", ("amc",)),
    (recordings, "read_asf", ("amc",)),
    (recordings, "read_bvh", ("bvh",)),
    (skeleton_map, "known_map", ("bvh",)),
    (skeleton_map, "joints_of", ("bvh",)),
    (recordings, "read_c3d", ("c3d",)),
    (amass, "read_amass", ("npz",)),
    (amass, "joints_of", ("npz",)),
    (marker_module, "joints_of", ("c3d",)),
    (recordings, "_rate", KINDS),
    (recordings, "checked_clip", KINDS),
    (SkeletonFiles, "of", ("amc",)),
    (clip.MotionClip, "resampled", KINDS),
]
FAULTS: list[Callable[[], Exception]] = [
    lambda: ValueError("made up"),
    lambda: KeyError("made up"),
    lambda: IndexError(),
    lambda: AttributeError("'NoneType' object has no attribute 'x'"),
    lambda: ZeroDivisionError(),
    lambda: AssertionError(),
    lambda: MemoryError(),
    lambda: RecursionError(),
    lambda: OSError(5, "Input/output error"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "made up"),
]


LIMBS = {"hip": "UpLeg", "knee": "Leg", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand"}
PERSON = {"pelvis": "Hips", "spine": "Spine1", "thorax": "Neck", "neck": "Head"} | {
    f"{side}_{part}": f"{side}{name}" for side in ("left", "right") for part, name in LIMBS.items()
}


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    lab = tmp_path_factory.mktemp("lab")
    heights = np.zeros((24, 3))
    heights[:, 1] = np.arange(24) * 0.13
    write_body(lab / "body.npz", v_template=heights)
    home = lab / "takes/anna"
    home.mkdir(parents=True)
    write_asf(home / "anna.asf")
    for n in range(3):
        write_amc(home / f"a{n}.amc", seed=n)
        write_person(home / f"b{n}.bvh", PERSON, frames=n + 1)
        write_amass(home / f"n{n}_poses.npz")
        write_c3d(home / f"c{n}.c3d", markers(), LABELS)
    (lab / "map.toml").write_text(
        'up = "y"\n[joints]\n' + "".join(f'{name[1:]} = ["{name}"]\n' for name in LABELS)
    )
    return Capture(lab / "takes", 60, markers=lab / "map.toml", body_model=lab / "body.npz")


def read(capture: Capture) -> tuple[int, list[str]]:
    takes = read_takes(capture, lambda *_: None)
    return len(takes.clips), takes.left_out


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(STEPS), st.sampled_from(FAULTS), st.integers(0, 11))
def test_a_fault_in_any_step_leaves_out_one_take(
    capture: Capture,
    step: tuple[Any, str, tuple[str, ...]],
    fault: Callable[[], Exception],
    when: int,
) -> None:
    owner, name, kinds = step
    inner, calls = getattr(owner, name), iter(range(1000))
    when %= 3 * len(kinds)

    def failing(*args: Any, **options: Any) -> Any:
        if next(calls) == when:
            raise fault()
        return inner(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, failing)
        read_well, left_out = read(capture)
    assert (read_well, len(left_out)) == (11, 1)
    assert str(capture.folder) in left_out[0]
    assert "Error" not in left_out[0]


def test_without_a_fault_all_are_read(capture: Capture) -> None:
    assert read(capture) == (12, [])


def test_a_skeleton_that_cannot_be_read_leaves_out_its_takes(
    capture: Capture, tmp_path: Path
) -> None:
    for name in ("07", "more/07"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / f"{name}.asf").symlink_to("nowhere")
        write_amc(tmp_path / f"{name}_01.amc")
    write_asf(tmp_path / "anna.asf")
    write_amc(tmp_path / "anna_walk.amc")
    read_well, left_out = read(Capture(tmp_path, 60))
    assert (read_well, len(left_out)) == (1, 2)
    (tmp_path / "jump.bvh").symlink_to("nowhere")
    (tmp_path / "jump.npz").symlink_to("nowhere")
    read_well, left_out = read(Capture(tmp_path, 60))
    assert (read_well, len(left_out)) == (1, 3)
    assert any("jump.bvh: cannot be read (No such file" in line for line in left_out)
