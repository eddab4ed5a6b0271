"""The one interface behind which every method of the paper stands.

A refiner maps detected poses to refined poses, sequence by sequence. Two families exist:
`SequenceRefiner` sees a whole sequence (filters, the input row), `WindowRefiner` sees windows of T
frames and is averaged back to a sequence by SWAA (networks). Both are ``nn.Module``, so moving to a
device, counting weights and saving them needs no second mechanism.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from poise_models.base.budget import Budget
from poise_models.base.windows import overlap_add, unfold, window_starts
from poise_models.errors import ConfigError, ShapeError
from poise_models.fast.side_by_side import in_chunks

#: What fills a GPU, in chunks that a CPU's cache holds.
_GPU_CHUNKS = 64


@dataclass(frozen=True)
class LeftRightFlip:
    """The reflection that swaps people's left and right.

    Attributes:
        joints: for each joint the one of the other side, or itself.
        axis: of the D dimensions the one from right to left.
    """

    joints: tuple[int, ...]
    axis: int

    def __call__(self, poses_BTC: Tensor) -> Tensor:
        """Reflect poses (..., T, C) through the plane where the axis is 0."""
        poses_BTJD = poses_BTC.unflatten(-1, (len(self.joints), -1))[..., self.joints, :]
        sign_D = poses_BTC.new_ones(poses_BTJD.shape[-1])
        sign_D[self.axis] = -1.0
        flipped: Tensor = (poses_BTJD * sign_D).flatten(-2)
        return flipped


@dataclass(frozen=True)
class PoseSpec:
    """What one frame is: J joints of D numbers, and which joints are the root.

    ``centre`` says whether a network sees a window relative to its mean detected root (3D), or as
    it stands (2D in its track's normalisation, SMPL rotations). ``flip`` is known where the
    track says which axis runs from right to left.
    """

    joints: int
    dims: int
    roots: tuple[int, ...] = (0,)
    centre: bool = True
    flip: LeftRightFlip | None = None

    @property
    def channels(self) -> int:
        """C = joints x dims."""
        return self.joints * self.dims


@dataclass(frozen=True)
class Clip:
    """One sequence as a refiner receives it, in the units its track stores.

    Attributes:
        detected_FC: the estimator's output, (F, C) float32, finite; NaN where a joint was not seen
            is for smoothing filters alone, which fill it (`poise_models.filters.gaps.filled`).
        windows_NTC: overlapping windows whose frames disagree (the paper's per-window noise);
            None means the windows of ``detected_FC``.
        neighbours_NKTC: per window the K nearest poses of the PVD, nearest first, already in the
            window's frame; None means retrieval was unavailable.
        distances_NK: their squared L2 distances in embedding space.
        times_F: frame numbers, increasing, fractions allowed, best float64; None where no frame is
            missing. Filters go by them; networks know frames in order only.
    """

    detected_FC: Tensor
    windows_NTC: Tensor | None = None
    neighbours_NKTC: Tensor | None = None
    distances_NK: Tensor | None = None
    times_F: Tensor | None = None

    def with_neighbours(self, neighbours_NKTC: Tensor, distances_NK: Tensor) -> "Clip":
        """The same clip with what retrieval found: (N, K, T, C), nearest first, and (N, K)."""
        return replace(self, neighbours_NKTC=neighbours_NKTC, distances_NK=distances_NK)


@dataclass(frozen=True)
class Refined:
    """Refined poses, (F, C), and per-frame quality in (0, 1], (F,), where a refiner knows it."""

    poses_FC: Tensor
    quality_F: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Training windows: detected and truth (B, T, C), neighbours (B, K, T, C) at (B, K).

    Distances are squared. Where a batch holds V views of a moment, windows are (B, V, T, C).
    """

    detected_BTC: Tensor
    truth_BTC: Tensor
    neighbours_BKTC: Tensor
    distances_BK: Tensor

    @classmethod
    def without_neighbours(cls, detected_BTC: Tensor, truth_BTC: Tensor) -> Self:
        """Windows that stand in for their own neighbours, at distance 1."""
        alone_B1 = detected_BTC.new_ones(len(detected_BTC), 1)
        return cls(detected_BTC, truth_BTC, detected_BTC.unsqueeze(1), alone_B1)


@dataclass(frozen=True)
class Prediction:
    """Windows out of a network: poses (B, T, C); quality (B, T) where the network has one."""

    poses_BTC: Tensor
    quality_BT: Tensor | None = None


class Refiner(nn.Module):
    """Base of all refiners."""

    name: ClassVar[str]
    title: ClassVar[str]
    learns: ClassVar[bool] = False

    def __init__(self, spec: PoseSpec, config: Any) -> None:
        super().__init__()
        self.spec = spec
        self.config = config

    def settings(self) -> dict[str, Any]:
        """The configuration as plain values, for a checkpoint or a tracking server."""
        return asdict(self.config)

    def parameter_count(self) -> int:
        """Weights that receive a gradient."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def check(self, clip: Clip) -> None:
        """Raise `ShapeError` where a clip cannot be one of this refiner's."""
        shape = tuple(clip.detected_FC.shape)
        if len(shape) != 2 or shape[0] == 0 or shape[1] != self.spec.channels:
            raise ShapeError(
                f"{self.name} was built for {self.spec.joints} joints x {self.spec.dims} = "
                f"{self.spec.channels} numbers a frame, and got a clip of shape {shape}"
            )
        times = clip.times_F
        if times is None:
            return
        if times.shape != shape[:1] or not (times.isfinite().all() and (times.diff() > 0).all()):
            raise ShapeError(
                f"{self.name}: times_F must be {shape[0]} frame numbers, each above the last"
            )

    @abstractmethod
    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Refine sequences. Frames out equal frames in, and no clip influences another."""


class SequenceRefiner(Refiner):
    """A refiner that sees one whole sequence at a time."""

    @abstractmethod
    def filter(self, detected_FC: Tensor, times_F: Tensor | None = None) -> Tensor:
        """Map (F, C) to (F, C); ``times_F`` are frame numbers where frames are missing."""

    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Filter every clip; disagreeing windows are averaged first, as the paper's input row."""
        refined = []
        for clip in clips:
            self.check(clip)
            sequence = clip.detected_FC
            if clip.windows_NTC is not None:
                sequence = overlap_add(clip.windows_NTC, len(sequence))
            refined.append(Refined(self.filter(sequence, clip.times_F)))
        return refined


class WindowRefiner(Refiner):
    """A network on windows of ``window`` frames, averaged back to sequences by SWAA."""

    learns = True
    #: Whether `forward` looks at neighbours; retrieval is skipped where it does not.
    uses_neighbours: bool = False
    #: How many neighbours of a window it reads, K.
    neighbours: int = 1
    #: Clips that it refines together: `refine` wants the views of one take after another.
    views: int = 1
    #: How its authors trained it.
    published: ClassVar[Budget] = Budget()
    #: Windows of one forward pass in `predict`: small enough to stay in a CPU's cache.
    chunk: ClassVar[int] = 128
    #: Frames between windows in `refine`: a larger stride costs as much less, and smoothness.
    stride: int = 1
    #: What each frame of a window counts for in SWAA; None is the plain mean.
    weights_T: tuple[float, ...] | None = None
    #: Of the matrix products in `refine`; weights, inputs and averages stay float32.
    dtype: torch.dtype = torch.float32

    def __init__(self, spec: PoseSpec, config: Any, window: int) -> None:
        super().__init__(spec, config)
        self.window = window
        #: What `predict` runs on whole chunks instead (`poise_models.fast.compiling`).
        self.compiled: Callable[..., Prediction] | None = None

    @property
    def chunk_size(self) -> int:
        """Windows of one forward pass in `predict` on the device where the network is."""
        on_cpu = next(self.parameters()).device.type == "cpu"
        return max(self.chunk // self.views, 1) * (1 if on_cpu else _GPU_CHUNKS)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use; a compiled network has the weights of before."""
        if mode:
            self.compiled = None
        return super().train(mode)

    def load_state_dict(self, *given: Any, **options: Any) -> Any:
        """Take other weights; a compiled network has those of before."""
        self.compiled = None
        return super().load_state_dict(*given, **options)

    @abstractmethod
    def forward(
        self, detected_BTC: Tensor, neighbours_BKTC: Tensor, distances_BK: Tensor
    ) -> Prediction:
        """Refine windows (B, T, C); their neighbours are in the same frame of reference.

        Distances (B, K) are squared L2, in embedding space.
        """

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The training loss of one batch, a scalar."""

    def start_from(self, offset_C: Tensor) -> None:
        """Begin training where taking off a constant joint offset ends; nothing by default."""

    def centre_of(self, detected_BTC: Tensor) -> Tensor:
        """Mean detected root over the window, as (B, 1, C): what `centre` takes off."""
        batch, length, _ = detected_BTC.shape
        joints = detected_BTC.reshape(batch, length, self.spec.joints, self.spec.dims)
        root = joints[:, :, list(self.spec.roots)].mean(dim=(1, 2))
        return root.repeat(1, self.spec.joints).unsqueeze(1)

    def _padded(self, clip: Clip) -> tuple[Tensor, Tensor, Tensor]:
        self.check(clip)
        windows = clip.windows_NTC
        if windows is None:
            windows = unfold(clip.detected_FC, self.window)
        count, neighbours = len(windows), self.neighbours
        if clip.neighbours_NKTC is None or clip.distances_NK is None:
            itself_NKTC = windows[:, None].expand(-1, neighbours, -1, -1)
            return windows, itself_NKTC, windows.new_ones(count, neighbours)
        rows, found = clip.neighbours_NKTC.shape[:2]
        if rows != count or found < neighbours:
            raise ShapeError(
                f"{self.name} reads {neighbours} neighbours of each of {count} windows, "
                f"and the clip has {found} of {rows}"
            )
        return windows, clip.neighbours_NKTC[:, :neighbours], clip.distances_NK[:, :neighbours]

    @torch.inference_mode()
    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Refine sequences, their windows batched together across clips.

        Clips and results stay where the clips are; the network may be on another device.
        """
        if not clips:
            return []
        if self.training:
            self.eval()
        inputs = [self._chosen(clip) for clip in clips]
        counts = [len(columns[0]) for columns in inputs]
        found = self.predict(*(torch.cat(column) for column in zip(*inputs, strict=True)))
        frames = [len(clip.detected_FC) for clip in clips]
        poses = self._averaged(found.poses_BTC.split(counts), frames)
        if found.quality_BT is None:
            return [Refined(poses_FC) for poses_FC in poses]
        quality = self._averaged(found.quality_BT.split(counts), frames)
        return [Refined(*of_clip) for of_clip in zip(poses, quality, strict=True)]

    def predict(self, *columns: Tensor) -> Prediction:
        """What `forward` makes of any number of windows, a chunk of them at a time.

        The network's products are of its `dtype`, and whole chunks run compiled where it is
        (`poise_models.fast.compiling`). The result is float32, and where the windows are.
        """
        device, home = next(self.parameters()).device, columns[0].device
        # Compiled code has the threads built in that it was compiled for.
        apart = device.type == "cpu" and self.compiled is None

        def run(chunk: tuple[Tensor, ...]) -> Prediction:
            with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
                return self._run(*(column.to(device) for column in chunk))

        parts = in_chunks(run, columns, self.chunk_size, apart)
        poses = torch.cat([part.poses_BTC.float() for part in parts]).to(home)
        known = [part.quality_BT.float() for part in parts if part.quality_BT is not None]
        return Prediction(poses, torch.cat(known).to(home) if known else None)

    def _run(self, *columns: Tensor) -> Prediction:
        whole = len(columns[0]) == self.chunk_size
        run = self.compiled if self.compiled is not None and whole else self
        prediction: Prediction = run(*columns)
        return prediction

    def _averaged(self, windows: Iterable[Tensor], frames: Iterable[int]) -> list[Tensor]:
        pairs = zip(windows, frames, strict=True)
        return [overlap_add(part, size, self.stride, self.weights_T) for part, size in pairs]

    def _chosen(self, clip: Clip) -> tuple[Tensor, ...]:
        if not 1 <= self.stride <= self.window:
            raise ConfigError(f"{self.name}: stride must lie in 1 .. {self.window}")
        columns = self._padded(clip)
        if self.stride == 1:
            return columns
        starts_N = window_starts(len(clip.detected_FC), self.window, self.stride)
        return tuple(column[starts_N.to(column.device)] for column in columns)
