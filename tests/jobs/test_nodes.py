"""Three nodes, each with its own disk and address: an ingest and a sweep while one dies.

What one machine alone makes is what three have to make. Service, partitions and a head that starts
again take longer: python -m benchmarks.nodes.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.nodes import ADDRESSES, Nodes
from tests.support.sweep_job import run_statuses
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.catalog.splits import SPLITS
from poise.experiments.records import SweepFolder, TrialFolder
from poise.experiments.shared_splits import SplitSource
from poise.experiments.trial import TrialSetup, run_trial
from poise.ingest.split_writer import write_split
from poise.lake.manifest import part_folder, read_manifest
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic.sequences import Size, sequences
from poise.runtime import storage

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

#: A dead node is missed after some seconds, not after a minute.
MISSED_SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
LONG = {"epochs": 150, "batch": 16, "steps_per_epoch": 2}
PLAN = plan_of("input", SYNSPP, seeds=[0, 1], budget=LONG)
LOOK = """
import os, sys
import ray
import ray.data
from poise.runtime.errors import ClusterError
from poise.runtime.locks import exclusive
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import reaching, see_that_nodes_share
shared, own = sys.argv[1], os.getcwd()
with connect():
    see_that_nodes_share({"--lake": shared}, {"--data": shared})
    for written, read in [({"--lake": own}, {}), ({}, {"--data": own})]:
        try:
            see_that_nodes_share(written, read)
        except ClusterError as error:
            print(error)
    with exclusive("memory://sweeps/tiny"):
        lock = ray.get_actor("lock of memory://sweeps/tiny", namespace="poise")
        ray.get(lock.owner.remote())  # it is there
        table = ray._private.state.actors()
        (lock,) = [a for a in table.values() if a["Name"].startswith("lock of")]
        here = ray.get_runtime_context().get_node_id()
        print(lock["Address"]["NodeID"] == here)
    at = ray.data.range(9, override_num_blocks=9).map(
        lambda _: {"at": ray.get_runtime_context().get_node_id()},
        **reaching("http://127.0.0.1:19530"),
    )
    print({row["at"] for row in at.take_all()} == {here})
"""


@pytest.fixture(scope="module")
def nodes(server: None) -> Iterator[Nodes]:
    """A head and two others, with a CPU each."""
    with Nodes({}, MISSED_SOON) as there:
        there.add("head")
        there.add("first", "second")
        yield there


def test_what_is_of_one_node_is_refused_or_stays_there(nodes: Nodes) -> None:
    """Folders are refused; a lock, and who writes to a Milvus of this machine, stay."""
    head = nodes.there["head"]
    (head.disk / "work" / "file").touch()
    looking = head.start(
        sys.executable, "-c", LOOK, str(nodes.shared), log="look.log", RAY_ADDRESS=nodes.address
    )
    *refused, held, written = head.said(looking, "look.log").splitlines()[-4:]
    others = f"({ADDRESSES['first']}, {ADDRESSES['second']})"
    for line, option in zip(refused, ("--lake", "--data"), strict=True):
        assert line.startswith(f"{option}: {head.own}/work")
        assert f"2 of the 2 other nodes do not see {others}: name one that all share" in line
    assert (held, written) == ("True", "True")
    assert [path.name for path in (head.disk / "work").iterdir()] == ["file"]


def test_an_ingest_whose_node_dies(nodes: Nodes) -> None:
    data, lake = nodes.shared / "data", nodes.shared / "ingested"
    for split in SPLITS:
        write_smoothnet(data, TRACK, split, sequences(split, Size(3, 8, 200)))
    options = ("--data", str(data), "--lake", str(lake), "--no-pvd")
    running = nodes.poise("ingest", "--track", str(TRACK), *options, log="ingest.log")
    nodes.lose(nodes.worker("Map"))
    assert running.poll() is None
    nodes.there["head"].said(running, "ingest.log")
    made = read_manifest(str(lake), TRACK)
    for split in SPLITS:
        alone = write_split(data, TRACK, str(nodes.shared / "alone"), split)
        assert made.splits[split].sequences_parts == alone.summary.sequences_parts
        folder = Path(part_folder(str(lake), TRACK, "sequences", split))
        assert sorted(path.name for path in folder.iterdir()) == alone.summary.sequences_parts


def test_a_sweep_whose_node_dies(nodes: Nodes) -> None:
    lake, sweep = nodes.shared / "lake", SweepFolder(str(nodes.shared / "sweeps" / PLAN.name))
    write_tiny_lake(lake)
    plan = nodes.shared / "tiny.yaml"
    plan.write_text(json.dumps(PLAN.model_dump(mode="json", exclude_unset=True)))
    head, uri = nodes.there["head"], fresh_store(nodes.there["head"].disk / "work" / ".poise")
    places = ("--lake", str(lake), "--storage", str(nodes.shared / "sweeps"))
    running = nodes.poise("sweep", "--plan", str(plan), *places, log="sweep.log")
    while not (elsewhere := [one for one in _begun(sweep) if _host(one) != "head"]):
        assert running.poll() is None, (head.disk / "sweep.log").read_text()
        time.sleep(0.05)
    disturbed = elsewhere[0]
    nodes.lose(_host(disturbed))
    assert "its worker died; it goes on from its last epoch" in head.said(running, "sweep.log")
    assert list(run_statuses(uri).values()) == ["FINISHED"] * 4
    alone = TrialFolder(str(nodes.shared / "alone" / "trial"))
    spec = disturbed.spec()
    assert spec is not None
    alone.begin(spec)
    run_trial(alone, TrialSetup(SplitSource(str(lake))), lambda _: None)
    assert _row(disturbed) == _row(alone)


def _host(trial: TrialFolder) -> str:
    return trial.facts("machine")["host"]


def _begun(sweep: SweepFolder) -> list[TrialFolder]:
    """The trials that have ended an epoch and go on."""
    trials = map(sweep.trial, storage.list_dir(storage.join(sweep.uri, "trials")))
    return [trial for trial in trials if trial.history() and trial.result() is None]


def _row(trial: TrialFolder) -> dict[str, Any]:
    entry = trial.entry()
    assert entry is not None
    return {name: value for name, value in entry.to_json().items() if name != "seconds"}
