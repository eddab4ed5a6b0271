"""Where a sweep is: a name below the home, a folder, a URI, or an experiment in MLflow."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from poise.experiments.records import SweepFolder
from poise.report.sweeps.trials import Run, Sweep
from poise.runtime import storage
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings, database

#: Before the name of an experiment.
MLFLOW = "mlflow:"


@contextmanager
def opened(name: str, settings: Settings) -> Iterator[Sweep]:
    """Read a sweep; what comes from MLflow lies in a folder that is there inside the block.

    Args:
        name: of a sweep below the home, a folder, a URI, or ``mlflow:EXPERIMENT``.
        settings: where the home and the tracking server are.

    Raises:
        DataError: there is no such sweep.
        ModelError: MLflow does not answer, or has no such experiment.
    """
    if not name.startswith(MLFLOW):
        yield Sweep.read(SweepFolder(_folder(name, settings)))
        return
    from poise.report.sweeps.mlflow_runs import rebuild

    with tempfile.TemporaryDirectory(prefix="poise-report-") as scratch:
        experiment = name.removeprefix(MLFLOW)
        folder = rebuild(experiment, settings.tracking_uri, Path(scratch))
        yield Sweep.read(folder).named_as(f"MLflow experiment {experiment}")


def runs_of(sweep: Sweep, settings: Settings) -> tuple[Mapping[str, Run], str]:
    """Return a sweep's runs in MLflow by trial key, and why there are none, if so."""
    store = database(settings.tracking_uri)
    if store is not None and not store.is_file():
        return {}, f"no tracking store at {store}"
    from poise.report.sweeps.mlflow_runs import find_runs

    return find_runs(sweep.name, settings.tracking_uri)


def _folder(name: str, settings: Settings) -> str:
    for place in (name, storage.join(settings.sweeps, name)):
        if SweepFolder(place).exists():
            return storage.absolute(place)
    if "://" in name or "/" in name:
        raise DataError(
            f"{name}: no sweep.json there; name a sweep's folder, such as "
            f"{storage.join(settings.sweeps, 'demo')}"
        )
    have = [
        one
        for one in storage.list_dir(settings.sweeps)
        if SweepFolder(storage.join(settings.sweeps, one)).exists()
    ]
    raise DataError(
        f"no sweep {name!r} in {settings.sweeps}, which has {', '.join(have) or 'none'}; a folder "
        f"or URI works too, and {MLFLOW}{name} reads it from MLflow"
    )
