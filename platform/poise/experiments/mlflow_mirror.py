"""MLflow as a mirror of a sweep's folder.

Nothing here is load-bearing: the folder holds every number, `MlflowMirror.publish` writes to the
tracking server whatever it lacks, and may be called any number of times. Experiment = plan,
parent run = sweep, one child run a trial, found again by the trial's key.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag, ViewType
from mlflow.utils.mlflow_tags import (
    MLFLOW_LOGGED_IMAGES,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
)
from PIL import Image

from poise.checkpoints.mlflow_client import mlflow_client
from poise.checkpoints.run_files import artifact_location, follow_home, keep_files
from poise.checkpoints.sqlite_store import renew_store
from poise.experiments.grid import TrialSpec
from poise.experiments.records import Epoch, SweepFolder, TrialFolder, TrialResult, now_ms
from poise.experiments.tracking import facts
from poise.experiments.tracking.comparison import described, link, view_tags
from poise.experiments.tracking.facts import TRIAL_KEY
from poise.experiments.tracking.logged_models import logged_model, of_model
from poise.runtime import storage
from poise.runtime.errors import ModelError
from poise.runtime.settings import STORE, database

SWEEP = "poise.sweep"
#: Whether a trial had neighbours from the PVD, see `poise.evaluation.evaluate.Row`.
RETRIEVAL = "poise.retrieval"
#: The settings that were chosen.
TUNED = "poise.tuned"
#: The test people of a fold.
TESTED = "poise.tested"
#: The training subjects that it was chosen on.
HELD_OUT = "poise.held_out"
#: Last epoch whose metrics the server has, and the result it has the artifacts of.
_EPOCHS, DONE = "poise.epochs", "poise.done"
#: What a run was told when it was made; runs of an earlier Poise are told anew.
_TOLD, _NOW_TOLD = "poise.told", "2"
_ENDINGS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "FINISHED"}
_METRICS_PER_CALL = 900


class MlflowMirror:
    """One sweep's runs on a tracking server; for one thread at a time."""

    def __init__(self, sweep: SweepFolder, tracking_uri: str, artifacts: str | None) -> None:
        """Remember where to write; nothing is sent yet.

        Args:
            sweep: the sweep's folder.
            tracking_uri: of the tracking server or store.
            artifacts: where a new experiment keeps artifacts; None leaves it to the server.
        """
        self.sweep = sweep
        self.tracking_uri = tracking_uri
        self._artifacts = artifacts
        self._client: MlflowClient | None = None
        self._runs: dict[str, Run] = {}
        self._experiment_id = ""
        self._parent = ""
        self._closed: set[str] = set()
        self._left = False

    def leave(self) -> None:
        """Write no more, also where `publish` still waits for the server in another thread."""
        self._left = True

    @property
    def client(self) -> MlflowClient:
        """The connection, made on first use; raises `ModelError` after `leave`."""
        if self._left:
            raise ModelError("nobody waits for it any more")
        if self._client is None:
            self._mend_store()
            follow_home(self.tracking_uri)
            self._client = mlflow_client(self.tracking_uri)
        return self._client

    def publish(self, running: bool) -> None:
        """Write what the server lacks.

        Args:
            running: whether trials without a result are being worked on. If not, their runs
                are closed as KILLED, and whatever else of this plan was left RUNNING too.

        Raises:
            Exception: whatever MLflow raises when the server does not answer; what was written
                before stays, and the next call goes on from there.
        """
        header = self.sweep.header()
        if not self._parent:
            self._meet(header)
        results = [self._publish_trial(key, header, running) for key in header["trials"]]
        if running:
            return
        for key, run in self._runs.items():
            if run.info.status == "RUNNING" and key not in self._closed:
                self._close(key, run, "KILLED", now_ms())
        parent = self.client.get_run(self._parent)
        self._publish_tables(parent, header)
        self._end(parent, _ending_of_all(results), now_ms())

    @property
    def link(self) -> str:
        """Address of the comparison on the tracking server; empty before it was met, or none is."""
        if not self._experiment_id or database(self.tracking_uri) is not None:
            return ""
        return link(self.tracking_uri, self._experiment_id)

    def run_id(self, key: str) -> str:
        """Return the run of a trial that `publish` has written."""
        return str(self._runs[key].info.run_id)

    def _mend_store(self) -> None:
        """Replace a home's own store that cannot be opened; one that the user named is theirs."""
        store = database(self.tracking_uri)
        if store is not None and self._artifacts and store == Path(self._artifacts).parent / STORE:
            renew_store(store)

    def _meet(self, header: Mapping[str, Any]) -> None:
        name = header["plan"]["name"]
        experiment = self._experiment(name)
        parent = None
        for run in self._all_runs(experiment):
            if TRIAL_KEY in run.data.tags:
                self._runs.setdefault(run.data.tags[TRIAL_KEY], run)
            elif run.data.tags.get(SWEEP) == name:
                parent = parent or run
        tags = {SWEEP: name, MLFLOW_RUN_NAME: name, **facts.source_tags(_origin(header))}
        if parent is None:
            parent = self.client.create_run(experiment, tags=tags)
        parent_id = parent.info.run_id
        self.client.update_run(parent_id, status="RUNNING")
        self.client.log_batch(parent_id, tags=[RunTag(*tag) for tag in tags.items()])
        with tempfile.TemporaryDirectory() as scratch:
            plan = Path(scratch, "plan.json")
            plan.write_text(json.dumps(header["plan"], indent=1))
            keep_files(self.client, parent, plan)
        for file in storage.list_dir(self.sweep.sources):
            self._upload(parent, storage.join(self.sweep.sources, file), "source")
        specs = [spec for key in header["trials"] if (spec := self.sweep.trial(key).spec())]
        lines = [(spec.track, spec.title) for spec in specs]
        views = view_tags(lines, parent_id, parent.info.start_time)
        for key, value in views.items():
            self.client.set_experiment_tag(experiment, key, value)
        self._experiment_id, self._parent = experiment, parent_id
        self._describe(header)

    def _describe(self, header: Mapping[str, Any]) -> None:
        """Write plan and table where the pages show them above the runs."""
        file = storage.join(self.sweep.tables, "table.md")
        table = storage.read_bytes(file).decode() if storage.exists(file) else ""
        text = described(header["plan"], _origin(header), table)
        self.client.set_experiment_tag(self._experiment_id, MLFLOW_RUN_NOTE, text)
        if table:
            self.client.set_tag(self._parent, MLFLOW_RUN_NOTE, table)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return str(self.client.create_experiment(name, artifact_location=self._location()))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _location(self) -> str | None:
        if self._artifacts is None:
            return None
        folder = Path(self._artifacts)
        folder.mkdir(parents=True, exist_ok=True)
        return artifact_location(folder)

    def _all_runs(self, experiment: str) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [experiment],
                run_view_type=ViewType.ACTIVE_ONLY,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _publish_trial(self, key: str, header: dict[str, Any], running: bool) -> TrialResult | None:
        folder = self.sweep.trial(key)
        if key in self._closed:
            return folder.result()
        spec = folder.spec()
        history, result = folder.history(), folder.result()
        if spec is None or not (history or result):
            return None
        self._tell(spec, folder, header, _began(history, result))
        run = self._runs[key]
        self._write_epochs(run, history)
        if result is not None:
            self._write_result(run, folder, spec, result, len(history))
            self._close(key, run, _ENDINGS[result.status], result.ended)
        elif not running:
            self._close(key, run, "KILLED", now_ms())
        elif run.info.status != "RUNNING":
            self._runs[key] = self._reopen(run)
        return result

    def _tell(
        self, spec: TrialSpec, folder: TrialFolder, header: Mapping[str, Any], start: int
    ) -> None:
        """Make a trial's run if need be, and tell it what the trial is."""
        run = self._runs.get(spec.key)
        if run is not None and run.data.tags.get(_TOLD) == _NOW_TOLD:
            return
        # A trial of an earlier version does not know where it came from; the sweep may.
        origin = folder.facts("origin") or {"commit": header["commit"]}
        tags = facts.tags(spec, origin, folder.facts("machine")) | {
            SWEEP: header["plan"]["name"],
            MLFLOW_PARENT_RUN_ID: self._parent,
        }
        if run is None:
            run = self.client.create_run(self._experiment_id, start_time=start, tags=tags)
        run_id = run.info.run_id
        new = [one for one in facts.params(spec) if one.key not in run.data.params]
        told = [RunTag(*tag) for tag in (tags | {_TOLD: _NOW_TOLD}).items()]
        lake = origin.get("lake") or _origin(header).get("lake", "")
        self.client.log_inputs(run_id, [facts.dataset(spec, lake)])
        self.client.log_batch(run_id, params=new, tags=told)
        run.data.tags[_TOLD] = _NOW_TOLD
        self._runs[spec.key] = run

    def _reopen(self, run: Run) -> Run:
        self.client.update_run(run.info.run_id, status="RUNNING")
        return self.client.get_run(run.info.run_id)

    def _write_epochs(self, run: Run, history: list[Epoch]) -> None:
        known = int(run.data.tags.get(_EPOCHS, "0"))
        new = [epoch for epoch in history if epoch.epoch > known]
        metrics = [
            Metric(name, value, epoch.ended, epoch.epoch)
            for epoch in new
            for name, value in {
                **epoch.metrics,
                "epoch_seconds": epoch.seconds,
                **{f"system/{name}": value for name, value in epoch.system.items()},
            }.items()
        ]
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            self.client.log_batch(run.info.run_id, metrics[start : start + _METRICS_PER_CALL])
        if new:
            self._tag(run, _EPOCHS, str(new[-1].epoch))

    def _write_result(
        self, run: Run, folder: TrialFolder, spec: TrialSpec, result: TrialResult, epochs: int
    ) -> None:
        version = f"{result.status} {result.ended}"
        if run.data.tags.get(DONE) == version:
            return
        metrics = [
            Metric(f"validation_{name}", value, result.ended, 0)
            for name, value in (result.validation or {}).items()
        ]
        if result.row is not None:
            numbers = ("mpjpe", "pa_mpjpe", "accel", "frames", "params", "seconds")
            metrics += [
                Metric(f"test_{name}", float(getattr(result.row, name)), result.ended, 0)
                for name in numbers
            ]
        said = (
            ("poise.reason", result.reason),
            (TUNED, result.choice),
            (TESTED, ", ".join(result.tested)),
            (HELD_OUT, ", ".join(result.held_out)),
        )
        tags = [RunTag(name, text) for name, text in said if text]
        if result.row is not None and result.row.retrieval:
            tags.append(RunTag(RETRIEVAL, result.row.retrieval))
        if result.status == "finished":
            metrics = of_model(metrics, logged_model(self.client, run, spec, epochs), spec)
        self.client.log_batch(run.info.run_id, metrics, tags=tags)
        if result.status == "finished":
            for file in (folder.sequences, folder.validation):
                if storage.exists(file):
                    self._upload(run, file, "")
            for name in storage.list_dir(folder.checkpoint):
                self._upload(run, storage.join(folder.checkpoint, name), "checkpoint")
            for name in storage.list_dir(folder.pictures):
                self._show(run, storage.join(folder.pictures, name), result.ended)
        self._tag(run, DONE, version)

    def _show(self, run: Run, picture: str, at: int) -> None:
        """Put a picture where MLflow's pages show those of several runs side by side."""
        what = picture.rpartition("/")[2].removesuffix(".png")
        name = f"{what} sequence+step+0+timestamp+{at}+{what}"
        with tempfile.TemporaryDirectory() as scratch:
            png = Path(scratch, f"{name}.png")
            png.write_bytes(storage.read_bytes(picture))
            # Drawings of few colours: lossless is smaller, and takes a third of the time.
            small = Path(scratch, f"{name}+compressed.webp")
            Image.open(png).save(small, lossless=True, quality=0, method=0)
            keep_files(self.client, run, Path(scratch), "images")
        if MLFLOW_LOGGED_IMAGES not in run.data.tags:
            self._tag(run, MLFLOW_LOGGED_IMAGES, "True")

    def _upload(self, run: Run, file: str, into: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            local = Path(scratch, file.rpartition("/")[2])
            local.write_bytes(storage.read_bytes(file))
            keep_files(self.client, run, local, into)

    def _publish_tables(self, parent: Run, header: Mapping[str, Any]) -> None:
        for name in storage.list_dir(self.sweep.tables):
            self._upload(parent, storage.join(self.sweep.tables, name), "")
        self._describe(header)

    def _tag(self, run: Run, key: str, value: str) -> None:
        self.client.set_tag(run.info.run_id, key, value)
        run.data.tags[key] = value

    def _close(self, key: str, run: Run, status: str, ended: int) -> None:
        self._end(run, status, ended)
        self._closed.add(key)

    def _end(self, run: Run, status: str, ended: int) -> None:
        # No sooner than it began: clocks are set back.
        self.client.set_terminated(run.info.run_id, status, max(ended, run.info.start_time))


def _origin(header: Mapping[str, Any]) -> dict[str, str]:
    """Return where a submission came from; of earlier versions only the commit is known."""
    return header.get("origin") or {"commit": header["commit"]}


def _began(history: list[Epoch], result: TrialResult | None) -> int:
    if result is not None:
        return result.started
    return history[0].began if history else now_ms()


def _ending_of_all(results: Iterable[TrialResult | None]) -> str:
    endings = list(results)
    if any(result is None for result in endings):
        return "KILLED"
    failed = [result is not None and result.status == "failed" for result in endings]
    return "FAILED" if all(failed) else "FINISHED"
