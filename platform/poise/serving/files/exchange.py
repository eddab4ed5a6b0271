"""Messages between a replica and its workers: some JSON and some bytes, through a pipe.

Neither side believes the other's bytes to be anything but that: files that strangers made are read
at the other end.
"""

import json
import struct
from typing import IO, Any, Final

_HEAD: Final = struct.Struct("<II")


def send(pipe: IO[bytes], about: dict[str, Any], body: bytes = b"") -> None:
    """Send a message."""
    text = json.dumps(about).encode()
    pipe.write(_HEAD.pack(len(text), len(body)) + text)
    pipe.write(body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Wait for a message; None where the other side is gone."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    lengths = _HEAD.unpack(head)
    text, body = (pipe.read(length) for length in lengths)
    if (len(text), len(body)) != lengths:
        return None
    about: dict[str, Any] = json.loads(text)
    return about, body
