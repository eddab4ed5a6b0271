"""How results of refiners are printed and written."""

from collections.abc import Sequence

from poise.cli.shared.output import print_table, say
from poise.evaluation.motion import MotionErrors
from poise.evaluation.motion_table import motion_columns
from poise.evaluation.tables import Entry, absent_tables, result_tables
from poise.experiments.search.search import SearchResult
from poise.experiments.sweep import SweepResult


def print_result(result: SweepResult) -> None:
    """Print a sweep's tables, the trials without a row, and what else happened."""
    print()
    print_entries(result.entries)
    for table in absent_tables(result.absent):
        print(f"\n{table.caption}")
        print_table(table.header, table.rows, (0, 1))
    print()
    for trial, reason in result.failures:
        say(f"no row for {trial}: {reason}")
    for note in result.notes:
        say(note)


def print_search(result: SearchResult) -> None:
    """Print a search's trials, the best of them, and its plan."""
    print()
    if result.rows:
        print_table(result.header, result.rows, left=())
    print()
    for note in result.notes:
        say(note)
    if result.best is None:
        say("no trial has a score")
        return
    say(result.best)
    say(f"train and test it with all seeds: poise sweep --plan {result.plan}")


def print_entries(entries: Sequence[Entry]) -> None:
    """Print the tables of some rows."""
    for number, table in enumerate(result_tables(entries)):
        print("\n" * (number > 0) + table.caption)
        left = [0, *(at for at, name in enumerate(table.header) if name == "Size")]
        print_table(table.header, table.rows, left, table.best)
        for note in table.notes:
            print(note)


def print_motion(motion: MotionErrors | None, unit: str) -> None:
    """Print what became of a motion, where that is defined."""
    if motion is not None:
        print_table(*motion_columns([motion], unit), left=())
