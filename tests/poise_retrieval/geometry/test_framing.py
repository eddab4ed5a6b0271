import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from poise_retrieval.errors import VectorError
from poise_retrieval.geometry.framing import bring_into_frame

JOINTS, FRAMES = 17, 8


@given(seed=st.integers(0, 2**32 - 1), dims=st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None)
def test_a_moved_window_comes_back_with_its_motion(seed: int, dims: int) -> None:
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(3, FRAMES * JOINTS, dims))
    turn = Rotation.random(rng=rng).as_matrix() if dims == 3 else _turn(rng.uniform(0, 6.28))
    moved = rng.uniform(0.2, 5) * queries @ turn.T + rng.normal(size=dims)
    windows = (3, FRAMES, JOINTS * dims)
    found = bring_into_frame(moved.reshape(windows), queries.reshape(windows), f"{dims}D")
    np.testing.assert_allclose(found.numpy(), queries.reshape(windows), atol=1e-8)


def test_a_window_has_one_similarity_not_one_a_frame() -> None:
    rng = np.random.default_rng(0)
    standing = np.repeat(rng.normal(size=(1, 1, JOINTS * 3)), FRAMES, axis=1)
    walking = standing + np.arange(FRAMES)[None, :, None] * 0.2
    found = bring_into_frame(walking, standing, "3D").reshape(FRAMES, JOINTS, 3)
    steps = found.mean(1).diff(dim=0).norm(dim=-1)
    assert (steps > 0.01).all()


def test_smpl_stays_as_it_is() -> None:
    window = torch.randn(2, FRAMES, 144)
    assert torch.equal(bring_into_frame(window, torch.randn(2, FRAMES, 144), "smpl"), window)


@pytest.mark.parametrize(
    ("shape", "representation"), [((2, 8, 50), "3D"), ((2, 8, 51), "4D"), ((8, 51), "3D")]
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], representation: str) -> None:
    with pytest.raises(VectorError):
        bring_into_frame(np.zeros(shape), np.zeros(shape), representation)
    with pytest.raises(VectorError, match="must be alike"):
        bring_into_frame(np.zeros((2, 8, 51)), np.zeros((3, 8, 51)), "3D")


def _turn(angle: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
