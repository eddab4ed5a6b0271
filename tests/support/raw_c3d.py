"""C3D files byte by byte, with what real ones get wrong."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BLOCK = 512
MACHINES = {"intel": 84, "dec": 85, "mips": 86}


@dataclass
class RawC3d:
    """What the file says; ``stored`` are the frames as they lie in it."""

    points_FP3: NDArray[np.float32]
    machine: str = "intel"
    scale: float = -1.0
    header_scale: float | None = None
    last: int | None = None
    counted: int | None = None
    unit: str | None = "mm"
    analog: int = 0
    header_analog: int | None = None
    more: list[tuple[str, str, int, Sequence[int], bytes]] = field(default_factory=list)

    def word(self, value: int) -> bytes:
        return struct.pack(">H" if self.machine == "mips" else "<H", value & 0xFFFF)

    def floats(self, values: NDArray[np.float32]) -> bytes:
        if self.machine == "dec":  # four times as large, and its halves the other way round
            halves = (values.astype("<f4") * 4).reshape(-1, 1).view("<u2")
            return halves[:, ::-1].tobytes()
        return values.astype(">f4" if self.machine == "mips" else "<f4").tobytes()

    def one(self, value: float) -> bytes:
        return self.floats(np.array([value], np.float32))

    def content(self) -> bytes:
        frames, points, _ = self.points_FP3.shape
        given = [
            ("POINT", "USED", 2, [], self.word(points)),
            ("POINT", "SCALE", 4, [], self.one(self.scale)),
            ("POINT", "RATE", 4, [], self.one(120)),
            ("POINT", "FRAMES", 2, [], self.word(frames if self.counted is None else self.counted)),
            ("POINT", "LABELS", -1, [4, points], b"".join(b"P%03d" % n for n in range(points))),
            *self.more,
        ]
        if self.unit is not None:
            given.append(("POINT", "UNITS", -1, [len(self.unit)], self.unit.encode()))
        parameters = self.parameters(given)
        start = 2 + len(parameters) // BLOCK
        header = bytearray(BLOCK)
        header[:2] = 2, 0x50
        last = frames if self.last is None else self.last
        analog = self.analog if self.header_analog is None else self.header_analog
        for place, value in ((2, points), (4, analog), (6, 1), (8, last), (16, start), (18, 1)):
            header[place : place + 2] = self.word(value)
        header[12:16] = self.one(self.scale if self.header_scale is None else self.header_scale)
        header[20:24] = self.one(120)
        return bytes(header) + parameters + self.stored()

    def parameters(self, given: list[tuple[str, str, int, Sequence[int], bytes]]) -> bytes:
        groups = list(dict.fromkeys(group for group, *_ in given))
        found = b""
        for number, group in enumerate(groups, start=1):
            found += struct.pack("bb", len(group), -number) + group.encode() + self.word(3) + b"\0"
        for group, name, kind, shape, data in given:
            inner = struct.pack("bB", kind, len(shape)) + bytes(shape) + data + b"\0"
            found += struct.pack("bb", len(name), groups.index(group) + 1) + name.encode()
            found += self.word(len(inner) + 2) + inner
        blocks = -(-(len(found) + 6) // BLOCK)
        head = bytes([1, 0x50, blocks, MACHINES[self.machine]])
        return (head + found).ljust(blocks * BLOCK, b"\0")

    def stored(self) -> bytes:
        frames, points, _ = self.points_FP3.shape
        values = np.zeros((frames, points, 4), np.float32)
        values[..., :3] = self.points_FP3 if self.scale < 0 else self.points_FP3 / self.scale
        flat = np.concatenate(
            [values.reshape(frames, -1), np.full((frames, self.analog), 7, np.float32)], axis=1
        )
        if self.scale < 0:
            raw = self.floats(flat)
        else:
            raw = np.rint(flat).astype(">i2" if self.machine == "mips" else "<i2").tobytes()
        return raw.ljust(-(-len(raw) // BLOCK) * BLOCK, b"\0")
