"""Networks on windows of T frames, averaged back to sequences by SWAA."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from poise_models.base.batch import Batch, Columns, Prediction, split_rows
from poise_models.base.budget import Budget
from poise_models.base.clip import Clip, Refined
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.refiner import Refiner
from poise_models.base.windows import overlap_add, unfold, window_starts
from poise_models.errors import ConfigError, ShapeError

#: Calls of its network that a file, or a compiled program, may hold one after another.
MOST_CALLS = 50
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
    #: Calls of the network in one `forward`.
    calls: int = 1
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

    @property
    def chunk_size(self) -> int:
        """Windows of one forward pass in `predict` on the device where the network is."""
        on_cpu = self.device.type == "cpu"
        return max(self.chunk // self.views, 1) * (1 if on_cpu else _GPU_CHUNKS)

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.parameters()).device

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

    @torch.inference_mode()
    def refine(self, clips: Sequence[Clip]) -> list[Refined]:
        """Refine sequences, their windows batched together across clips.

        Clips and results stay where the clips are; the network may be on another device.

        Raises:
            ShapeError: a clip does not have this refiner's joints, or has too few neighbours.
            ConfigError: windows a stride apart would not cover every frame.
        """
        if not clips:
            return []
        if self.training:
            self.eval()
        inputs = [self.inputs_of(clip) for clip in clips]
        detected, neighbours, distances = zip(*inputs, strict=True)
        found = self.predict(torch.cat(detected), torch.cat(neighbours), torch.cat(distances))
        parts = found.split([len(windows_NTC) for windows_NTC in detected])
        pairs = zip(parts, clips, strict=True)
        return [self.joined(part, len(clip.detected_FC)) for part, clip in pairs]

    def joined(self, part: Prediction, frames: int) -> Refined:
        """What is known of all windows of one clip, averaged back to its frames (SWAA)."""
        columns = (part.poses_BTC, part.quality_BT, part.error_BTJ)
        poses_FC, quality_F, error_FJ = (
            None if column is None else self.averaged([column], [frames])[0] for column in columns
        )
        assert poses_FC is not None  # noqa: S101  (every prediction has them)
        return Refined(poses_FC, quality_F, error_FJ)

    def inputs_of(self, clip: Clip) -> tuple[Tensor, Tensor, Tensor]:
        """A clip's windows, `stride` frames apart, as `forward` wants them.

        Without neighbours a window stands in for its own, at distance 1.

        Returns:
            Windows (N, T, C), their neighbours (N, K, T, C), and squared distances (N, K).
        """
        self.check(clip)
        if not 1 <= self.stride <= self.window:
            raise ConfigError(f"{self.name}: stride must lie in 1 .. {self.window}")
        windows_NTC = clip.windows_NTC
        if windows_NTC is None:
            windows_NTC = unfold(clip.detected_FC, self.window)
        neighbours_NKTC, distances_NK = self._neighbours_of(clip, windows_NTC)
        if self.stride == 1:
            return windows_NTC, neighbours_NKTC, distances_NK
        starts_N = window_starts(len(clip.detected_FC), self.window, self.stride)
        starts_N = starts_N.to(windows_NTC.device)
        return windows_NTC[starts_N], neighbours_NKTC[starts_N], distances_NK[starts_N]

    def _neighbours_of(self, clip: Clip, windows_NTC: Tensor) -> tuple[Tensor, Tensor]:
        count, neighbours = len(windows_NTC), self.neighbours
        if clip.neighbours_NKTC is None or clip.distances_NK is None:
            itself_NKTC = windows_NTC[:, None].expand(-1, neighbours, -1, -1)
            return itself_NKTC, windows_NTC.new_ones(count, neighbours)
        rows, found = clip.neighbours_NKTC.shape[:2]
        if rows != count or found < neighbours:
            raise ShapeError(
                f"{self.name} reads {neighbours} neighbours of each of {count} windows, "
                f"and the clip has {found} of {rows}"
            )
        return clip.neighbours_NKTC[:, :neighbours], clip.distances_NK[:, :neighbours]

    @torch.inference_mode()
    def predict(
        self, detected_NTC: Tensor, neighbours_NKTC: Tensor, distances_NK: Tensor
    ) -> Prediction:
        """What `forward` makes of any number of windows, a chunk of them at a time.

        The network's products are of its `dtype`. The result is float32, and where the windows are.
        """
        columns = (detected_NTC, neighbours_NKTC, distances_NK)
        chunks = split_rows(columns, self.chunk_size)
        parts = [self.predict_chunk(chunk) for chunk in chunks]
        return Prediction.joined(parts, detected_NTC.device)

    def predict_chunk(self, chunk: Columns) -> Prediction:
        """What `forward` makes of one chunk of `predict`, on the network's device."""
        device = self.device
        with torch.autocast(device.type, self.dtype, enabled=self.dtype != torch.float32):
            found = self.run(tuple(column.to(device) for column in chunk))
        return replace(found, poses_BTC=found.poses_BTC - self.constant_C)

    def run(self, chunk: Columns) -> Prediction:
        """One call of `forward`."""
        prediction: Prediction = self(*chunk)
        return prediction

    def averaged(self, windows: Iterable[Tensor], frames: Iterable[int]) -> list[Tensor]:
        """Windows of each clip averaged back to its frames (SWAA)."""
        pairs = zip(windows, frames, strict=True)
        return [overlap_add(part, size, self.stride, self.weights_T) for part, size in pairs]
