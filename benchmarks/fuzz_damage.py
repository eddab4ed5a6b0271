"""Ways in which files are damaged, odd or hostile: bytes, numbers, structure, encodings."""

import copy
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from benchmarks.fuzz_seeds import Seed

#: Files stay small: what is tried is what they say, not how long they are.
_MOST_BYTES: Final = 2**18
_ZIP: Final = b"PK\x03\x04"
_NUMBER: Final = re.compile(rb"-?\d[\d.eE+-]*")
_NUMBERS: Final = (
    b"0", b"-1", b"1e9", b"1e308", b"1e999", b"-1e999", b"nan", b"NaN", b"Infinity", b"",
    b"99999999999999999999", b"-99999999999999999999", b"2147483648", b"9223372036854775808",
    b"1.5", b"0x10", b"1,5", b"1_000", b"\xd9\xa3", b"null", b"1e-400", b"4e9", b"--1", b"1.2.3",
    b"9" * 400, b"true", b'"1"', b"[]", b"00012",
)  # fmt: skip
_WORDS: Final = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b"[", b"]", b"{", b"}", b",", b";", b"\t",
    b"\n", b"\r", b"\r\n", b"\xe4", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\x1b[2J", b"#", b"%s",
    b"../..", b"\x85", b"\xe2\x80\xa8", b"[" * 3000, b"\\ud800", b"\\u0000", b"\x1a",
    b"a" * 5000, b"<!ENTITY x \"y\">", b"&x;",
)  # fmt: skip
_ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp037")
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1e308, 2**63, 10**400, -0.0, "", "x", "1", "\ud800", "\0", [], {},
    [[]], [[], []], [None], [{}], {"": {}}, {"x": 1}, [[[[1]]]], [1, "a"], 0.5, 2**31, "9" * 50,
    float("nan"), float("inf"), [float("nan")] * 51, [1] * 51, {"keypoints": [1, 2, 3]},
)  # fmt: skip


def damaged(seed: Seed, others: Sequence[bytes], rng: Random) -> Seed:
    """Return a file that is damaged somewhere; of a folder one of its files is, or its names are.

    Args:
        seed: the whole file.
        others: what other files hold, to put pieces of in.
        rng: what is done.
    """
    files = dict(seed.files)
    name = rng.choice(sorted(files))
    if seed.is_folder and rng.random() < 0.15:
        odd = rng.choice(("a.json", "x_99999999999999999999.json", ".json", "f_1.json", "é.json"))
        files[odd] = files.pop(name)
        return Seed(seed.name, files)
    content = files[name]
    if content.startswith(_ZIP) and rng.random() < 0.7:
        files[name] = _in_archive(content, others, rng)
    elif content.lstrip()[:1] in (b"{", b"[") and rng.random() < 0.6:
        files[name] = _other_json(content, rng)
    else:
        files[name] = _other_bytes(content, others, rng)
    return Seed(seed.name, files)


def _in_archive(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """Damage a member: the archive's own checksums would tell of anything else at once."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        hit = rng.choice(names)
        for name in names:
            member = old.read(name)
            if name == hit:
                if rng.random() < 0.05:
                    continue
                member = _other_bytes(member, others, rng)
            new.writestr(name, member)
    return out.getvalue()


def _other_json(content: bytes, rng: Random) -> bytes:
    document = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        document = _other_value(document, rng)
    return json.dumps(document).encode()


def _other_value(value: Any, rng: Random) -> Any:
    """Put something else in the place of a value somewhere in a document, or leave it out."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if rng.random() < 0.1:
            del value[key]
        elif isinstance(value, dict) and rng.random() < 0.05:
            value[rng.choice(("", "x", "keypoints", "id"))] = value.pop(key)
        elif isinstance(value, list) and rng.random() < 0.1:
            value.insert(key, value[rng.randrange(len(value))])
        else:
            value[key] = _other_value(value[key], rng)
        return value
    return copy.deepcopy(rng.choice(_VALUES))


def _other_bytes(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 4, 20))):
        content = rng.choice(_WAYS)(content, others, rng)[:_MOST_BYTES]
    return content


def _cut(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flipped(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    found = bytearray(content)
    for _ in range(rng.choice((1, 3, 30)) if found else 0):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _overwritten(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at, size = rng.randrange(len(content) + 1), rng.choice((1, 2, 4, 8, 64))
    piece = rng.choice((rng.randbytes(size), b"\0" * size, b"\xff" * size))
    return content[:at] + piece + content[at + size :]


def _spliced(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    other = rng.choice([content, *others])
    first = rng.randrange(len(other) + 1)
    piece = other[first : first + rng.choice((4, 40, 400, 4000))]
    at = rng.randrange(len(content) + 1)
    return content[:at] + piece + content[at + rng.choice((0, len(piece))) :]


def _shortened(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 8, 100, 1000)) :]


def _with_word(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(_WORDS) + content[at:]


def _with_number(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    found = [*_NUMBER.finditer(content)]
    if not found:
        return content
    where = rng.choice(found[:40] if rng.random() < 0.5 else found)
    return content[: where.start()] + rng.choice(_NUMBERS) + content[where.end() :]


def _without_line(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at : at + 1] = rng.choice(([], [lines[at]] * 2, [b""]))
    return b"\n".join(lines)


def _in_encoding(content: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    text = content.decode("latin-1")
    if rng.random() < 0.3:
        return text.replace("\n", rng.choice(("\r\n", "\r", "\n\n"))).encode("latin-1")
    return text.encode(rng.choice(_ENCODINGS), "replace")


_WAYS: Final[tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...]] = (
    _cut, _flipped, _overwritten, _spliced, _shortened, _with_word, _with_number, _with_number,
    _without_line, _in_encoding,
)  # fmt: skip
