"""Three nodes, each with its own disk and address: ingest, sweep and service, and a node lost.

What one machine alone makes is what three have to make, whichever of them dies meanwhile.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.mlflow_server import fresh_store
from tests.support.nodes import ADDRESSES, Nodes
from tests.support.serving import clip, save_untrained
from tests.support.sweep_job import run_statuses
from tests.support.tiny_lake import TRACK, write_tiny_lake
from tests.support.tiny_plan import SYNSPP, plan_of

from poise.catalog.splits import SPLITS
from poise.client.client import Client
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
LONG = {"epochs": 60, "batch": 16, "steps_per_epoch": 2}
PLAN = plan_of("input", SYNSPP, seeds=[0, 1], budget=LONG)
#: Requests before a replica's node dies; three times as many come after.
_DIES_AT = 40
LOOK = """
import os, sys
import ray
from poise.runtime.errors import ClusterError
from poise.runtime.locks import exclusive
from poise.runtime.ray_cluster.join import connect
from poise.runtime.ray_cluster.nodes import see_that_nodes_share
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
        print(lock["Address"]["NodeID"] == ray.get_runtime_context().get_node_id())
"""


@pytest.fixture(scope="module")
def nodes(server: None) -> Iterator[Nodes]:
    """A head and two others, with a CPU each."""
    with Nodes({}, MISSED_SOON) as there:
        there.add("head")
        there.add("first", "second")
        yield there


def test_a_folder_of_one_node_is_refused_and_a_lock_is_held_where_its_owner_is(
    nodes: Nodes,
) -> None:
    head = nodes.there["head"]
    (head.disk / "work" / "file").touch()
    looking = head.start(
        sys.executable, "-c", LOOK, str(nodes.shared), log="look.log", RAY_ADDRESS=nodes.address
    )
    *refused, held = head.said(looking, "look.log").splitlines()[-3:]
    others = f"({ADDRESSES['first']}, {ADDRESSES['second']})"
    for line, option in zip(refused, ("--lake", "--data"), strict=True):
        assert line.startswith(f"{option}: {head.own}/work")
        assert f"2 of the 2 other nodes do not see {others}: name one that all share" in line
    assert held == "True"
    assert [path.name for path in (head.disk / "work").iterdir()] == ["file"]


def test_an_ingest_whose_node_dies(nodes: Nodes) -> None:
    data, lake = nodes.shared / "data", nodes.shared / "ingested"
    for split in SPLITS:
        write_smoothnet(data, TRACK, split, sequences(split, Size(3, 8, 200)))
    options = ("--data", str(data), "--lake", str(lake))
    running = nodes.poise("ingest", "--track", str(TRACK), *options, log="ingest.log")
    nodes.lose(nodes.worker("Map"))
    assert running.poll() is None
    nodes.there["head"].said(running, "ingest.log")
    made = read_manifest(str(lake), TRACK)
    assert made.pvd is not None  # in a Milvus that only the head reaches
    assert made.pvd.rows == made.splits["train"].windows
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
    while not (at := [one.facts("machine")["host"] for one in _begun(sweep)]) or at == ["head"]:
        assert running.poll() is None
        time.sleep(0.05)
    nodes.lose(next(name for name in at if name != "head"))
    assert "its worker died; it goes on from its last epoch" in head.said(running, "sweep.log")
    assert list(run_statuses(uri).values()) == ["FINISHED"] * 4
    alone = SweepFolder(str(shutil.copytree(sweep.uri, nodes.shared / "alone" / "tiny")))
    for trial in map(alone.trial, alone.header()["trials"]):
        for path in map(Path, Path(trial.uri).iterdir()):
            if path.name != "spec.json":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        run_trial(trial, TrialSetup(SplitSource(str(lake))), lambda _: None)
    assert _table(sweep) == _table(alone)


def _begun(sweep: SweepFolder) -> list[TrialFolder]:
    """The trials that have ended an epoch and go on."""
    trials = map(sweep.trial, storage.list_dir(storage.join(sweep.uri, "trials")))
    return [trial for trial in trials if trial.history() and trial.result() is None]


def _table(sweep: SweepFolder) -> list[dict[str, Any]]:
    rows = [entry.to_json() for entry in sweep.entries()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_service_whose_node_dies(nodes: Nodes) -> None:
    """Whoever asks by the client library has all answers."""
    nodes.add(*sorted({"first", "second"} - nodes.there.keys()))
    model, head = save_untrained(nodes.shared / "model"), nodes.there["head"]
    options = ("--replicas", "2", "--replicas-max", "2")
    serving = nodes.poise("serve", "--model", model, *options, log="serve.log")
    while "Ctrl-C" not in (head.disk / "serve.log").read_text():
        assert serving.poll() is None
        time.sleep(0.1)
    dies, answered = nodes.worker("ServeReplica"), list[Any]()

    def ask(number: int) -> None:
        if number == _DIES_AT:
            nodes.lose(dies)
        answered.append(client.refine(clip(40)).poses.tolist())

    client = Client("http://127.0.0.1:8000")
    head.inside(lambda: list(ThreadPoolExecutor(4).map(ask, range(4 * _DIES_AT))))
    assert answered == answered[:1] * 4 * _DIES_AT
    assert serving.poll() is None
