"""The page at ``/``, the description at ``/docs``, and the files that both are made of."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

#: Where the files are asked for. No token is needed: a page has none before it is there.
STATIC: Final = "/static/"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: The look of all pages of Poise.
_SHARED: Final = "style.css"
#: Nothing from elsewhere, nothing inline. Swagger's page sets styles of elements.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """A file of the page, as it is and packed."""

    content: bytes
    packed: bytes
    kind: str
    tag: str


@router.get("/")
async def page(request: Request) -> Response:
    """The page."""
    return await _sent(request, "index.html")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The OpenAPI description."""
    return await _sent(request, "docs.html")


@router.get(STATIC + "{name:path}")
async def static(request: Request, name: str) -> Response:
    """A file of either."""
    return await _sent(request, name)


async def _sent(request: Request, name: str) -> Response:
    asset = await asyncio.to_thread(_asset, name) if name in _names() else None
    if asset is None:
        raise HTTPException(404, "there is no such file")
    styles = " 'unsafe-inline'" if name == "docs.html" else ""
    headers = {
        **_SAFE,
        "Content-Security-Policy": _POLICY.format(styles=styles),
        "Cache-Control": "no-cache",
        "ETag": asset.tag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    content = asset.packed if packed else asset.content
    return Response(content, media_type=asset.kind, headers=headers)


@cache
def _names() -> frozenset[str]:
    """The files there are; nothing else is opened, whatever is asked for."""
    root = resources.files(__package__).joinpath("static")
    return frozenset([_SHARED]) | frozenset(
        f"{folder}{one.name}"
        for folder in ("", "vendor/")
        for one in root.joinpath(folder).iterdir()
        if PurePosixPath(one.name).suffix in _TYPES
    )


@cache
def _asset(name: str) -> Asset:
    folder = resources.files(__package__).joinpath("static")
    if name == _SHARED:
        folder = resources.files("poise.runtime.page")
    content = folder.joinpath(name).read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    return Asset(content, gzip.compress(content, 6), _TYPES[PurePosixPath(name).suffix], tag)
