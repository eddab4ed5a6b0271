"""How results of refiners are printed and written."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poise.cli.shared.output import in_terminal
from poise.evaluation.tables import Entry, terminal
from poise.experiments.sweep import SweepResult


def print_result(result: SweepResult) -> None:
    """Print a sweep's tables, the trials without a row, and what else happened."""
    print()
    print_entries(result.entries)
    print()
    for trial, reason in result.failures:
        print(f"no row for {trial}: {reason}")
    for note in result.notes:
        print(note)


def print_entries(entries: Sequence[Entry]) -> None:
    """Print the tables of some rows."""
    print(terminal(entries, colour=in_terminal()))


def write_json(file: Path, rows: Sequence[Any]) -> None:
    """Write plain values as JSON."""
    file.write_text(json.dumps(rows, indent=2) + "\n")
