"""The table of a sweep while it fills, in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poise.cli.shared.output import Screen, in_terminal

if TYPE_CHECKING:
    from poise.experiments.live.pulse import Show
    from poise.experiments.live.rows import LiveRow
    from poise.experiments.live.status import Status


def table_on(screen: Screen) -> "Show | None":
    """Return what shows a sweep's table above a bar; None where lines are to be printed."""
    if not in_terminal():
        return None
    from poise.experiments.live.rows import HEADER, LEFT

    def show(status: "Status", rows: "Sequence[LiveRow]") -> None:
        # What runs is at the end of the rows that there is room for, and what waits comes after.
        open_ = [row for row in rows if row.done < row.of and not row.now]
        begun = [row for row in rows if row not in open_]
        screen.put(HEADER, [row.cells for row in begun + open_[:_WAITING]], LEFT)
        screen.move(status.done, status.total, status.far)

    return show


#: Rows of trials that wait, in the table.
_WAITING = 5
