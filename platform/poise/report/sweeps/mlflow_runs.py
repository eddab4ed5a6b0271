"""A sweep's runs in MLflow: found by trial, or made into a sweep's folder again.

What the server keeps of a trial is enough for tables and curves: parameters, metrics of every
epoch, errors of every sequence, the checkpoint.
"""

import json
from ast import literal_eval
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType

from poise.checkpoints.mlflow_client import in_words, mlflow_client
from poise.checkpoints.run_files import run_folder
from poise.evaluation.evaluate import Row
from poise.evaluation.metrics import pool
from poise.experiments import mlflow_mirror as mirror
from poise.experiments.grid import Fold, TrialSpec
from poise.experiments.records import Epoch, SweepFolder, TrialFolder, TrialResult
from poise.experiments.tracking.facts import FOLD, TRIAL_KEY
from poise.report.sweeps.trials import Run
from poise.runtime.errors import DataError, ModelError, PoiseError
from poise.runtime.text.files import read_text
from poise_models.base.budget import Budget

_PLAN, _SEQUENCES, _CHECKPOINT = "plan.json", "sequences.csv", "checkpoint"


def find_runs(sweep: str, tracking_uri: str) -> tuple[Mapping[str, Run], str]:
    """Return the runs of a sweep's trials by key, and why there are none, if so."""
    try:
        client = mlflow_client(tracking_uri)
        found = client.get_experiment_by_name(sweep)
        runs = list(_runs(client, found.experiment_id)) if found else []
    except PoiseError as error:
        return {}, str(error)
    except Exception as error:  # whatever a server of another version raises: links are extras
        return {}, f"MLflow at {tracking_uri} cannot be read: {in_words(error)}"
    if not runs:
        return {}, f"MLflow has no experiment {sweep} with trials"
    return {run.data.tags[TRIAL_KEY]: _run(run, tracking_uri) for run in runs}, ""


def rebuild(experiment: str, tracking_uri: str, scratch: Path) -> SweepFolder:
    """Write what MLflow has of a sweep as a sweep's folder.

    Args:
        experiment: its name, which is the plan's.
        tracking_uri: of the server or store.
        scratch: an empty folder.

    Raises:
        ModelError: MLflow does not answer, or there is no such experiment.
        DataError: the experiment is of no sweep.
    """
    client = mlflow_client(tracking_uri)
    try:
        found = client.get_experiment_by_name(experiment)
        if found is None:
            have = ", ".join(one.name for one in client.search_experiments()) or "none"
            raise ModelError(f"MLflow has no experiment {experiment!r}; it has {have}")
        folder = SweepFolder(str(scratch / experiment))
        everything = list(_all(client, found.experiment_id))
        trials = [run for run in everything if TRIAL_KEY in run.data.tags]
        if not trials:
            raise DataError(f"the experiment {experiment} holds no trials of a sweep")
        for run in trials:
            _write_trial(client, run, folder)
        parents = [run for run in everything if _is_parent(run)]
        _write_header(client, parents, trials, folder, experiment)
    except PoiseError:
        raise
    except Exception as error:
        raise ModelError(f"MLflow at {tracking_uri} cannot be read: {in_words(error)}") from error
    return folder


def _is_parent(run: MlflowRun) -> bool:
    return mirror.SWEEP in run.data.tags and TRIAL_KEY not in run.data.tags


def _write_header(
    client: MlflowClient,
    parents: list[MlflowRun],
    trials: list[MlflowRun],
    folder: SweepFolder,
    name: str,
) -> None:
    tags = trials[0].data.tags
    plan: dict[str, Any] = {"name": name, "tracks": [], "seeds": []}
    for parent in parents[:1]:
        tags = parent.data.tags
        kept = _file(client, parent, _PLAN, Path(folder.uri))
        if kept is not None:
            plan = json.loads(read_text(kept))
    keys = [run.data.tags[TRIAL_KEY] for run in trials]
    header = {"plan": plan, "trials": keys, "commit": tags.get("mlflow.source.git.commit", "")}
    Path(folder.uri, "sweep.json").write_text(json.dumps(header))


def _write_trial(client: MlflowClient, run: MlflowRun, sweep: SweepFolder) -> None:
    spec = _spec(run)
    trial = sweep.trial(spec.key)
    place = Path(trial.uri)
    place.mkdir(parents=True)
    trial.begin(spec)
    trial.save_epoch(_history(client, run), b"")
    if mirror.DONE not in run.data.tags:
        return
    _file(client, run, _SEQUENCES, place)
    _file(client, run, _CHECKPOINT, place)
    trial.finish(_result(run, trial))


def _spec(run: MlflowRun) -> TrialSpec:
    tags, params = run.data.tags, run.data.params
    given = {group: _group(params, f"{group}.") for group in ("settings", "budget")}
    chosen = _chosen(tags.get(mirror.TUNED, ""))
    fold = tags.get(FOLD, "").split()
    return TrialSpec(
        key=tags[TRIAL_KEY],
        track=tags["poise.track"],
        manifest=tags.get("poise.lake_manifest", ""),
        refiner=tags["poise.refiner"],
        label=params.get("label", ""),
        settings=given["settings"],
        budget=Budget(**given["budget"]) if given["budget"] else None,
        seed=int(params.get("seed", 0)),
        validation=(),
        refit=False,
        candidates=(chosen,) if chosen else (),
        fold=Fold(int(fold[1]), int(fold[3])) if len(fold) == 4 else None,
    )


def _group(params: Mapping[str, str], prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): _value(text)
        for name, text in params.items()
        if name.startswith(prefix)
    }


def _value(text: str) -> Any:
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _chosen(text: str) -> dict[str, Any]:
    pairs = [part.rpartition(" ") for part in text.split(", ") if part]
    return {name: _value(value) for name, _, value in pairs}


def _history(client: MlflowClient, run: MlflowRun) -> list[Epoch]:
    epochs: dict[int, dict[str, float]] = {}
    ended: dict[int, int] = {}
    for name in run.data.metrics:
        if name.startswith(("test_", "validation_", "system/")):
            continue
        for one in client.get_metric_history(run.info.run_id, name):
            epochs.setdefault(one.step, {})[name] = one.value
            ended[one.step] = one.timestamp
    return [
        Epoch(step, ended[step], metrics.pop("epoch_seconds", 0.0), metrics)
        for step, metrics in sorted(epochs.items())
    ]


def _result(run: MlflowRun, trial: TrialFolder) -> TrialResult:
    tags, metrics = run.data.tags, run.data.metrics
    status = tags[mirror.DONE].split()[0]
    validation = {
        name.removeprefix("validation_"): value
        for name, value in metrics.items()
        if name.startswith("validation_")
    }
    return TrialResult(
        status=status if status in ("finished", "failed", "stopped") else "failed",
        started=run.info.start_time,
        ended=run.info.end_time or run.info.start_time,
        reason=tags.get("poise.reason", ""),
        validation=validation or None,
        row=_row(run, trial) if "test_mpjpe" in metrics else None,
        chosen=_chosen(tags.get(mirror.TUNED, "")),
        tested=tuple(filter(None, tags.get(mirror.TESTED, "").split(", "))),
    )


def _row(run: MlflowRun, trial: TrialFolder) -> Row:
    metrics, scored = run.data.metrics, trial.scored()
    return Row(
        track=run.data.tags["poise.track"],
        refiner=run.data.tags["poise.refiner"],
        seed=int(run.data.params.get("seed", 0)),
        mpjpe=metrics["test_mpjpe"],
        pa_mpjpe=metrics["test_pa_mpjpe"],
        accel=metrics["test_accel"],
        accel_interior=pool([one.errors for one in scored]).accel_interior if scored else 0.0,
        frames=int(metrics["test_frames"]),
        params=int(metrics["test_params"]),
        seconds=metrics["test_seconds"],
        retrieval=run.data.tags.get(mirror.RETRIEVAL, ""),
    )


def _file(client: MlflowClient, run: MlflowRun, name: str, into: Path) -> Path | None:
    """Copy a file or folder of a run; None where it has none."""
    folder = run_folder(client.tracking_uri, run)
    target = into / name
    into.mkdir(parents=True, exist_ok=True)
    if folder is not None:
        kept = folder / name
        if not kept.exists():
            return None
        target.symlink_to(kept)
        return target
    if not any(one.path == name for one in client.list_artifacts(run.info.run_id)):
        return None
    client.download_artifacts(run.info.run_id, name, str(into))
    return target


def _run(run: MlflowRun, tracking_uri: str) -> Run:
    shown = tracking_uri.startswith(("http://", "https://"))
    where = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return Run(run.info.run_id, f"{tracking_uri.rstrip('/')}/{where}" if shown else "")


def _runs(client: MlflowClient, experiment: str) -> Iterator[MlflowRun]:
    return (run for run in _all(client, experiment) if TRIAL_KEY in run.data.tags)


def _all(client: MlflowClient, experiment: str) -> Iterator[MlflowRun]:
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment],
            run_view_type=ViewType.ACTIVE_ONLY,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return
