"""How a report was made: commands, versions, data, seeds, machine."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from poise.experiments.tracking.source import commit_of
from poise.report.pages.document import Block, Cell, Table, Terms
from poise.report.sweeps.trials import Run, Sweep, Trial
from poise.runtime.machine import processor

_PACKAGES = ("poise", "torch", "numpy", "scipy", "ray", "mlflow", "pymilvus")


def made_blocks(sweep: Sweep, runs: Mapping[str, Run], command: str) -> list[Block]:
    """Say how a sweep and its report were made.

    Args:
        sweep: what is reported.
        runs: in MLflow, by key.
        command: that made the report.
    """
    return [Terms(_of_sweep(sweep)), Terms(of_report(command)), _trials(sweep, runs)]


def _of_sweep(sweep: Sweep) -> list[tuple[str, str]]:
    origin: Mapping[str, str] = sweep.header.get("origin") or {}
    specs = [trial.spec for trial in sweep.trials]
    manifests = {spec.track: spec.manifest for spec in specs}
    folds = {spec.fold.of for spec in specs if spec.fold}
    kept = [origin[name] for name in ("packages", "diff") if name in origin]
    machines = {", ".join(trial.folder.facts("machine").values()) for trial in sweep.trials}
    found = [
        ("Sweep", sweep.where),
        ("Command", origin.get("command") or f"poise sweep --plan {sweep.name}"),
        ("Code", code_of(sweep)),
        ("Beside the sweep", ", ".join(kept)),
        ("Data", "; ".join(f"{track}, manifest {hash_}" for track, hash_ in manifests.items())),
        ("Seeds", ", ".join(map(str, sweep.plan.get("seeds", [])))),
        ("Folds", ", ".join(map(str, folds)) or "none: the track's own test split"),
        ("Trials", _when(sweep.trials)),
        ("Machines", "; ".join(sorted(machines - {""}))),
    ]
    return [(name, text) for name, text in found if text]


def code_of(sweep: Sweep) -> str:
    """Return the commit of a sweep's code, and whether anything was changed since."""
    origin = sweep.header.get("origin") or {}
    commit = f"commit {sweep.header.get('commit') or 'unknown'}"
    said = {"true": ", with changes that nobody committed", "false": ", nothing changed"}
    return commit + said.get(origin.get("dirty", ""), "")


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


def of_report(command: str) -> list[tuple[str, str]]:
    """Return the command, the versions and the machine of a report."""
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
