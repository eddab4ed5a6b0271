"""What all tests share."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start.

    Whoever starts pytest in the background leaves SIGINT ignored, and children inherit that; a
    signal that is handled here is reset to its default in them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
