"""How a report was made: commands, versions, data, seeds, machine."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from poise.experiments.tracking.source import commit_of
from poise.report.document import Block, Cell, Table, Terms
from poise.report.trials import Run, Sweep, Trial
from poise.runtime.machine import processor

_PACKAGES = ("poise", "torch", "numpy", "scipy", "ray", "mlflow", "pymilvus")


def made_blocks(sweep: Sweep, runs: Mapping[str, Run], command: str) -> list[Block]:
    """Say how a sweep and its report were made.

    Args:
        sweep: what is reported.
        runs: in MLflow, by key.
        command: that made the report.
    """
    return [Terms(list(_of_sweep(sweep))), Terms(list(_of_report(command))), _trials(sweep, runs)]


def _of_sweep(sweep: Sweep) -> list[tuple[str, str]]:
    header, specs = sweep.header, [trial.spec for trial in sweep.trials]
    plan = sweep.plan
    manifests = {spec.track: spec.manifest for spec in specs}
    folds = {spec.fold.of for spec in specs if spec.fold}
    found = [
        ("Sweep", sweep.where),
        ("Command", f"poise sweep --plan {sweep.name}"),
        ("Code", _code(header)),
        ("Data", "; ".join(f"{track}, manifest {hash_}" for track, hash_ in manifests.items())),
        ("Seeds", ", ".join(map(str, plan.get("seeds", [])))),
        ("Folds", ", ".join(map(str, folds)) or "none: the track's own test split"),
        ("Trials", _when(sweep.trials)),
    ]
    return found + [(name.capitalize(), _said(header[name])) for name in _more(header)]


def _more(header: Mapping[str, Any]) -> list[str]:
    return [name for name in header if name not in ("plan", "trials", "commit", "dirty")]


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return str(value)


def _code(header: Mapping[str, Any]) -> str:
    commit = f"commit {header.get('commit') or 'unknown'}"
    dirty = header.get("dirty")
    if dirty is None:
        return commit
    return f"{commit}, {'with changes that are not committed' if dirty else 'nothing changed'}"


def _when(trials: Sequence[Trial]) -> str:
    ended = [trial.result for trial in trials if trial.result]
    if not ended:
        return f"none of {len(trials)} ended"
    first, last = min(one.started for one in ended), max(one.ended for one in ended)
    spent = sum(trial.seconds for trial in trials)
    return (
        f"{len(ended)} of {len(trials)} ended, from {_date(first)} to {_date(last)}; together they "
        f"took {duration(spent)}"
    )


def _date(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def duration(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _of_report(command: str) -> list[tuple[str, str]]:
    return [
        ("Report", f"{command}, {datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC')}"),
        ("Code of the report", f"commit {commit_of()}"),
        ("Versions", ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
         + f", Python {platform.python_version()}"),
        ("Machine of the report", f"{processor()}, {os.cpu_count()} cores, {platform.system()}"),
    ]  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from its source"


def _trials(sweep: Sweep, runs: Mapping[str, Run]) -> Table:
    rows = []
    for trial in sweep.trials:
        key = trial.spec.key
        run = runs.get(key, Run("", ""))
        rows.append([
            Cell(trial.spec.name),
            Cell(trial.state),
            Cell("" if trial.entry is None else f"{trial.entry.row.mpjpe:.2f}"),
            Cell(duration(trial.seconds) if trial.result else ""),
            Cell(key),
            Cell(run.id[:8], href=run.address),
        ])  # fmt: skip
    header = ["Trial", "state", "MPJPE", "time", "key", "MLflow run"]
    return Table(header, rows, left=(0, 1, 4, 5), caption="Every trial")
