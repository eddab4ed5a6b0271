"""What all tests share."""

import os
import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, and keep gRPC out of forks.

    Whoever starts pytest in the background leaves SIGINT ignored, and children inherit that; a
    signal that is handled here is reset to its default in them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Read when gRPC comes up, which in tests may be long before Ray does: see poise.cluster.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
