"""What every analysis starts from: a trained SynSP++, the test split, the poses of the PVD.

The PVD's vectors are made again from the poses in the lake, by the function that made them at
ingest, so that no Milvus has to run.

Shape letters: S sequences, N windows, T frames of a window, F frames, C = joints x dims, E width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from poise.catalog.tracks import Track
from poise.checkpoints.models import load_model
from poise.checkpoints.training_lake import lake_of
from poise.lake.ids import WINDOW
from poise.pvd.pose_bank import PoseBank
from poise.pvd.retriever import retrieves
from poise.runtime.errors import CheckpointError
from poise.runtime.settings import Settings
from poise.training_data.split import TrackSplit, load_split
from poise_models.base.clip import Clip
from poise_models.base.windows import unfold
from poise_models.fast.memory import keep_freed_memory
from poise_models.networks.synspp import SynSPP
from poise_retrieval.geometry.embedding import embed

#: Windows embedded at once.
_CHUNK = 8192


@dataclass(frozen=True)
class AnalysisInputs:
    """A trained SynSP++ and the data that it is analysed on.

    Attributes:
        refiner: the network.
        seed: of its training.
        track: of its training.
        test: the track's test split.
        bank: poses of the train split, among which neighbours are found.
        rows: the PVD's rows, which are windows of that split.
    """

    refiner: SynSPP
    seed: int
    track: Track
    test: TrackSplit
    bank: PoseBank
    rows: "PvdRows"


@dataclass(frozen=True)
class PvdRows:
    """The rows of a PVD, one a window of the train split.

    Attributes:
        ids_N: window ids (N,).
        vectors_NE: their embeddings (N, E).
        subjects: whose they are, N names.
    """

    ids_N: Tensor
    vectors_NE: Tensor
    subjects: list[str]


def load_inputs(model: str, settings: Settings) -> AnalysisInputs:
    """Load a model by its registered name or folder, and its track from the lake.

    Args:
        model: registered model (``name``, ``name@alias``, ``name/version``) or checkpoint folder.
        settings: where the registry is, and the lake if it is not the one of the training.

    Raises:
        CheckpointError: the model is no SynSP++ that reads one neighbour and has both branches.
        LakeError: the track is not in the lake, or has no PVD.
    """
    keep_freed_memory()
    refiner, card = load_model(model, settings.tracking_uri)
    if not isinstance(refiner, SynSPP) or not retrieves(refiner) or refiner.neighbours != 1:
        raise CheckpointError(
            f"{model} is {refiner.title}: these analyses are of SynSP++ with retrieval and one "
            "neighbour (the `synspp` of a plan; poise sweep trains it)"
        )
    track = Track.parse(card.track)
    where = lake_of(settings, card)
    train = load_split(where, track, "train")
    test = load_split(where, track, "test")
    bank = train.bank()
    return AnalysisInputs(
        refiner=refiner,
        seed=card.seed,
        track=track,
        test=test,
        bank=bank,
        rows=pvd_rows(train, bank),
    )


def pvd_rows(train: TrackSplit, bank: PoseBank) -> PvdRows:
    """Embed the truth of every training window, as ingest does for the PVD."""
    row_N, id_N = train.index.every_window()
    ids_N = torch.from_numpy(id_N)
    vectors = [embed_windows(bank.windows(ids_B), train.track) for ids_B in ids_N.split(_CHUNK)]
    return PvdRows(ids_N, torch.cat(vectors), [train.index.subjects[row] for row in row_N])


def embed_windows(windows_NTC: Tensor, track: Track) -> Tensor:
    """Embed windows (N, T, C), a few at a time, as vectors (N, E)."""
    parts = windows_NTC.split(_CHUNK)
    return torch.cat([embed(part, track.info.skeleton, track.representation) for part in parts])


def detected_windows(test: TrackSplit) -> tuple[Tensor, list[str]]:
    """All detected windows of a split, (N, T, C), and the subject of each, N names."""
    windows = [unfold(detected_FC, WINDOW) for detected_FC in test.detected()]
    return torch.cat(windows), [test.index.subjects[row] for row in test.index.every_window()[0]]


def clips_with_neighbours(
    test: TrackSplit, windows_NTC: Tensor, bank: PoseBank, ids_N: Tensor, distances_N: Tensor
) -> list[Clip]:
    """The sequences of a split as clips, each window with one given neighbour.

    Args:
        test: the split; N windows in all.
        windows_NTC: its detected windows (N, T, C).
        bank: the neighbours' poses.
        ids_N: window ids (N,) of the neighbours; -1 where a window has none.
        distances_N: squared L2 distances (N,).
    """
    found_NKTC, distances_NK = bank.neighbours(windows_NTC, ids_N[:, None], distances_N[:, None])
    counts = test.index.windows_S.tolist()
    found = zip(found_NKTC.split(counts), distances_NK.split(counts), strict=True)
    clips = [Clip(detected_FC) for detected_FC in test.detected()]
    return [
        clip.with_neighbours(neighbours, distances)
        for clip, (neighbours, distances) in zip(clips, found, strict=True)
    ]
