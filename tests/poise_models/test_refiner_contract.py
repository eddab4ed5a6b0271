"""What every refiner promises, whatever it is; a new one of the catalogue joins by itself."""

import json

import pytest
import torch
from safetensors.torch import load, save
from tests.support.small_refiners import NETWORKS, SPECS, VARIANTS, build, found, sequence
from torch import Tensor

from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ShapeError

every_refiner = pytest.mark.parametrize("name", [*catalogue.names(), *VARIANTS])
every_representation = pytest.mark.parametrize("representation", SPECS)

CHANGES = ("translation", "rotation", "scale")
#: What a refiner does alike before and after the change, in 3D and in 2D. Linear filters of single
#: coordinates know neither axes nor units. One-Euro's cutoff rises with each coordinate's speed,
#: and an offset is so many metres in its direction. Networks see 3D relative to the root, but
#: neither turned nor scaled to anything; in 2D they see positions in the image as well. So does
#: the linear map. Ours see places relative to their mean, the general one at a body's size.
ALIKE = dict.fromkeys(("input", "gaussian1d", "savgol", "butterworth"), CHANGES)
OURS = {"poise": ("translation",), "poise by channel": ("translation",), "general": CHANGES[::2]}
OURS["poise:general"] = OURS["general"]


def alike(name: str, representation: str) -> tuple[str, ...]:
    if name in OURS:
        return OURS[name] if representation != "smpl" else OURS[name][1:]
    relative = name in NETWORKS or name in VARIANTS or name == "linear"
    only_translation = not relative or representation == "3D"
    return ALIKE.get(name, ("translation",) if only_translation else ())


def changed(poses_FC: Tensor, change: str, dims: int) -> Tensor:
    poses_FJD: Tensor = poses_FC.unflatten(1, (-1, dims))
    if change == "translation":
        return (poses_FJD + torch.tensor([5.0, -3.0, 40.0])[:dims]).flatten(1)
    if change == "scale":
        return 3.0 * poses_FC
    turn, _ = torch.linalg.qr(torch.randn(dims, dims, generator=torch.Generator().manual_seed(3)))
    turn[:, 0] *= turn.det().sign()
    turned_FC: Tensor = (poses_FJD @ turn.T).flatten(1)
    return turned_FC


@every_representation
@every_refiner
class TestContract:
    def test_frames_out_are_frames_in(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        refiner = build(name, spec)
        lengths = (1, 2, 7, 8, 9, 31, 33, 70)
        several = refiner.refine([found(refiner, sequence(frames, spec)) for frames in lengths])
        for frames, refined in zip(lengths, several, strict=True):
            assert refined.poses_FC.shape == (frames, spec.channels)
            assert refined.poses_FC.dtype == torch.float32
            if refined.quality_F is not None:
                assert refined.quality_F.shape == (frames,)
                assert ((refined.quality_F > 0) & (refined.quality_F <= 1)).all()

    def test_depends_on_neither_batch_nor_order(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        refiner = build(name, spec)
        frames = (40, 5, 300, 33)
        clips = [found(refiner, sequence(f, spec, f), seed=f) for f in frames]
        alone = [refiner.refine([clip])[0].poses_FC for clip in clips]
        backwards = refiner.refine(clips[::-1])[::-1]
        wild = found(refiner, 1e4 * sequence(50, spec))
        beside_others = refiner.refine([wild, *clips, wild])[1:-1]
        for here, *others in zip(alone, backwards, beside_others, strict=True):
            for other in others:
                torch.testing.assert_close(other.poses_FC, here, atol=1e-5, rtol=1e-5)

    def test_takes_a_constant_off_the_poses_alone(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        refiner = build(name, spec)
        clips = [found(refiner, sequence(frames, spec)) for frames in (5, 40)] * 6
        before = refiner.refine(clips)
        refiner.constant_C = torch.linspace(-1.0, 1.0, spec.channels)
        for was, now in zip(before, refiner.refine(clips), strict=True):
            wanted_FC = was.poses_FC - refiner.constant_C
            torch.testing.assert_close(now.poses_FC, wanted_FC, atol=1e-5, rtol=1e-5)
            known = (now.quality_F, now.error_FJ)
            for kept, one in zip((was.quality_F, was.error_FJ), known, strict=True):
                assert (kept is None) == (one is None)
                assert kept is None or one is None or torch.equal(kept, one)

    @pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
    def test_is_finite(self, name: str, representation: str, size: float) -> None:
        spec = SPECS[representation]
        still = torch.full((30, spec.channels), size)
        for poses_FC in (still, still * sequence(30, spec)):
            (refined,) = build(name, spec).refine([Clip(poses_FC)])
            assert torch.isfinite(refined.poses_FC).all()

    def test_leaves_its_input_alone(self, name: str, representation: str) -> None:
        refiner = build(name, SPECS[representation])
        clip = found(refiner, sequence(40, SPECS[representation]))
        before = clip.detected_FC.clone()
        refiner.refine([clip])
        assert torch.equal(clip.detected_FC, before)

    def test_survives_a_file_to_the_last_bit(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        refiner = build(name, spec)
        torch.manual_seed(99)
        settings = json.loads(json.dumps(refiner.settings()))
        other = catalogue.build(refiner.name, spec, settings)
        other.load_state_dict(load(save(refiner.state_dict())))
        clip = found(refiner, sequence(50, spec))
        (before,), (after,) = refiner.refine([clip]), other.refine([clip])
        assert torch.equal(before.poses_FC, after.poses_FC)

    def test_wrong_width_is_refused(self, name: str, representation: str) -> None:
        spec = SPECS[representation]
        with pytest.raises(ShapeError, match=str(spec.channels)):
            build(name, spec).refine([Clip(torch.zeros(10, spec.channels + 1))])

    def test_no_clips_give_nothing(self, name: str, representation: str) -> None:
        assert build(name, SPECS[representation]).refine([]) == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("representation", ["3D", "2D"])
@every_refiner
def test_behaves_alike_as_documented(name: str, representation: str, change: str) -> None:
    spec: PoseSpec = SPECS[representation]
    refiner = build(name, spec)
    poses_FC = sequence(60, spec).cumsum(0) * 0.1
    here, there = refiner.refine([Clip(poses_FC), Clip(changed(poses_FC, change, spec.dims))])
    expected_FC = changed(here.poses_FC, change, spec.dims)
    difference = float((there.poses_FC - expected_FC).abs().max())
    # float32 keeps 40 m to 4e-6; what is not claimed is off by more than anyone could overlook.
    assert (difference < 1e-3) is (change in alike(name, representation)), difference
