"""The nodes of the cluster: this one, and what the others see of its disk."""

import logging
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from poise.runtime import storage
from poise.runtime.errors import ClusterError
from poise.runtime.loopback import is_loopback

log = logging.getLogger(__name__)

#: How long a node may take to look; it starts a process for that.
_PATIENCE_S = 60.0
#: Names that stand for a folder into which nothing may be written.
_NAMES = 20
_OR_URI = ", or a URI such as s3://bucket/folder"
_NONE: Mapping[str, str] = {}


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Have a task or an actor run on the node of this process, and end with it."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def reaching(uri: str) -> dict[str, Any]:
    """Return Ray Data's options for who asks a server: on this node, where no other reaches it.

    Args:
        uri: of the server, ``http://HOST:PORT``.
    """
    if not is_loopback(urlsplit(uri).hostname or "") or not other_nodes():
        return {}
    # The node of a driver need not have a CPU.
    here = ray.get_runtime_context().get_node_id()
    return {"num_cpus": 0, "label_selector": {"ray.io/node-id": here}}


def see_that_nodes_share(written: Mapping[str, str], read: Mapping[str, str] = _NONE) -> None:
    """See that all nodes that do work see the same folders as this process.

    A node that does not answer is left alone: whoever wants it finds out.

    Args:
        written: by the option that names it, a folder of this node, or a URI, which is nobody's
            own. A file is put there for a moment, if one can be.
        read: likewise; nothing is put there.

    Raises:
        ClusterError: a node does not see one; the message says which, and what to do.
    """
    others = other_nodes()
    if not others:
        return
    for option, place in {**written, **read}.items():
        if not storage.is_local(place):
            continue
        folder = Path(storage.absolute(place))
        with _marked(folder) if option in written else nullcontext(_known(folder)) as marks:
            unseen = _blind(others, marks)
        if unseen:
            raise ClusterError(
                f"{option}: {folder} is a folder of this machine, which {len(unseen)} of the "
                f"{len(others)} other nodes do not see ({', '.join(unseen[:3])}): name one that "
                f"all share{_OR_URI * (option in written)}"
            )


def other_nodes() -> dict[str, str]:
    """Return the addresses of the other nodes that take tasks, by id."""
    here = ray.get_runtime_context().get_node_id()
    return {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] != here and node["Resources"].get("CPU")
    }


@contextmanager
def _marked(folder: Path) -> Iterator[list[str]]:
    """Yield files by which others know the folder: a new one, else what is in it anyway."""
    mark = folder / f".seen-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch(exist_ok=False)
    except OSError:
        yield _known(folder)
        return
    try:
        yield [str(mark)]
    finally:
        with suppress(OSError):
            mark.unlink()


def _known(folder: Path) -> list[str]:
    names = sorted(os.listdir(folder))[:_NAMES] if folder.is_dir() else []
    return [str(folder), *(str(folder / name) for name in names)]


def _blind(nodes: Mapping[str, str], files: list[str]) -> list[str]:
    """Return the addresses of the nodes that do not see all of the files."""
    look = ray.remote(num_cpus=0, max_retries=0)(_sees)
    asked = {}
    for node, address in nodes.items():
        where = NodeAffinitySchedulingStrategy(node, soft=False)
        asked[look.options(scheduling_strategy=where).remote(files)] = address
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE_S)
    found = []
    for answer in answered:
        try:
            if not ray.get(answer):
                found.append(asked[answer])
        except RayError as error:
            log.info("%s cannot be asked what it sees: %s", asked[answer], error)
    return sorted(found)


def _sees(files: list[str]) -> bool:
    return all(map(os.path.exists, files))
