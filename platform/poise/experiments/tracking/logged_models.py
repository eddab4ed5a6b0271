"""A model of MLflow's for each trial: what its pages list and compare under *Models*.

Its weights are the files of its run; they are not kept a second time.
"""

import logging

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.exceptions import MlflowException

from poise.experiments.grid import TrialSpec
from poise.experiments.tracking import facts

log = logging.getLogger(__name__)

#: Where the weights are.
CHECKPOINT = "poise.checkpoint"
#: What names of models cannot have.
_FORBIDDEN = str.maketrans("/:.%\"'", "------")


def logged_model(client: MlflowClient, run: Run, spec: TrialSpec, epochs: int) -> str | None:
    """Return the id of a run's model, made if need be; None where the server is of before MLflow 3.

    Args:
        client: of the server.
        run: of the trial.
        spec: the trial.
        epochs: after which the weights were.
    """
    run_id, experiment = run.info.run_id, run.info.experiment_id
    try:
        known = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    except MlflowException as error:
        if error.error_code != "ENDPOINT_NOT_FOUND":
            raise
        log.debug("no models on %s: %s", client.tracking_uri, error)
        return None
    for model in known:
        return str(model.model_id)
    model = client.create_logged_model(
        experiment,
        name=facts.run_name(spec).translate(_FORBIDDEN),
        source_run_id=run_id,
        tags={facts.TRIAL_KEY: spec.key, CHECKPOINT: f"runs:/{run_id}/checkpoint"},
        params={param.key: param.value for param in facts.params(spec)},
        model_type=spec.refiner,
    )
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, epochs)])
    return str(model.model_id)


def of_model(metrics: list[Metric], model_id: str | None, spec: TrialSpec) -> list[Metric]:
    """Return metrics as those of a model, too, measured on the trial's track."""
    if model_id is None:
        return metrics
    return [
        Metric(
            one.key, one.value, one.timestamp, one.step, model_id,
            dataset_name=spec.track, dataset_digest=spec.manifest,
        )
        for one in metrics
    ]  # fmt: skip
