"""A process that asks a Ray cluster what it is, without joining it: run as a script, prints JSON.

Ray's client may wait long, and ends its process where it gives up; hence one of its own.
"""

import json
import signal
import sys
from typing import Any

_ASK_S = 4.0
#: It ends by then, also where nobody waits for it any more.
_ALIVE_S = 15


def main(address: str) -> dict[str, Any]:
    """Ask the head at ``HOST:PORT``."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    try:
        head = GcsClient(address=address)
        stored = head.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=_ASK_S)
        nodes = head.get_all_node_info(timeout=_ASK_S)
    except AuthenticationError:
        return {"refused": "token"}
    except Exception as error:  # whatever Ray raises where nobody answers
        return {"refused": " ".join(str(error).split())[:200]}
    return {
        **json.loads(stored or b"{}"),
        "nodes": [
            {
                "address": node.node_manager_address,
                "alive": node.state == 0,
                "metrics_port": node.metrics_export_port,
                "resources": dict(node.resources_total),
            }
            for node in nodes.values()
        ],
    }


if __name__ == "__main__":
    signal.alarm(_ALIVE_S)
    print(json.dumps(main(sys.argv[1])))  # noqa: T201
