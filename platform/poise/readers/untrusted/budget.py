"""What reading one file may cost, whoever wrote it.

A few bytes can ask for any time and any memory: a pickle that refers to one list again and again, a
shape of a trillion rows without values, zeros that deflate to a thousandth. Every reader of this
package counts what it spends in the file's `Budget`, which ends it by a `BudgetError`. What is
allowed grows with the file, so that no real one comes near.
"""

import math
import time
from pathlib import Path
from typing import Final, Self

#: Entries of a file, each of which is at least a line in the manifest.
FREE_ENTRIES: Final = 2**14
BYTES_AN_ENTRY: Final = 64
#: Opcodes of the pickles in a file: real ones have one in ten bytes or more.
FREE_OPCODES: Final = 2**20
OPCODES_A_BYTE: Final = 2
#: Opcodes of one entry, which is one sequence: a list of numbers for every joint of 50,000 frames
#: has 6 million.
MOST_OPCODES: Final = 2**23
#: Values that entries refer to: an entry has as many free as opcodes, each opcode may refer to a
#: joint's, and a whole file has so many free.
OBJECTS_AN_OPCODE: Final = 4
MOST_OBJECTS: Final = 2**22
#: Lists in lists; NumPy has as many axes.
DEEPEST: Final = 32
#: Bytes out of a file for each byte in it. Real motion and its file names deflate by less than 30;
#: a bomb by up to 1000. Below the free bytes any ratio is harmless: a ground truth of all zeros
#: deflates like a bomb.
FREE_BYTES: Final = 64 * 2**20
MOST_RATIO: Final = 200
#: No split of the field comes near: all of AIST++ in SMPL poses and float64 is 3.4 GB.
MOST_BYTES: Final = 16 * 2**30
#: Of the processor, for one entry.
MOST_SECONDS: Final = 60.0
#: Whatever the type in the file, numbers are read as float64.
_NUMBER: Final = 8


class BudgetError(Exception):
    """A file costs more than it may; the message names the budget."""


class Budget:
    """What one file may cost, and what of it is spent."""

    def __init__(self, size: int, most_opcodes: int = MOST_OPCODES) -> None:
        """Begin a file.

        Args:
            size: of the file on disk, in bytes.
            most_opcodes: of one entry.
        """
        self._size = size
        self._most_opcodes = most_opcodes
        self._opcodes = self._bytes = self._objects = 0
        self._most_bytes = min(FREE_BYTES + MOST_RATIO * size, MOST_BYTES)
        self.next_entry()

    @classmethod
    def of(cls, path: Path) -> Self:
        """Begin a file that is there."""
        return cls(path.stat().st_size)

    def entries(self, count: int) -> None:
        """Check how many entries the file announces."""
        _check("entries", count, FREE_ENTRIES + self._size // BYTES_AN_ENTRY)

    def next_entry(self) -> None:
        """Begin the next entry."""
        self._entry_opcodes = self._made = 0
        self._started = time.thread_time()

    def opcodes(self, count: int) -> None:
        """Spend opcodes of a pickle, and the time that they took."""
        self._opcodes += count
        self._entry_opcodes += count
        _check("opcodes", self._opcodes, FREE_OPCODES + OPCODES_A_BYTE * self._size)
        _check("opcodes", self._entry_opcodes, self._most_opcodes)
        spent = time.thread_time() - self._started
        if spent > MOST_SECONDS:
            raise BudgetError(f"more than {MOST_SECONDS:g} seconds for one entry (budget: seconds)")

    def objects(self, count: int, before: int = 0, depth: int = 0) -> int:
        """Spend values of one list, each as often as an entry refers to it.

        Args:
            count: how many they are.
            before: those of the same entry that were spent before.
            depth: in how many lists this one lies.

        Returns:
            All of the entry so far.
        """
        if depth > DEEPEST:
            raise BudgetError(f"lists nested more than {DEEPEST} deep (budget: nesting)")
        _check("objects", before + count, FREE_OPCODES + OBJECTS_AN_OPCODE * self._entry_opcodes)
        self._objects += count
        _check("objects", self._objects, MOST_OBJECTS + OBJECTS_AN_OPCODE * self._opcodes)
        return before + count

    def numbers(self, shape: tuple[int, ...], itemsize: int = _NUMBER) -> None:
        """Spend an array; one without values counts as its other axes are long.

        Args:
            shape: of the array.
            itemsize: bytes of a value, once it is read.
        """
        self.bytes(max(itemsize, _NUMBER) * math.prod(length or 1 for length in shape))

    def bytes(self, count: int) -> None:
        """Spend bytes of what comes out of the file; what is refused is not spent."""
        _check("bytes", self._bytes + count, self._most_bytes)
        self._bytes += count

    def made(self, count: int) -> None:
        """Spend bytes that an entry takes while it is read; it may use some again and again."""
        self._made += count
        _check("bytes", self._made, self._most_bytes)

    def member(self, size: int) -> None:
        """Check how much a member of an archive unpacks to, before it is.

        Its directory's word on the packed size counts for nothing: that is at most the file's.
        """
        if size > self._most_bytes:
            raise BudgetError(
                f"unpacks to {size:,} bytes, more than {self._most_bytes:,} from a file of "
                f"{self._size:,} (budget: bytes)"
            )


def _check(what: str, spent: int, most: int) -> None:
    if spent > most:
        raise BudgetError(f"more than {most:,} {what} (budget: {what})")
