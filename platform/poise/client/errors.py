"""What can go wrong between a client and its service."""

from typing import Final

from websockets.exceptions import ConnectionClosed, InvalidStatus

from poise.runtime.errors import PoiseError

#: Of a handshake that may succeed later.
_LATER: Final = (408, 429, 500, 502, 503, 504)
#: Closes after which a stream need not be tried again.
_FOR_GOOD: Final = (1002, 1003, 1007, 1008, 1009, 1010)


class ClientError(PoiseError):
    """A service refuses, or cannot be reached.

    Args:
        message: what is wrong, in one line.
        code: HTTP status, or close code of a stream; None where nobody answered.
        field: what of the request is wrong, where the service says so.
    """

    def __init__(self, message: str, code: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.field = code, field


class AwayError(ClientError):
    """A service is away at the moment: it may be asked again."""


def away(url: str, error: Exception) -> ClientError:
    """What to tell of a service that stays away."""
    if isinstance(error, ClientError):
        return error
    return ClientError(f"{url} does not answer: does the service run?")


def refusal(error: Exception) -> ClientError | None:
    """What to tell of a handshake or a close after which there is no other; None where there is."""
    if isinstance(error, InvalidStatus) and error.response.status_code not in _LATER:
        status = error.response.status_code
        why = "show the service's token" if status == 401 else "there are no streams there"
        return ClientError(f"the service answers {status}: {why}", status)
    if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code in _FOR_GOOD:
        return ClientError(f"the service ends the stream: {error.rcvd.reason}", error.rcvd.code)
    return None


def never_there(error: Exception, opened: bool) -> bool:
    """Say whether nobody listens where a stream has never been opened."""
    return isinstance(error, ConnectionRefusedError) and not opened
