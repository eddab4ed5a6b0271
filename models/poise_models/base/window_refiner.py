"""Networks on windows of T frames, averaged back to sequences by SWAA."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from poise_models.base.batch import Batch, Prediction
from poise_models.base.budget import Budget
from poise_models.base.clip import Clip, Refined
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.base.windows import overlap_add, unfold, window_starts
from poise_models.errors import ConfigError, ShapeError
from poise_models.fast.side_by_side import in_chunks

#: What fills a GPU, in chunks that a CPU's cache holds.
_GPU_CHUNKS = 64


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
