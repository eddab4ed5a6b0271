"""What refiners make of each kind of error that estimators make, one at a time.

Errors are drawn on motion that networks of ours were not trained on, by the simulator that they
were trained with; each kind is as strong as it is there. Filters are tuned for every kind anew.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from poise.analysis import contenders
from poise.analysis.contenders import FILTERS, SIMULATED, Contender, Sequences
from poise.analysis.repairs import gap_rows, gap_table, swap_rows, swap_table
from poise.analysis.result import AnalysisResult
from poise.analysis.simulated_clips import clips, detected
from poise.catalog.splits import Split
from poise.catalog.tracks import Track
from poise.readers.simulated.strengths import FAULTLESS, Between, Strengths
from poise.runtime.errors import DataError
from poise.runtime.text.table import text_table

#: Clips that are scored, and those that settings are chosen on.
CLIPS, TUNING_CLIPS = 60, 12
_USUAL = Strengths()
#: Every estimator jitters a little, here by 5 mm at a knee that stands.
_CALM = FAULTLESS._replace(jitter_m=Between(0.005, 0.005))
#: What estimators do wrong, each by itself; shares of estimators that do are all of them here.
KINDS: Mapping[str, Strengths] = {
    "jitter": FAULTLESS._replace(
        jitter_m=_USUAL.jitter_m, along_limbs=_USUAL.along_limbs, in_common=_USUAL.in_common
    ),
    "white noise": _CALM._replace(white=1.0, white_m=_USUAL.white_m),
    "bias": _CALM._replace(bias_m=_USUAL.bias_m, scale=_USUAL.scale),
    "swaps": _CALM._replace(swaps=_USUAL.swaps, flickers=_USUAL.flickers),
    "freezes": _CALM._replace(freezes=_USUAL.freezes),
    "inversions": _CALM._replace(inversions=_USUAL.inversions, flickers=_USUAL.flickers),
    "outliers": _CALM._replace(flings=_USUAL.flings, fling_m=_USUAL.fling_m),
    "stutter": _CALM._replace(stutters=1.0),
    "lost joints": _CALM._replace(lost_joints=_USUAL.lost_joints),
    "lost frames": _CALM._replace(lost_frames=_USUAL.lost_frames),
    "blind": _CALM._replace(blind=(1.0, _USUAL.blind[1])),
    "all": _USUAL,
}
_BEST_FILTER = "best filter"


@dataclass(frozen=True)
class KindRow:
    """A refiner's errors where estimators make one kind of error.

    Attributes:
        label: what tables call the refiner.
        setting: of the filter that was chosen for this kind.
    """

    kind: str
    label: str
    mpjpe: float
    accel: float
    setting: str = ""


def analyse(
    data: Path | None,
    split: Split,
    models: Sequence[str],
    tracking_uri: str,
    kinds: Sequence[str] = tuple(KINDS),
) -> AnalysisResult:
    """Refine every kind of error, swapped sides and gaps by every refiner.

    Args:
        data: folder of raw data with `SIMULATED`'s motion.
        split: whose motion.
        models: registered names or checkpoint folders.
        tracking_uri: of the registry.
        kinds: of `KINDS`.

    Raises:
        DataError: there is no motion, or no such kind.
        CheckpointError: a model is for other joints.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise DataError(f"no kind of error {', '.join(unknown)}: choose from {', '.join(KINDS)}")
    track = Track.parse(SIMULATED)
    known = [contenders.model(name, tracking_uri, track) for name in models]
    test = clips(Sequences.read(data, track, split), CLIPS)
    train = Sequences.read(data, track, "train")
    tune_on, learnt = clips(train, TUNING_CLIPS), [contenders.linear(train), *known]
    found = [row for kind in kinds for row in kind_rows(kind, test, tune_on, learnt)]
    every = [contenders.plain(track, "input"), *learnt]
    swaps, gaps = swap_rows(test, every), gap_rows(test, learnt)
    frames = sum(len(one.detected_FC) for one in test.items)
    text = [
        f"{track}, {split}: {len(test.items)} clips, {frames:,} frames; MPJPE mm / Accel mm/frame²",
        kind_table(found),
        "",
        swap_table(swaps),
        "",
        gap_table(gaps),
    ]
    return AnalysisResult([*found, *swaps, *gaps], "\n".join(text))


def kind_rows(
    kind: str, test: Sequences, tune_on: Sequences, learnt: Sequence[Contender]
) -> Iterator[KindRow]:
    """Score the input, the filter that is best for a kind, and refiners that learnt."""
    seen, practice = (detected(some, KINDS[kind], kind) for some in (test, tune_on))
    yield _row(kind, contenders.plain(seen.track, "input"), seen)
    best, setting = _best_filter(practice)
    yield replace(_row(kind, best, seen), label=_BEST_FILTER, setting=setting)
    for one in learnt:
        yield _row(kind, one, seen)


def kind_table(rows: Sequence[KindRow]) -> str:
    """MPJPE and Accel by kind and refiner, as text."""
    labels, kinds = (
        list(dict.fromkeys(names))
        for names in ([row.label for row in rows], [row.kind for row in rows])
    )
    cells = {(row.kind, row.label): f"{row.mpjpe:.2f} / {row.accel:.2f}" for row in rows}
    chosen = {row.kind: row.setting for row in rows if row.setting}
    body = [[kind, *(cells[kind, label] for label in labels), chosen[kind]] for kind in kinds]
    return text_table(["kind", *labels, _BEST_FILTER], body, (0, len(labels) + 1))


def _best_filter(practice: Sequences) -> tuple[Contender, str]:
    """The filter and setting of the best score on clips of training subjects."""
    raw = practice.score(contenders.plain(practice.track, "input")).row
    # What does not move at all has no Accel to compare with.
    scale = raw.mpjpe or 1.0, raw.accel or 1.0
    best, least = contenders.plain(practice.track, "input"), math.inf
    for name in FILTERS:
        one = contenders.tuned(practice.track, name, practice, scale)
        row = practice.score(one).row
        score = row.mpjpe / scale[0] + row.accel / scale[1]
        if score < least:
            best, least = one, score
    return best, best.label


def _row(kind: str, contender: Contender, seen: Sequences) -> KindRow:
    row = seen.score(contender).row
    return KindRow(kind, contender.label, row.mpjpe, row.accel)
