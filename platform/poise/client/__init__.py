"""Ask a Poise service: whole motions, or streams of frames.

``Client("http://127.0.0.1:8000").refine(poses)`` returns refined poses, ``client.stream(fps=30)`` a
stream to push frames into; `AsyncClient` is the same for asyncio.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poise.client.async_client import AsyncClient
    from poise.client.client import Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: the service itself reads the messages alone.
    if name == "Client":
        from poise.client.client import Client

        return Client
    if name == "AsyncClient":
        from poise.client.async_client import AsyncClient

        return AsyncClient
    raise AttributeError(f"module 'poise.client' has no attribute {name!r}")
