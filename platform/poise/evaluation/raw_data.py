"""Evaluate a refiner on raw data: read, retrieve, refine, score.

Everything after reading is the sweep's own routine (`poise.evaluation.evaluate`).
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import ModelCard, pose_spec
from poise.checkpoints.inference import as_taken, check, prepare
from poise.checkpoints.models import load_model
from poise.checkpoints.training_lake import lake_of
from poise.evaluation.evaluate import CLIPS_AT_ONCE, Evaluation, Row, evaluate
from poise.evaluation.metrics import pool
from poise.evaluation.motion import MotionErrors, pool_motion
from poise.lake.ids import WINDOW
from poise.pvd.collection import pvd_store
from poise.pvd.retriever import Retriever, retrieves
from poise.readers.missing import described, listed
from poise.readers.noise import cut_clips, noise_seed, per_window
from poise.readers.plausible import Bodies
from poise.readers.raw_split import open_split, split_exists
from poise.readers.sequence import PoseSequence, Rejected
from poise.runtime.errors import CheckpointError, DataError, LakeError, NoRetrievalError
from poise.runtime.settings import Settings
from poise.training_data.examples import Examples
from poise.training_data.split import load_split
from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.refiner import ClosedFormRefiner, Pair, Refiner
from poise_models.base.window_refiner import WindowRefiner
from poise_models.base.windows import unfold
from poise_retrieval.errors import RetrievalError

log = logging.getLogger(__name__)

Protocol = Literal["per_frame", "per_window"]
PROTOCOLS: tuple[Protocol, ...] = ("per_frame", "per_window")


@dataclass(frozen=True)
class RawRequest:
    """What to evaluate, and on which raw data.

    Attributes:
        track: what the data are.
        settings: where raw data, lake, PVD, registry and SMPL's body model are looked for.
        model: registered model or checkpoint folder.
        refiner: name of a refiner instead of a model; closed forms are fitted on the train split.
        split: ``train`` or ``test``.
        protocol: of denoise tracks, see `poise.readers.noise`.
        clip: cut sequences into clips of this many frames.
        apart: beginnings of actions' names; the sequences of each have a row of their own too.
        stride: frames between the windows of a network; its own by default, mostly 1.
        compiled: compile the network first: pays for long data.
        without_retrieval: go on where the model reads neighbours and there is no PVD to ask.
        only: names of sequences of the split, or their beginnings up to a slash; all where empty.
    """

    track: Track
    settings: Settings
    model: str | None = None
    refiner: str | None = None
    split: Split = "test"
    protocol: Protocol = "per_frame"
    clip: int | None = None
    apart: Sequence[str] = ()
    stride: int | None = None
    compiled: bool = False
    without_retrieval: bool = False
    only: Sequence[str] = ()


@dataclass(frozen=True)
class RawExamples:
    """A refiner that is ready to run, and the sequences of a raw split for it.

    Attributes:
        card: None where the refiner is no model.
        examples: the sequences as the refiner takes them, in the same order.
    """

    refiner: Refiner
    card: ModelCard | None
    sequences: list[PoseSequence]
    rejected: list[Rejected]
    examples: Examples


@dataclass(frozen=True)
class RawEvaluation:
    """A row, and what had to be left out.

    Attributes:
        filled: sequences with joints that were not seen and filled, and which; a line each.
        notes: what is odd about the poses, a line each.
        groups: a row for each group that was asked for, by its prefix; their ``seconds`` are those
            of all sequences together.
        motions: what became of the motion, of all and by group; all are ``""``.
    """

    row: Row
    rejected: list[Rejected]
    filled: list[str]
    notes: list[str]
    groups: dict[str, Row]
    motions: dict[str, MotionErrors | None]


def evaluate_raw(request: RawRequest) -> RawEvaluation:
    """Score a trained model or an untrained refiner on a raw split.

    Raises:
        DataError: nothing to score (of a group, too), or the protocol does not fit the track.
        CheckpointError: the model does not fit the track, or it cannot run as asked.
        NoRetrievalError: the model reads neighbours, and there is no PVD to ask.
    """
    read = read_examples(request)
    members = {prefix: _members(read.sequences, prefix) for prefix in request.apart}
    seed = read.card.seed if read.card else 0
    found = evaluate(read.refiner, read.examples, request.track, seed, request.settings.smpl)
    groups = {prefix: _row_of(found, rows) for prefix, rows in members.items()}
    filled = _filled(read.sequences, request.track.info.joint_names)
    motions = {"": found.motion} | {
        prefix: pool_motion([found.motions[number] for number in rows])
        for prefix, rows in members.items()
    }
    odd = _odd(read.sequences, request.track)
    return RawEvaluation(found.row, read.rejected, filled, odd, groups, motions)


def read_examples(request: RawRequest) -> RawExamples:
    """Read a raw split and what is to refine it, ready to run.

    Raises:
        DataError: nothing to score, or the protocol does not fit the track.
        CheckpointError: the model does not fit the track, or it cannot run as asked.
        NoRetrievalError: the model reads neighbours, and there is no PVD to ask.
    """
    chosen, card = _refiner(request)
    check(chosen, request.stride, request.compiled)
    sequences, rejected = _read(request, request.split, request.clip)
    sequences = _chosen(sequences, request)
    windows = _windows(sequences, request, chosen)
    detected = [as_taken(chosen, one.detected_FC, one.unseen_FJ) for one in sequences]
    pairs = zip(map(torch.from_numpy, detected), windows, strict=True)
    clips = [Clip(detected_FC, windows_NTC) for detected_FC, windows_NTC in pairs]
    clips = _with_neighbours(clips, request, chosen, card)
    truths = [torch.from_numpy(s.truth_FC) for s in sequences if s.truth_FC is not None]
    untrue = {s.name: torch.from_numpy(s.untrue_FJ) for s in sequences if s.untrue_FJ is not None}
    seen = Examples([sequence.name for sequence in sequences], clips, truths, untrue)
    prepare(chosen, request.stride, request.compiled)
    return RawExamples(chosen, card, sequences, rejected, seen)


def _refiner(request: RawRequest) -> tuple[Refiner, ModelCard | None]:
    if request.model is not None:
        return _trained(request.model, request)
    if request.refiner is None:
        raise CheckpointError("name a model or a refiner")
    chosen = catalogue.build(request.refiner, pose_spec(request.track))
    if isinstance(chosen, ClosedFormRefiner):
        chosen.fit(training_pairs(request))
    elif chosen.learns:
        raise CheckpointError(
            f"{request.refiner} has to be trained first: give --model, a name from the registry or "
            "a checkpoint folder (poise sweep makes both)"
        )
    return chosen, None


def _trained(model: str, request: RawRequest) -> tuple[Refiner, ModelCard]:
    track = request.track
    chosen, card = load_model(model, request.settings.tracking_uri, pose_spec(track))
    if chosen.spec != pose_spec(request.track):
        raise CheckpointError(
            f"{model} was trained on {card.track} with {chosen.spec}; "
            f"{request.track} has {pose_spec(request.track)}"
        )
    if isinstance(chosen, WindowRefiner) and chosen.views > 1:
        raise CheckpointError(
            f"{model} refines {chosen.views} views of a take together, which is scored by a "
            "sweep (poise sweep) alone"
        )
    return chosen, card


def training_pairs(request: RawRequest) -> Iterable[Pair]:
    """Return the track's train split, of the raw data, else of the lake.

    Raises:
        DataError: neither has it.
    """
    data, track = request.settings.data, request.track
    if split_exists(data, track, "train"):
        sequences, _ = _read(request, "train", None)
        return [
            Pair(s.subject, torch.from_numpy(s.detected_FC), torch.from_numpy(s.truth_FC))
            for s in sequences
            if s.truth_FC is not None
        ]
    try:
        return load_split(request.settings.lake, track, "train").pairs()
    except LakeError as error:
        raise DataError(
            f"{request.refiner or 'this'} is learnt from the train split: {data} has none of "
            f"{track}, and {error}"
        ) from error


def _read(
    request: RawRequest, split: Split, clip: int | None
) -> tuple[list[PoseSequence], list[Rejected]]:
    data = request.settings.data
    sequences: list[PoseSequence] = []
    rejected: list[Rejected] = []
    for item in open_split(data, request.track, split):
        if isinstance(item, Rejected):
            rejected.append(item)
        elif item.truth_FC is None:
            reason = "no ground truth to score against"
            rejected.append(Rejected(str(data), item.name, "truth", reason))
        else:
            sequences += cut_clips(item, clip) if clip else [item]
    if not sequences:
        first = f"; first of {len(rejected)}: {rejected[0]}" if rejected else ""
        raise DataError(f"{request.track}: nothing to score in the {split} split of {data}{first}")
    return sequences, rejected


def _chosen(sequences: list[PoseSequence], request: RawRequest) -> list[PoseSequence]:
    """The sequences that were asked for by name."""
    if not request.only:
        return sequences
    found: dict[str, PoseSequence] = {}
    for name in request.only:
        own = {s.name: s for s in sequences if f"{s.name}/".startswith(f"{name.rstrip('/')}/")}
        if not own:
            raise DataError(
                f"{request.track}: no sequence {name} in the {request.split} split of "
                f"{request.settings.data}; the first are {', '.join(s.name for s in sequences[:3])}"
            )
        found |= own
    return list(found.values())


def _filled(sequences: Sequence[PoseSequence], names: Sequence[str]) -> list[str]:
    lines = []
    for one in sequences:
        if one.unseen_FJ is not None and one.unseen_FJ.any():
            lines += [f"{one.name}: {said}" for said in described(one.unseen_FJ, names)]
        if one.untrue_FJ is not None and one.untrue_FJ.any():
            lines.append(f"{one.name}: not scored: {listed(one.untrue_FJ, names)}")
    return lines


def _odd(sequences: Sequence[PoseSequence], track: Track) -> list[str]:
    notes = [f"{one.name}: {one.note}" for one in sequences if one.note]
    bodies = Bodies(track.info)
    for one in sequences:
        bodies.add(one.detected_FC, one.truth_FC)
    return notes + bodies.notes()


def _members(sequences: Sequence[PoseSequence], prefix: str) -> list[int]:
    actions = [sequence.action or "" for sequence in sequences]
    rows = [number for number, action in enumerate(actions) if action.startswith(prefix)]
    if not rows:
        have = ", ".join(sorted(set(actions))[:5])
        raise DataError(f"no action begins with {prefix!r}; the first actions are: {have}")
    return rows


def _row_of(whole: Evaluation, rows: Sequence[int]) -> Row:
    scores = pool([whole.sequences[number][1] for number in rows])
    return replace(whole.row, **asdict(scores))


def _windows(
    sequences: Sequence[PoseSequence], request: RawRequest, refiner: Refiner
) -> list[Tensor | None]:
    if request.protocol == "per_frame":
        return [None] * len(sequences)
    noise = request.track.info.noise
    if noise is None:
        raise DataError(
            f"{request.track} is not a denoise track: --protocol per_window has no noise"
        )
    if noise.kind == "simulated":
        raise DataError(
            f"{request.track}: an estimator sees a frame once; leave out --protocol per_window"
        )
    length = refiner.window if isinstance(refiner, WindowRefiner) else WINDOW
    return [
        torch.from_numpy(per_window(s.truth_FC, length, noise, noise_seed(request.split, s.name)))
        for s in sequences
        if s.truth_FC is not None
    ]


def _with_neighbours(
    clips: list[Clip], request: RawRequest, refiner: Refiner, card: ModelCard | None
) -> list[Clip]:
    track = request.track
    # Where there can be no PVD, the model was trained without one: nothing is missing.
    if not (isinstance(refiner, WindowRefiner) and retrieves(refiner) and track.has_pvd):
        return clips
    lake = lake_of(request.settings, card)
    try:
        with pvd_store(request.settings) as uri:
            retriever = Retriever(lake, track, uri, neighbours=refiner.neighbours)
    except (LakeError, RetrievalError) as error:
        if not request.without_retrieval:
            raise NoRetrievalError(
                f"{refiner.title} reads neighbours from the PVD of {track}, and there is none to "
                f"ask: {error}. Ingest the track with its PVD, or score it without, which is "
                "another task than the one it was trained for: --without-retrieval"
            ) from error
        log.warning("No retrieval, every window stands in for its own neighbour: %s", error)
        return clips
    groups = (clips[at : at + CLIPS_AT_ONCE] for at in range(0, len(clips), CLIPS_AT_ONCE))
    return [clip for group in groups for clip in _found(group, retriever)]


def _found(clips: Sequence[Clip], retriever: Retriever) -> list[Clip]:
    windows = [
        unfold(clip.detected_FC, WINDOW) if clip.windows_NTC is None else clip.windows_NTC
        for clip in clips
    ]
    counts = [len(of_clip) for of_clip in windows]
    near_NKTC, far_NK = retriever.find_windows(torch.cat(windows))
    found = zip(clips, near_NKTC.split(counts), far_NK.split(counts), strict=True)
    return [clip.with_neighbours(near, far) for clip, near, far in found]
