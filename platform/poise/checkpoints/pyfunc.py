"""A checkpoint folder as a model that MLflow can open, with no pickle in it."""

import logging
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import torch
from mlflow.models.signature import infer_signature
from numpy.typing import NDArray

from poise.checkpoints.checkpoint import load_checkpoint
from poise_models.base.clip import Clip
from poise_models.base.refiner import Refiner

#: What packages name as the module that opens them; a package of before a move of this file names
#: another, and only `mlflow.pyfunc.load_model` minds.
LOADER = __name__
#: MLflow keeps the checkpoint under ``data/<name of the folder it came from>``.
INSIDE = ("data", "checkpoint")
_EXAMPLE_FRAMES = 16


class PoseModel:
    """A refiner with the methods MLflow expects; without retrieval, which the service adds."""

    def __init__(self, refiner: Refiner) -> None:
        self._refiner = refiner

    def predict(self, model_input: NDArray[np.float32]) -> NDArray[np.float32]:
        """Refine one sequence (F, C), in the units its track stores."""
        detected_FC = torch.from_numpy(np.ascontiguousarray(model_input, dtype=np.float32))
        refined: NDArray[np.float32] = self._refiner.refine([Clip(detected_FC)])[0].poses_FC.numpy()
        return refined


def pack(checkpoint: Path, into: Path) -> None:
    """Write a checkpoint folder as an MLflow model.

    Args:
        checkpoint: a local folder with the name `INSIDE` ends with.
        into: a folder that does not exist yet.
    """
    refiner, _ = load_checkpoint(str(checkpoint))
    random = np.random.default_rng(0)
    shape = (_EXAMPLE_FRAMES, refiner.spec.channels)
    example = random.standard_normal(shape).astype(np.float32)
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    mlflow.pyfunc.save_model(
        into,
        loader_module=LOADER,
        data_path=str(checkpoint),
        signature=infer_signature(example, PoseModel(refiner).predict(example)),
        input_example=example,
        # Given, because MLflow would otherwise load the model in a new process to find out.
        pip_requirements=[f"{name}=={version(name)}" for name in ("torch", "numpy", "scipy")],
    )


def _load_pyfunc(data_path: str) -> PoseModel:
    refiner, _ = load_checkpoint(data_path)
    return PoseModel(refiner)
