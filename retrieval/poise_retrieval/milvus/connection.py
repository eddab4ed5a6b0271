"""One connection to Milvus: made when first needed, never pickled, with errors of our own."""

import ipaddress
import logging
import os
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from poise_retrieval.errors import CollectionError, RefusedError, StoreUnavailableError

_CONNECT_FAILED: Final = 2
_NOT_FOUND: Final = 100
NOT_LOADED: Final = 101
NO_INDEX: Final = 700
_NO_ALIAS: Final = 1600
#: Not fully loaded, a channel or a node gone: what a server says while it starts or recovers.
_NOT_READY: Final = frozenset({103, 106, 503, 901, 902, 903, 904, 905})

_LOOPBACK_OPTIONS: Final = {
    # gRPC would go through the user's proxy, and knows no exception of its own.
    "grpc.enable_http_proxy": 0,
    # The client's ping every 10 s is more than Milvus Lite allows: it hangs up on one that idles.
    "grpc.keepalive_time_ms": 2**31 - 1,
}


class Connection:
    """A lazy `MilvusClient` for one URI.

    The client opens a channel with threads of its own, which must neither exist before a fork nor
    be sent to another process. So a copy of this object starts without a client.
    """

    def __init__(self, uri: str, timeout_s: float) -> None:
        self.uri = uri
        self.timeout_s = timeout_s
        self._client: Any | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def call(self, method: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a method of `MilvusClient`.

        Args:
            method: its name.
            *args: passed on.
            timeout: seconds; the connection's own where not given.
            **kwargs: passed on.

        Raises:
            StoreUnavailableError: no answer within the time.
            CollectionError: the collection or alias does not exist.
            RefusedError: Milvus refused for another reason.
        """
        function = getattr(self._connected(), method)
        limit = self.timeout_s if timeout is None else timeout
        return self.run(method, function, *args, timeout=limit, **kwargs)

    def direct(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method that only the channel of `MilvusClient` has; raises what `call` raises."""
        function = getattr(self._connected()._get_connection(), method)
        return self.run(method, function, *args, timeout=self.timeout_s, **kwargs)

    def upsert(self, message: Any) -> None:
        """Send an ``UpsertRequest``; raises what `call` raises."""
        # The one way by which the client takes a message that is made already.
        name, schema = message.collection_name, dict[str, Any](fields=[])
        self.direct("upsert", name, [], upsert_param=message, schema=schema)

    def run(self, what: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function that talks to Milvus; raises what `call` raises."""
        import grpc  # type: ignore[import-untyped]
        from pymilvus.exceptions import MilvusException

        try:
            return function(*args, **kwargs)
        except grpc.RpcError as error:
            raise self._unavailable(what, _in_words(error.code())) from error
        except MilvusException as error:
            code = error.code
            starting = code in _NOT_READY or "not ready" in error.message.lower()
            if isinstance(code, grpc.StatusCode):
                raise self._unavailable(what, _in_words(code)) from error
            if code == _CONNECT_FAILED or starting:
                raise self._unavailable(what, error.message) from error
            if code in (_NOT_FOUND, _NO_ALIAS):
                raise CollectionError(f"{self.uri}: {error.message}") from error
            raise RefusedError(int(code), f"{self.uri}: {what}: {error.message}") from error

    def close(self) -> None:
        """Close the client; the next call makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        if self._client is None:
            # Read by gRPC when it is first loaded, hence before the import below.
            os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
            from pymilvus import MilvusClient
            from pymilvus.exceptions import MilvusException

            # It logs a traceback for every error that it also raises.
            logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
            try:
                options = _LOOPBACK_OPTIONS if _is_loopback(self.uri) else {}
                self._client = MilvusClient(
                    self.uri, timeout=self.timeout_s, dedicated=True, grpc_options=options
                )
            except ValueError as error:
                raise self._unavailable("connect", str(error)) from error
            except Exception as error:
                told = isinstance(error, MilvusException) and error.code != _CONNECT_FAILED
                reason = getattr(error, "message", "") if told else "no connection"
                raise self._unavailable("connect", reason) from error
        return self._client

    def _unavailable(self, method: str, reason: str) -> StoreUnavailableError:
        self.close()
        return StoreUnavailableError(
            f"Milvus at {self.uri} does not answer ({method}: {reason}): "
            "check that it runs and that the address is right"
        )


def _in_words(code: Any) -> str:
    return str(code.name).lower().replace("_", " ")


def _is_loopback(uri: str) -> bool:
    host = urlsplit(uri).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
