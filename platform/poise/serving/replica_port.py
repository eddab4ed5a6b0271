"""Where a replica listens for other replicas: at its node's address, not at every interface."""

from typing import Any

import ray
from ray.serve._private import replica

_EVERYWHERE = "[::]"


def listen_at_node() -> None:
    """Let this replica's gRPC server listen where its node does; to be called when it is made.

    Ray Serve opens the server in every replica, though Poise's are asked by actor calls only, and
    has no option for where. It does so after the deployment's constructor.
    """
    host = ray.util.get_node_ip_address()
    node = f"[{host}]" if ":" in host else host
    add_port = replica.add_port_to_grpc_server

    def at_node(server: Any, address: str) -> int:
        port: int = add_port(server, address.replace(_EVERYWHERE, node))
        return port

    replica.add_port_to_grpc_server = at_node
