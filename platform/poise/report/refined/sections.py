"""Sections of a report that take refining test sequences again."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from poise.catalog.tracks import Track
from poise.evaluation.scored import Scored
from poise.report.breakdown import heat_table, telling
from poise.report.pages.document import Block, Items, Picture, Section, Text
from poise.report.refined.again import MOST_S, Again, Refinery, first_seed, seconds
from poise.report.refined.curves import calibration, spectra
from poise.report.refined.measured import Measured, measure
from poise.report.refined.scenes import chosen, scene
from poise.report.results import Row
from poise.report.sweeps.trials import Trial
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_models.errors import RefinerError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Closer:
    """Methods of a track, looked at more closely.

    Attributes:
        measured: those whose sequences could be refined again.
        best: the row whose sequences are shown.
        scenes: these, each with what it is.
        notes: why others could not.
    """

    track: Track
    measured: list[Measured]
    best: Row | None
    scenes: list[tuple[str, Scored]]
    notes: list[str] = field(default_factory=list)


def refined_sections(
    track: Track, rows: Sequence[Row], settings: Settings, say: Say
) -> Iterator[Section]:
    """Refine what is worth a closer look, and show joints, frequencies, expected errors, bodies.

    Args:
        track: of the rows.
        rows: its table.
        settings: where the lake is.
        say: told what is being refined.
    """
    closer = _look(track, rows, settings, say)
    unit = track.info.unit
    parts: list[tuple[str, list[Block]]] = [
        ("Errors by joint", _joints(closer, unit)),
        ("Error spectra", _spectra(closer, unit)),
        ("Expected errors", _expected(closer, unit)),
        ("Sequences", _bodies(closer)),
    ]
    for title, blocks in parts:
        if blocks:
            yield Section(title, blocks, level=3)
    if closer.notes:
        why = Text("What joints, spectra, expected errors and skeletons lack:")
        yield Section("Not refined again", [why, Items(closer.notes)], level=3)


def _look(track: Track, rows: Sequence[Row], settings: Settings, say: Say) -> Closer:
    wanted = telling(rows)
    learnt = [row for row in wanted if row.stands_out] or wanted
    best = min(learnt, key=lambda row: row.mean("mpjpe"), default=None)
    scenes = chosen(_first_sequences(best)) if best else []
    closer = Closer(track, [], best, scenes)
    refinery = Refinery(track, settings)
    for row in wanted:
        trials = first_seed(row.method) if row.method else []
        if row.method is None or not trials:
            continue
        if seconds(trials) > MOST_S:
            took = f"{seconds(trials):.0f} s of refining when it was scored"
            closer.notes.append(f"{row.title} took {took}, too long to do again.")
            continue
        keep = [one.name for _, one in scenes] if row is best else []
        try:
            sequences = _all(refinery, trials, say)
            closer.measured.append(measure(row.method, sequences, track.info, keep))
        except (PoiseError, RefinerError, OSError) as error:
            closer.notes.append(f"{row.title}: {error}.")
    return closer


def _first_sequences(row: Row) -> list[Scored]:
    trials = first_seed(row.method) if row.method else []
    return [one for trial in trials if trial.entry for one in trial.entry.sequences]


def _all(refinery: Refinery, trials: Sequence[Trial], say: Say) -> Iterator[Again]:
    for trial in trials:
        say(f"refining again: {trial.spec.name}")
        yield from refinery.refined(trial)


def _joints(closer: Closer, unit: str) -> list[Block]:
    if not closer.measured:
        return []
    names = closer.track.info.joint_names
    values = {
        name: [float(one.error_J[place]) for one in closer.measured]
        for place, name in enumerate(names)
        if any(one.error_J[place] > 0 for one in closer.measured)
    }
    said = Text(
        f"Mean distance to the truth, {unit}, relative to the root as in MPJPE; the first seed of "
        "each, all folds. The darker, the larger."
    )
    return [said, heat_table("Joint", [one.method.title for one in closer.measured], values)]


def _spectra(closer: Closer, unit: str) -> list[Block]:
    shown = [one for one in closer.measured if one.density_K is not None]
    if not shown:
        return []
    said = Text(
        "Where errors are in frequency: constants and drift to the left, jitter to the right. The "
        "median of the sequences that are long enough, each without its trend."
    )
    return [said, Picture(spectra(shown, unit), "Power of the error", wide=True)]


def _expected(closer: Closer, unit: str) -> list[Block]:
    shown = [one for one in closer.measured if one.met]
    if not shown:
        return []
    said = Text(
        "What a refiner says about its own errors beside the errors, in tenths of all joints and "
        "frames by what it says; as they are, and without each joint's mean error of the sequence, "
        "which nothing in the input tells."
    )
    return [said, *(Picture(calibration(one.met, unit), one.method.title) for one in shown)]


def _bodies(closer: Closer) -> list[Block]:
    kept = {name: again for one in closer.measured for name, again in one.kept.items()}
    if closer.best is None or not math.isfinite(closer.best.mean("mpjpe")):
        return []
    who = closer.best.title
    found: list[Block] = [
        scene(what, who, one, kept[one.name], closer.track)
        for what, one in closer.scenes
        if one.name in kept
    ]
    if found:
        return [Text(f"Of {who}, each over the truth, which is grey; drag to turn."), *found]
    return [Text(f"The sequences of {who} could not be refined again, so none is shown.")]
