"""What all tests share."""

import os
import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, and settle what libraries read only once.

    Whoever starts pytest in the background leaves SIGINT ignored, and children inherit that; a
    signal that is handled here is reset to its default in them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Read when gRPC comes up, which in tests may be long before Ray does.
    # See poise.runtime.cluster.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    # Ray reads it once a process. Were it set test by test, an earlier cluster with a token would
    # make a later driver refuse what its workers, who have none, report: the job then hangs.
    os.environ["RAY_AUTH_MODE"] = "disabled"
