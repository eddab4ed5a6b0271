"""A `WindowRefiner` whose `predict` uses all cores of a CPU, and compiled code where it has any."""

from collections.abc import Callable
from typing import Any, Self

from torch import Tensor

from poise_models.base.batch import Columns, Prediction
from poise_models.base.pose_spec import PoseSpec
from poise_models.base.window_refiner import WindowRefiner
from poise_models.fast.side_by_side import in_chunks


class FastWindowRefiner(WindowRefiner):
    """What the networks derive from. `predict` gives what `WindowRefiner` gives, to rounding."""

    def __init__(self, spec: PoseSpec, config: Any, window: int) -> None:
        super().__init__(spec, config, window)
        #: What `predict` runs whole chunks with (`poise_models.fast.compiling`).
        self.compiled: Callable[..., Prediction] | None = None

    def train(self, mode: bool = True) -> Self:
        """Switch between training and use; a compiled network has the weights of before."""
        if mode:
            self.compiled = None
        return super().train(mode)

    def load_state_dict(self, *given: Any, **options: Any) -> Any:
        """Take other weights; a compiled network has those of before."""
        self.compiled = None
        return super().load_state_dict(*given, **options)

    def predict(
        self, detected_NTC: Tensor, neighbours_NKTC: Tensor, distances_NK: Tensor
    ) -> Prediction:
        """As `WindowRefiner.predict`; on a CPU each thread has chunks of its own."""
        columns = (detected_NTC, neighbours_NKTC, distances_NK)
        # Compiled code has the threads built in that it was compiled for.
        apart = self.device.type == "cpu" and self.compiled is None
        parts = in_chunks(self.predict_chunk, columns, self.chunk_size, apart)
        return Prediction.joined(parts, detected_NTC.device)

    def run(self, chunk: Columns) -> Prediction:
        """One call of `forward`; of a whole chunk compiled, where the network is."""
        if self.compiled is None or len(chunk[0]) != self.chunk_size:
            return super().run(chunk)
        return self.compiled(*chunk)
