"""How MLflow opens a registered Poise model: a checkpoint folder, no pickle."""

import numpy as np
import torch
from numpy.typing import NDArray

from poise.checkpoints.checkpoint import load_checkpoint
from poise_models.base.refiner import Clip, Refiner


class PoseModel:
    """A refiner with the face MLflow expects; without retrieval, which the service adds."""

    def __init__(self, refiner: Refiner) -> None:
        self._refiner = refiner

    def predict(self, model_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """Refine one sequence (F, C), in the units its track stores."""
        detected_FC = torch.from_numpy(np.ascontiguousarray(model_input, dtype=np.float32))
        refined: NDArray[np.float32] = self._refiner.refine([Clip(detected_FC)])[0].poses_FC.numpy()
        return refined


def _load_pyfunc(data_path: str) -> PoseModel:
    refiner, _ = load_checkpoint(data_path)
    return PoseModel(refiner)
