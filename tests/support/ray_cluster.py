"""The one Ray of a test process. Its workers know all that any test wants them to know."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.support.object_store import ACCOUNT

from poise.runtime.ray_cluster.join import connect

_REPOSITORY = Path(__file__).resolve().parents[2]
#: A user's data set whose joints nobody has mapped onto the template.
UNMAPPED = f"""
name = "unmapped"
[[tracks]]
representation = "3D"
estimators = ["*"]
joints = {[f"joint{number}" for number in range(17)]}
roots = ["joint0"]
unit = "m"
"""
#: One that has a file a sequence.
MANY_FILES = f"""
name = "many"
imgname = ['(?P<subject>P[0-9]+)/[0-9]+']
files.detected = "{{estimator}}/{{split}}/*-*.npz"
files.truth = "gt/{{split}}/*-*.npz"
{UNMAPPED[UNMAPPED.index("[[tracks]]") :]}
"""
#: The environment of whoever wants to know these data sets.
KNOWS_UNMAPPED = {"POISE_DATASETS_TOML": json.dumps([UNMAPPED, MANY_FILES])}


@contextmanager
def shared_ray() -> Iterator[None]:
    """Run a local Ray with two CPUs."""
    roots = [str(_REPOSITORY), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {
        **ACCOUNT,
        **KNOWS_UNMAPPED,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, roots)),
    }
    with ExitStack() as running:
        environment["POISE_CACHE"] = running.enter_context(TemporaryDirectory())
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            running.enter_context(connect(cpus=2))
        yield
