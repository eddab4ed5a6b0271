"""The order of methods beside the paper's, and whether ours can be told from chance."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from poise.evaluation.paired import difference
from poise.report.pages.document import Block, Cell, Items, Table, Text
from poise.report.paper import Paper
from poise.report.results import Row, chance

#: Fewer methods in common have no order worth a table.
_FEWEST = 3
_METRICS = (("mpjpe", "MPJPE"), ("accel", "Accel"))


def order_blocks(rows: Sequence[Row], paper: Paper) -> Iterator[Block]:
    """Say in which order refiners stand here and in the paper.

    Args:
        rows: of the track.
        paper: what is published, of this track or of one like it.
    """
    for metric, name in _METRICS:
        both = [
            (row, told.metrics[metric])
            for row in rows
            if row.line and row.method
            for told in [paper.of(row.method)]
            if told and metric in told.metrics
        ]
        if len(both) < _FEWEST:
            continue
        yield Text(f"{name}, best first, beside {paper.track} in {paper.source}.")
        yield _table(both, metric)
        turned = list(_turned(both, metric))
        if turned:
            yield Items(turned)
        else:
            yield Text("The order is the paper's.")


def _table(both: Sequence[tuple[Row, float]], metric: str) -> Table:
    ours = sorted(both, key=lambda one: one[0].mean(metric))
    theirs = sorted(both, key=lambda one: one[1])
    body = [
        [
            Cell(str(place + 1)),
            Cell(f"{mine.title}, {mine.mean(metric):.2f}"),
            Cell(f"{other.title}, {figure:.2f}"),
        ]
        for place, ((mine, _), (other, figure)) in enumerate(zip(ours, theirs, strict=True))
    ]
    return Table(["", "here", "paper"], body, left=(1, 2))


def _turned(both: Sequence[tuple[Row, float]], metric: str) -> Iterator[str]:
    """Name the pairs that stand the other way round than in the paper."""
    for (one, first), (other, second) in combinations(sorted(both, key=lambda b: b[1]), 2):
        gap = one.mean(metric) - other.mean(metric)
        if first == second or gap <= 0:
            continue
        ours = f"{gap:.2f}{chance(difference(one.runs, other.runs, metric))}"
        yield (
            f"{one.title} is behind {other.title} here by {ours}, and ahead in the paper by "
            f"{second - first:.2f}."
        )
