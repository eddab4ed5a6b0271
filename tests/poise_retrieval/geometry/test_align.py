import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from poise_retrieval.errors import VectorError
from poise_retrieval.geometry.align import align, similarity

shapes = st.tuples(st.integers(1, 9), st.integers(4, 20), st.sampled_from([2, 3]))
seeds = st.integers(0, 2**32 - 1)


def _points(shape: tuple[int, int, int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _rotations(count: int, dims: int, seed: int) -> Tensor:
    rotation: Tensor = torch.linalg.qr(_points((count, dims, dims), seed))[0]
    rotation[:, :, 0] *= torch.linalg.det(rotation)[:, None]
    return rotation


@settings(deadline=None, max_examples=60)
@given(shapes, seeds, st.floats(0.01, 100.0), st.floats(-50.0, 50.0))
def test_similarity_recovers_a_random_transform(
    shape: tuple[int, int, int], seed: int, scale: float, shift: float
) -> None:
    source = _points(shape, seed)
    rotation = _rotations(shape[0], shape[2], seed + 1)
    target = scale * source @ rotation.mT + shift
    found = similarity(source, target)
    assert torch.allclose(found.scale_B, torch.tensor(scale, dtype=torch.float64), rtol=1e-6)
    assert torch.allclose(found.rotation_BDD, rotation, atol=1e-6)
    assert torch.allclose(found.apply(source), target, atol=1e-6 * max(scale, 1.0))


@settings(deadline=None, max_examples=60)
@given(shapes, seeds)
def test_a_mirrored_target_gets_a_rotation_never_a_reflection(
    shape: tuple[int, int, int], seed: int
) -> None:
    source = _points(shape, seed)
    target = source * torch.tensor([-1.0, *[1.0] * (shape[2] - 1)], dtype=torch.float64)
    found = similarity(source, target)
    identity = torch.eye(shape[2], dtype=torch.float64)
    assert torch.allclose(torch.linalg.det(found.rotation_BDD), identity[0, 0], atol=1e-9)
    assert torch.allclose(found.rotation_BDD @ found.rotation_BDD.mT, identity, atol=1e-9)
    assert (found.scale_B >= 0).all()


@settings(deadline=None, max_examples=30)
@given(shapes, seeds)
def test_no_other_similarity_is_closer(shape: tuple[int, int, int], seed: int) -> None:
    source, target = _points(shape, seed), _points(shape, seed + 1)
    found = similarity(source, target)
    best = (found.apply(source) - target).square().sum((1, 2))
    nudge = _rotations(shape[0], shape[2], seed + 2)
    for scale, turn in ((1.02, None), (0.98, None), (1.0, nudge)):
        rotation = found.rotation_BDD if turn is None else turn @ found.rotation_BDD
        moved = scale * found.scale_B[:, None, None] * source @ rotation.mT
        moved = moved + (target - moved).mean(1, keepdim=True)
        assert ((moved - target).square().sum((1, 2)) >= best - 1e-9).all()


def test_arrays_and_tensors_give_the_same() -> None:
    source, target = _points((5, 14, 3), 1).float(), _points((5, 14, 3), 2).float()
    from_arrays = align(source.numpy(), target.numpy())
    assert from_arrays.dtype == torch.float32
    assert torch.equal(from_arrays, align(source, target))


def test_the_sources_precision_is_kept() -> None:
    assert align(_points((2, 5, 3), 1), _points((2, 5, 3), 2).float()).dtype == torch.float64


@pytest.mark.parametrize("target_shape", [(14, 3), (1, 14, 3)])
def test_one_target_serves_all(target_shape: tuple[int, ...]) -> None:
    source, target = _points((6, 14, 3), 1), _points((1, 14, 3), 2)
    each = align(source, target.expand(6, -1, -1))
    assert torch.allclose(align(source, target.reshape(target_shape)), each, atol=1e-12)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("value", [0.0, 3.5])
def test_points_without_extent_move_onto_the_targets_centre(dims: int, value: float) -> None:
    source, target = torch.full((3, 14, dims), value), torch.randn(14, dims)
    aligned = align(source, target)
    assert torch.allclose(aligned, target.mean(0).expand_as(aligned), atol=1e-6)


def test_a_target_without_extent_gives_finite_numbers() -> None:
    assert torch.isfinite(align(torch.randn(3, 14, 3), torch.zeros(14, 3))).all()


def test_a_line_of_points_is_aligned_too() -> None:
    source = torch.linspace(0, 1, 7)[None, :, None] * torch.tensor([1.0, 2.0, 3.0])
    target = torch.linspace(0, 1, 7)[None, :, None] * torch.tensor([0.0, 0.0, 2.0])
    assert torch.allclose(align(source, target), target, atol=1e-5)
    assert torch.linalg.det(similarity(source, target).rotation_BDD) > 0.99


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_points_that_are_not_finite_are_refused(bad: float) -> None:
    source = torch.randn(2, 5, 3)
    source[1, 2, 0] = bad
    with pytest.raises(VectorError, match="source points hold NaN"):
        align(source, torch.randn(5, 3))
    with pytest.raises(VectorError, match="target points hold NaN"):
        align(torch.randn(2, 5, 3), source)


@pytest.mark.parametrize(
    ("source", "target"),
    [((5, 3), (5, 3)), ((2, 5, 4), (5, 4)), ((2, 5, 3), (6, 3)), ((2, 5, 3), (3, 5, 3))],
)
def test_shapes_that_do_not_match_are_refused(
    source: tuple[int, ...], target: tuple[int, ...]
) -> None:
    with pytest.raises(VectorError):
        align(torch.randn(source), torch.randn(target))


def _by_svd(source_BPD: Tensor, target_BPD: Tensor) -> Tensor:
    """Umeyama's own way, the reference."""
    mean_B1D, target_mean_B1D = source_BPD.mean(1, True), target_BPD.mean(1, True)
    centred_BPD = source_BPD - mean_B1D
    covariance_BDD = (target_BPD - target_mean_B1D).mT @ centred_BPD
    left_BDD, singular_BD, right_BDD = torch.linalg.svd(covariance_BDD)
    signs_BD = torch.ones_like(singular_BD)
    signs_BD[:, -1] = torch.where(torch.linalg.det(left_BDD @ right_BDD) < 0, -1.0, 1.0)
    turn_BDD = (left_BDD * signs_BD[:, None]) @ right_BDD
    scale_B = (singular_BD * signs_BD).sum(-1) / centred_BPD.square().sum((1, 2))
    moved_BPD: Tensor = scale_B[:, None, None] * (centred_BPD @ turn_BDD.mT) + target_mean_B1D
    return moved_BPD


@settings(deadline=None, max_examples=100)
@given(shapes, seeds, st.floats(-9, 0), st.booleans(), st.booleans())
def test_the_closed_form_is_the_svd(
    shape: tuple[int, int, int], seed: int, flatness: float, one_target: bool, mirrored: bool
) -> None:
    source, target = _points(shape, seed), _points(shape, seed + 1)
    source[..., -1] *= 10.0**flatness
    if mirrored:
        target = target * torch.tensor([-1.0, *[1.0] * (shape[2] - 1)], dtype=torch.float64)
    if one_target:
        target = target[:1].expand_as(target)
    found = align(source, target[:1] if one_target else target)
    assert torch.allclose(found, _by_svd(source, target), atol=1e-5)
    single = align(source.float(), target.float()).double()
    loss, least = ((x - target).square().sum((1, 2)) for x in (single, found))
    assert torch.allclose(loss, least, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(seeds, st.floats(-12, -1), st.sampled_from([1.0, -1.0]))
def test_near_ties_between_rotations_lose_nothing(seed: int, gap: float, sign: float) -> None:
    """Singular values 1, s, -s: mirrored, and the two best rotations all but equally good."""
    turns = _rotations(2, 3, seed)
    small = 10.0**gap
    singular = torch.tensor([1.0, 0.3 + small, sign * 0.3], dtype=torch.float64)
    axes = torch.linalg.qr(_points((1, 12, 3), seed + 2) - 0.1)[0]
    axes = axes - axes.mean(1, keepdim=True)
    axes = torch.linalg.qr(axes)[0]
    axes = axes - axes.mean(1, keepdim=True)
    source = axes @ turns[:1].mT
    target = (axes * singular) @ turns[1:].mT
    loss, least = (
        (x - target).square().sum() for x in (align(source, target), _by_svd(source, target))
    )
    assert torch.allclose(loss, least, atol=1e-9)
    assert torch.linalg.det(similarity(source, target).rotation_BDD) > 0.999


@pytest.mark.parametrize("dims", [2, 3])
def test_no_sets_are_aligned_to_none(dims: int) -> None:
    assert align(torch.zeros(0, 5, dims), torch.zeros(0, 5, dims)).shape == (0, 5, dims)
