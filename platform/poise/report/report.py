"""A sweep as a report: `report` gathers its sections."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from poise.catalog.tracks import Track
from poise.report.breakdown import action_blocks
from poise.report.charts.learning import learning_curves
from poise.report.charts.plane import plane
from poise.report.choice import choice_blocks, training_blocks
from poise.report.cost import cost_blocks
from poise.report.figure1 import curves
from poise.report.made import duration, made_blocks
from poise.report.order import order_blocks
from poise.report.overview import overview
from poise.report.pages.document import Block, Document, Picture, Section, Text
from poise.report.paper import Paper, like, published, title_of
from poise.report.refined.ablations import ablations
from poise.report.refined.disagreement import disagreement
from poise.report.refined.sections import refined_sections
from poise.report.results import Row, main_table, result_blocks, rows_of, whole
from poise.report.sweeps.source import runs_of
from poise.report.sweeps.trials import Method, Sweep
from poise.runtime.settings import Settings

#: Told what is being worked on, for longer work.
Say = Callable[[str], None]


_PLANE = Text(
    "Lower left is better. Filled: here; hollow: published. Filters are grey, as they learn "
    "nothing of how people move."
)
_CURVES = Text(
    "MPJPE on the people held out, a line for each seed and fold; the dot is where weights were "
    "kept."
)


@dataclass(frozen=True)
class Wanted:
    """What a report is to hold.

    Attributes:
        settings: where lake and tracking server are.
        command: that asked for it.
        refine: whether test sequences are refined again, for joints, spectra and skeletons.
        say: told what is being worked on.
    """

    settings: Settings
    command: str
    refine: bool
    say: Say


def report(sweep: Sweep, wanted: Wanted) -> Document:
    """Return what came out of a sweep, finished or not."""
    tables = {track: _tables(sweep, track) for track in sweep.tracks}
    named = {name: rows for of_track in tables.values() for name, rows in of_track.items()}
    everywhere = overview(named)
    sections = [everywhere] if everywhere else []
    sections += curves(sweep)
    for track, of_track in tables.items():
        sections += _of_track(sweep, track, of_track, wanted)
    runs, problem = runs_of(sweep, wanted.settings)
    made = made_blocks(sweep, runs, wanted.command)
    if problem:
        made.append(Text(f"No links to MLflow: {problem}."))
    sections.append(Section("How it was made", made))
    return Document(sweep.name, _about(sweep), sections, _figures(sweep, named))


def _tables(sweep: Sweep, track: str) -> Mapping[str, Sequence[Row]]:
    return rows_of(track, sweep.methods(track), published(track, sweep.name))


def _about(sweep: Sweep) -> str:
    refiners = {(t.spec.refiner, t.spec.label) for t in sweep.trials}
    done, count = len(sweep.finished), len(sweep.trials)
    tracks = ", ".join(sweep.tracks)
    many = "refiner" if len(refiners) == 1 else "refiners"
    text = f"{len(refiners)} {many} on {tracks}: {done} of {count} trials finished"
    return text + ("." if done == count else "; the others are said where they are missing.")


def _figures(sweep: Sweep, tables: Mapping[str, Sequence[Row]]) -> list[tuple[str, str]]:
    """Return what a reader wants to know first: the best of each track, and how much was run."""
    found = []
    for name, rows in tables.items():
        known = whole(rows)
        raw = next((row for row in known if row.refiner == "input"), None)
        # Of many tracks one figure each: the table below has the others.
        for metric, what in (("mpjpe", "MPJPE"), ("accel", "Accel"))[: 1 if len(tables) > 2 else 2]:
            values = [row.mean(metric) for row in known]
            best = known[values.index(min(values))] if known else None
            if best is not None and best.line is not None:
                was = f", input {raw.mean(metric):.2f}" if raw else ""
                unit = best.line.unit + ("/frame²" if metric == "accel" else "")
                figure = f"{best.mean(metric):.2f} {unit}"
                found.append((figure, f"{what} of {best.title} on {name}{was}"))
    done = f"{len(sweep.finished)} of {len(sweep.trials)}"
    spent = duration(sum(trial.seconds for trial in sweep.trials))
    return [*found, (done, f"trials finished, {spent} in all")]


def _of_track(
    sweep: Sweep, track: str, tables: Mapping[str, Sequence[Row]], wanted: Wanted
) -> Iterator[Section]:
    methods, paper = sweep.methods(track), published(track, sweep.name)
    if not methods:
        why = sweep.header.get("absent", {}).get(track, "nothing of it was submitted")
        yield Section(track, [Text(f"Not run: {why}."), *_unrun(paper)])
        return
    for number, (name, rows) in enumerate(tables.items()):
        yield Section(name, list(result_blocks(name, rows, paper)))
        if any(row.line for row in rows):
            yield Section("Precision and smoothness", [_PLANE, Picture(plane(rows), name, True)], 3)
        if number == 0:
            yield from _beside(methods, rows, like(track, sweep.name))
        if any(row.line for row in rows):
            yield from _closer(track, rows, wanted)
            if wanted.refine:
                yield from disagreement(track, rows, wanted.settings, wanted.say)
                yield from ablations(sweep.name, rows, wanted.settings, wanted.say)


def _unrun(paper: Paper) -> list[Block]:
    """Return the printed rows of a track that has none of ours."""
    rows = [Row(title_of(row), None, None, row) for row in paper.rows]
    return [main_table(paper.track, rows, paper)] if rows else []


def _beside(methods: Sequence[Method], rows: Sequence[Row], paper: Paper) -> Iterator[Section]:
    parts: list[tuple[str, list[Block]]] = [
        ("Order of methods", list(order_blocks(rows, paper))),
        ("Which weights, chosen by what", choice_blocks(methods)),
        ("Cost", cost_blocks(methods)),
        ("Training", [*training_blocks(methods), *_curves(methods)]),
    ]
    for title, blocks in parts:
        if blocks:
            yield Section(title, blocks, level=3)


def _curves(methods: Sequence[Method]) -> list[Block]:
    pictures = list(learning_curves(methods))
    return [_CURVES, *pictures] if pictures else []


def _closer(track: str, rows: Sequence[Row], wanted: Wanted) -> Iterator[Section]:
    actions = action_blocks(rows)
    if actions:
        yield Section("Errors by action", actions, level=3)
    if wanted.refine:
        yield from refined_sections(Track.parse(track), rows, wanted.settings, wanted.say)
    else:
        said = "This report is of records only: joints, spectra and skeletons are left out."
        yield Section("Sequences", [Text(said)], level=3)
