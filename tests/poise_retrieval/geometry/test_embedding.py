import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from poise_retrieval.errors import SkeletonError, VectorError
from poise_retrieval.geometry import embedding
from poise_retrieval.geometry.embedding import EMBEDDING_VERSION, embed, embedding_width, key_frames
from poise_retrieval.geometry.skeletons import SKELETONS, TEMPLATE_2D, TEMPLATE_3D, Skeleton


def _poses(skeleton: str, dims: int, windows: int = 5, seed: int = 0) -> Tensor:
    joints = len(SKELETONS[skeleton].joints)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((windows, 8, joints, dims), generator=generator)


def _move(poses_BTJD: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    dims = poses_BTJD.shape[-1]
    frames = poses_BTJD.shape[:2]
    rotation, _ = torch.linalg.qr(torch.randn((*frames, dims, dims), generator=generator))
    rotation[..., 0] *= torch.linalg.det(rotation)[..., None]
    scale = 0.3 + 3 * torch.rand((*frames, 1, 1), generator=generator)
    shift = torch.randn((*frames, 1, dims), generator=generator)
    moved: Tensor = scale * poses_BTJD @ rotation.mT + shift
    return moved


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(SKELETONS)), st.sampled_from([2, 3]), st.integers(0, 2**32 - 1))
def test_every_frame_may_be_moved_turned_and_scaled(skeleton: str, dims: int, seed: int) -> None:
    poses = _poses(skeleton, dims, seed=seed)
    representation = f"{dims}D"
    still = embed(poses.flatten(2), skeleton, representation)
    moved = embed(_move(poses, seed).flatten(2), skeleton, representation)
    assert torch.allclose(still, moved, atol=1e-5)


def test_joints_of_ones_own_order_give_the_same_vectors() -> None:
    poses_BTJD = _poses("h36m17", 3)
    order = list(reversed(range(17)))
    there = SKELETONS["h36m17"]
    names = tuple(there.joints[joint] for joint in order)
    own = Skeleton("mine", names, tuple(16 - joint for joint in there.pvd_joints))
    mine = embed(poses_BTJD[:, :, order].flatten(2), own, "3D")
    assert torch.equal(mine, embed(poses_BTJD.flatten(2), "h36m17", "3D"))
    with pytest.raises(SkeletonError, match="windows are 48 wide; mine with 3 dims needs 51"):
        embed(torch.zeros(2, 8, 48), own, "3D")


def test_different_poses_have_different_vectors() -> None:
    vectors = embed(_poses("h36m17", 3, windows=20).flatten(2), "h36m17", "3D")
    assert torch.pdist(vectors).min() > 0.1


@pytest.mark.parametrize(
    ("length", "skeleton", "dims", "width"),
    [
        (8, "h36m17", 3, 84),
        (8, "j14", 3, 84),
        (8, "h36m17", 2, 56),
        (8, None, 6, 288),
        (16, "j14", 3, 126),
        (32, "h36m17", 3, 210),
        (4, "j14", 3, 84),
        (1, "j14", 3, 42),
    ],
)
def test_width(length: int, skeleton: str | None, dims: int, width: int) -> None:
    assert embedding_width(length, skeleton, dims) == width
    values = (24 if skeleton is None else len(SKELETONS[skeleton].joints)) * dims
    representation = {2: "2D", 3: "3D", 6: "smpl"}[dims]
    vectors = embed(torch.randn(3, length, values), skeleton, representation)
    assert vectors.shape == (3, width)
    assert vectors.dtype == torch.float32


def test_key_frames() -> None:
    assert key_frames(8) == (0, 7)
    assert key_frames(32) == (0, 7, 15, 23, 31)
    assert key_frames(5) == (0, 4)


def test_only_key_frames_matter() -> None:
    windows = _poses("h36m17", 3).flatten(2)
    changed = windows.clone()
    changed[:, 1:7] += torch.randn(5, 6, 51)
    assert torch.equal(embed(windows, "h36m17", "3D"), embed(changed, "h36m17", "3D"))


@pytest.mark.parametrize(("dims", "template"), [(3, TEMPLATE_3D), (2, TEMPLATE_2D)])
def test_the_template_is_its_own_vector(dims: int, template: np.ndarray) -> None:
    window = torch.tensor(template).reshape(1, 1, -1).expand(1, 8, -1)
    vector = embed(window, "j14", f"{dims}D")
    assert torch.allclose(vector.reshape(2, 14, dims), torch.tensor(template), atol=1e-6)


def test_smpl_is_two_frames_halved() -> None:
    windows = torch.randn(3, 8, 144)
    expected = torch.cat([windows[:, 0], windows[:, 7]], 1) / 2
    assert torch.equal(embed(windows, None, "smpl"), expected)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = _poses("h36m17", 3, windows=11).flatten(2)
    whole = embed(windows, "h36m17", "3D")
    monkeypatch.setattr(embedding, "_CHUNK", 4)
    assert torch.equal(embed(windows, "h36m17", "3D"), whole)


def test_arrays_and_tensors_give_the_same() -> None:
    windows = _poses("j14", 3).flatten(2)
    assert torch.equal(embed(windows.numpy(), "j14", "3D"), embed(windows, "j14", "3D"))
    double = embed(windows.numpy().astype(np.float64), "j14", "3D")
    assert torch.allclose(double, embed(windows, "j14", "3D"), atol=1e-5)


def test_no_windows_give_no_vectors() -> None:
    assert embed(torch.zeros(0, 8, 51), "h36m17", "3D").shape == (0, 84)


def test_empty_poses_give_finite_vectors() -> None:
    assert torch.isfinite(embed(torch.zeros(2, 8, 51), "h36m17", "3D")).all()


def test_nan_is_refused_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_CHUNK", 2)
    windows = _poses("h36m17", 3).flatten(2)
    windows[3, 7, 0] = torch.nan
    with pytest.raises(VectorError, match="window 3 "):
        embed(windows, "h36m17", "3D")


@pytest.mark.parametrize(
    ("width", "skeleton", "representation", "error"),
    [
        (42, "h36m17", "3D", SkeletonError),
        (51, "coco", "3D", SkeletonError),
        (51, None, "3D", SkeletonError),
        (144, "h36m17", "smpl", SkeletonError),
        (143, None, "smpl", SkeletonError),
        (51, "h36m17", "4D", VectorError),
    ],
)
def test_what_does_not_fit_is_refused(
    width: int, skeleton: str | None, representation: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        embed(torch.zeros(2, 8, width), skeleton, representation)


#: What version 1 makes of the windows of `_signature`.
GOLDEN = {
    "h36m16 3D": (-0.280771, -0.459941, 1.669875),
    "h36m17 3D": (-0.529443, 0.112103, 0.62184),
    "j14 3D": (1.134329, 0.697656, -0.228498),
    "jhmdb15 3D": (-0.588048, -0.219698, 0.873151),
    "mpi17 3D": (-1.615901, 0.153014, 0.978941),
    "h36m16 2D": (0.19882, -0.329758, -0.730157),
    "h36m17 2D": (-0.172645, 0.473301, -0.347124),
    "j14 2D": (1.17155, 0.359513, -0.728465),
    "jhmdb15 2D": (-0.604627, 0.837408, -0.508707),
    "mpi17 2D": (1.293444, 0.143213, 0.343073),
    "smpl": (5.10392, -1.025171, -3.299505),
}


def _signature(case: str) -> list[float]:
    """Three weighted sums over the vectors of two windows of 16 frames: no number goes unseen."""
    order, _, representation = case.rpartition(" ")
    width = 144 if not order else len(SKELETONS[order].joints) * int(representation[0])
    numbers = torch.arange(2 * 16 * width, dtype=torch.float64)
    windows_BTC = torch.sin(numbers**2 % 101).reshape(2, 16, width).float()
    vectors = embed(windows_BTC, order or None, representation).double().flatten()
    places = torch.arange(len(vectors), dtype=torch.float64)
    return [float(vectors @ torch.cos(rate * places)) for rate in (1, 2, 3)]


@pytest.mark.parametrize("case", GOLDEN)
def test_vectors_stay_what_their_version_says(case: str) -> None:
    found = _signature(case)
    assert found == pytest.approx(GOLDEN[case], abs=1e-5), (
        f"{case} has other vectors than version {EMBEDDING_VERSION} had: raise EMBEDDING_VERSION, "
        "so that stored ones are made anew, and store the new numbers here"
    )


def test_every_joint_order_has_golden_numbers() -> None:
    assert {f"{name} {dims}D" for name in SKELETONS for dims in (2, 3)} | {"smpl"} == set(GOLDEN)
    assert EMBEDDING_VERSION == 1, "the numbers in GOLDEN are of another version: store new ones"
