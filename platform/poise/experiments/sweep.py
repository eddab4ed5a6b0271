"""Run a plan's grid, from wherever the last submission of it ended."""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from poise.catalog.tracks import Track
from poise.evaluation.plots import precision_plot
from poise.evaluation.tables import Entry, csv_text, markdown, people_csv
from poise.experiments.background_publisher import BackgroundPublisher
from poise.experiments.grid import TrialSpec
from poise.experiments.live.pulse import Pulse, Show
from poise.experiments.mlflow_mirror import MlflowMirror
from poise.experiments.plan import Plan
from poise.experiments.promote import promote_best
from poise.experiments.records import NOTHING, SweepFolder, TrialResult
from poise.experiments.submission.checks import checked_grid
from poise.experiments.submission.selection import EVERYTHING, Selection
from poise.experiments.tracking.source import Source
from poise.experiments.tuning import run_trials, trial_resources
from poise.lake.manifest import read_manifest
from poise.runtime import storage
from poise.runtime.errors import PlanError
from poise.runtime.locks import exclusive
from poise.runtime.names import same_but_for_case
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import see_that_nodes_share

log = logging.getLogger(__name__)

_PATIENCE_S, _PATIENCE_INTERRUPTED_S = 180.0, 30.0


@dataclass(frozen=True)
class SweepResult:
    """What a submission ended with.

    Attributes:
        entries: one a finished trial, in the plan's order.
        failures: trial and reason.
        notes: what happened in the registry, and what could not be published.
        absent: tracks that have no trials, and why.
    """

    entries: list[Entry]
    failures: list[tuple[str, str]]
    notes: list[str]
    absent: Mapping[str, str]


def run_sweep(
    plan: Plan,
    lake: str,
    sweeps: str,
    tracking_uri: str,
    artifacts: str | None = None,
    publish_every: float = 10.0,
    show: Show | None = None,
    selection: Selection = EVERYTHING,
    absent: Mapping[str, str] = NOTHING,
) -> SweepResult:
    """Run the trials of a plan that have not finished yet, and publish all of them.

    Finished trials are reused, interrupted ones go on from their last epoch, failed ones are tried
    again.

    Args:
        plan: what to run.
        lake: the data lake, with the plan's tracks in it.
        sweeps: folder or URI of all sweeps; this one's is ``<sweeps>/<plan.name>``. On a cluster
            of several machines it must be storage that all of them reach.
        tracking_uri: of MLflow.
        artifacts: where a new MLflow experiment keeps artifacts; None leaves it to the server.
        publish_every: seconds between two visits to MLflow.
        show: shows where the sweep is while it runs; by default lines are logged.
        selection: what to run of it; tables and MLflow have what other submissions ran, too.
        absent: tracks of the plan that are not in the lake, and why: the tables say so.

    Raises:
        BusyError: another submission of the plan is running.
        ClusterError: a node of the cluster does not see the lake or the sweep's folder.
        LakeError: a track that is not absent is not in the lake.
        PlanError: see `checked_grid`; or there is no GPU, which the plan asks for; or its folder is
            that of another plan.
        KeyboardInterrupt: the user stopped it; everything was brought to rest first.
    """
    there = [track for track in plan.tracks if track not in absent]
    manifests = {track: read_manifest(lake, Track.parse(track)) for track in there}
    specs = [s for s in checked_grid(plan, manifests, selection) if s.track in manifests]
    sweep = SweepFolder(storage.join(sweeps, plan.name))
    with exclusive(sweep.uri), contextlib.ExitStack() as cluster:
        check_name(sweep, plan)
        results = _ended(sweep, specs)
        pending = [spec for spec in specs if selection.runs(sweep, spec)]
        shown = [spec for spec in specs if spec.key in results or spec in pending]
        log.info(
            f"sweep {plan.name}: {len(specs)} trials, {len(results)} finished before and reused, "
            f"{len(pending)} to run"
        )
        resources = {}
        if pending:
            # A plan that cannot run is refused before anything is written.
            cluster.enter_context(connect())
            see_that_nodes_share({"--storage": sweep.uri, "--lake": lake})
            resources = trial_resources(plan)
        commit, origin = keep_source(sweep, lake)
        sweep.begin(plan, [spec.key for spec in specs], commit, origin, absent)
        mirror = MlflowMirror(sweep, tracking_uri, artifacts)
        with (
            Pulse(sweep, shown, results, show) as pulse,
            published(mirror, specs, publish_every) as notes,
        ):
            if pending:
                with cluster:
                    _begin(sweep, pending, origin)
                    run_trials(plan, pending, resources, sweep, lake, pulse)
            pulse.publishes()
            _write_tables(sweep)
        return _result(sweep, specs, notes)


def republish(
    plan: Plan, sweeps: str, tracking_uri: str, artifacts: str | None = None
) -> SweepResult:
    """Send to MLflow what the plan's sweep holds, without training anything.

    Args:
        plan: names the sweep.
        sweeps: folder or URI of all sweeps.
        tracking_uri: of MLflow.
        artifacts: where a new MLflow experiment keeps artifacts; None leaves it to the server.

    Raises:
        BusyError: a submission of the plan is running; it publishes by itself.
        PlanError: the plan was never submitted.
    """
    sweep = submitted(sweeps, plan.name)
    with exclusive(sweep.uri):
        specs = [spec for key in sweep.header()["trials"] if (spec := sweep.trial(key).spec())]
        with published(MlflowMirror(sweep, tracking_uri, artifacts), specs, 3600.0) as notes:
            pass
        return _result(sweep, specs, notes)


def submitted(sweeps: str, name: str) -> SweepFolder:
    """Return a sweep's folder; raise `PlanError` where its plan was never submitted."""
    sweep = SweepFolder(storage.join(sweeps, name))
    if not sweep.exists():
        raise PlanError(f"{sweep.uri} holds nothing to publish: the plan was never submitted there")
    return sweep


def check_name(sweep: SweepFolder, plan: Plan) -> None:
    """Refuse a folder that a plan of another name has: on some disks case tells none apart."""
    there = sweep.header()["plan"]["name"] if sweep.exists() else plan.name
    if same_but_for_case(plan.name, [there]):
        raise PlanError(
            f"{sweep.uri} is the sweep of the plan {there}, which differs from {plan.name} only in "
            "case, and is one name on this disk: choose another name"
        )


def keep_source(sweep: SweepFolder, lake: str) -> tuple[str, dict[str, str]]:
    """Write down what is submitted: code, packages; return the commit, and where it comes from."""
    source = Source.current()
    for name, content in source.files().values():
        sweep.write_source(name, content)
    return source.commit, source.facts() | {"lake": storage.absolute(lake)}


def _ended(sweep: SweepFolder, specs: Sequence[TrialSpec]) -> dict[str, TrialResult]:
    """Return the results, by key, of the trials that are not to run again."""
    found = {spec.key: sweep.trial(spec.key).result() for spec in specs}
    return {key: one for key, one in found.items() if one is not None and one.status != "failed"}


def _begin(sweep: SweepFolder, pending: Sequence[TrialSpec], origin: Mapping[str, str]) -> None:
    for spec in pending:
        folder = sweep.trial(spec.key)
        folder.reopen()
        folder.begin(spec)
        folder.keep_facts("origin", origin)


@contextlib.contextmanager
def published(
    mirror: MlflowMirror, specs: Sequence[TrialSpec], every: float
) -> Iterator[list[str]]:
    """Publish in the background, and when the block is over once more, with the best models.

    Yields:
        Sentences about what happened, complete after the block.
    """
    promoted: list[str] = []
    whole = False

    def publish(running: bool) -> None:
        mirror.publish(running)
        if whole and not running:
            promoted.extend(promote_best(mirror, specs))

    publisher = BackgroundPublisher(publish, every, mirror.tracking_uri)
    publisher.start()
    notes: list[str] = []
    try:
        yield notes
        whole = True
    finally:
        problem = publisher.finish(_PATIENCE_S if whole else _PATIENCE_INTERRUPTED_S)
        if problem:
            # A thread that still waits must not write beside the next submission.
            mirror.leave()
            notes.append(
                f"MLflow is not up to date ({problem}). Every number is in {mirror.sweep.uri}; "
                "the next submission of this plan sends it, or now: poise sweep --publish-only"
            )
        notes.extend(promoted)
        if whole and not problem:
            notes.append(f"compare in MLflow: {mirror.link or 'poise ui'}")


def _write_tables(sweep: SweepFolder) -> None:
    entries, absent = sweep.entries(), sweep.absent()
    if not entries:
        return
    rows = json.dumps([entry.to_json() for entry in entries], indent=1)
    sweep.write_table("rows.json", rows.encode())
    sweep.write_table("table.csv", csv_text(entries).encode())
    sweep.write_table("people.csv", people_csv(entries).encode())
    sweep.write_table("table.md", markdown(entries, absent).encode())
    sweep.write_table("plot.png", precision_plot(entries))


def _result(sweep: SweepFolder, specs: Sequence[TrialSpec], notes: list[str]) -> SweepResult:
    failures = []
    for spec in specs:
        result = sweep.trial(spec.key).result()
        if result is not None and result.status != "finished":
            failures.append((spec.name, f"{result.status}: {result.reason}"))
    return SweepResult(sweep.entries(), failures, notes, sweep.absent())
