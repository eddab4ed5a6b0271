"""An unpickler that knows numbers, strings, lists, and calls of what a pickle may name.

It is the standard library's that is written in Python, cut down to the opcodes such data need. The
one in C keeps its memo in an array as long as the largest index a pickle names, so that five bytes
of file can ask for 30 GB; and it can neither be counted nor be stopped at an entry.
"""
# ruff: noqa: D102  # a `load_` is what the standard library calls the meaning of an opcode

import pickle
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, ClassVar, Final, NoReturn

from poise.readers.untrusted.budget import Budget, BudgetError
from poise.readers.untrusted.safe_pickle import (
    Dtype,
    Function,
    RefusedError,
    StandIn,
    StoredArray,
    Unknown,
)

#: Opcodes between two looks at the budget.
_BLOCK: Final = 1024
#: Bytes of an integer: all that arrays hold, and a sign.
_LONGEST_INTEGER: Final = 9
_DICT: Final = Unknown("an object of type dict")
_SET: Final = Unknown("an object of type set")
#: Undocumented, and known to the type checker only in part.
Base: Any = pickle._Unpickler
_ADMITTED: Final = (
    "mark", "stop", "pop", "pop_mark", "dup", "proto", "frame", "none", "true", "false", "int",
    "binint", "binint1", "binint2", "long", "long1", "long4", "float", "binfloat", "string",
    "binstring", "short_binstring", "unicode", "short_binunicode", "binunicode", "binunicode8",
    "short_binbytes", "binbytes", "binbytes8", "bytearray8", "empty_tuple", "tuple", "tuple1",
    "tuple2", "tuple3", "empty_list", "list", "append", "appends", "empty_dict", "dict",
    "setitem", "setitems", "empty_set", "additems", "frozenset", "get", "binget", "long_binget",
    "put", "binput", "long_binput", "memoize", "global", "stack_global", "reduce", "build",
    "inst", "obj", "newobj", "newobj_ex", "persid", "binpersid",
)  # fmt: skip
_CODES: Final = {"true": "NEWTRUE", "false": "NEWFALSE"}
_OPCODES: Final[dict[int, str]] = {
    getattr(pickle, _CODES.get(name, name.upper()))[0]: f"load_{name}" for name in _ADMITTED
}


class Unpickler(Base):
    """Reads one pickle; whatever it holds beside data becomes an `Unknown`, or a `RefusedError`.

    Subclasses say in `find_class` what a name stands for, and may give an opcode another meaning.
    """

    #: What may be called beside a `Function`.
    classes: ClassVar[tuple[type, ...]] = (Dtype, StoredArray)

    def __init__(self, stream: BufferedReader, budget: Budget, longest: int) -> None:
        """Begin at the stream's place.

        Args:
            stream: the pickle; buffered, as it is read in small pieces.
            budget: of its file.
            longest: how many bytes the pickle can have.
        """
        super().__init__(stream, encoding="latin1")
        self.root: Any = None
        self.budget = budget
        self._longest = longest
        self._stream = stream
        self._ready: list[Any] = []

    def run(self) -> Iterator[Any]:
        """Read to the end, and yield what was ready meanwhile; the rest is in ``root``."""
        # Frames only tell how to read ahead, which the buffered stream does anyway.
        self.read, self.readline = self._stream.read, self._stream.readline
        if not hasattr(self, "memo"):
            self.memo: dict[int, Any] = {}
        self.metastack: list[list[Any]] = []
        self.stack: list[Any] = []
        self.append = self.stack.append
        load = {code: getattr(self, name) for code, name in _OPCODES.items()}
        read, left = self.read, _BLOCK
        while True:
            code = read(1)
            if not code:
                raise EOFError("it ends early")
            if code[0] not in load:
                raise RefusedError(f"the pickle opcode {code!r}")
            left -= 1
            if not left:
                self.budget.opcodes(_BLOCK)
                left = _BLOCK
            try:
                load[code[0]]()
            except pickle._Stop as stop:  # type: ignore[attr-defined]
                self.root = stop.value
                return
            if self._ready:
                yield from self._ready
                self._ready = []

    def persistent_load(self, pid: Any) -> NoReturn:
        raise RefusedError("a persistent id")

    def call(self, made_by: Any, args: Any) -> Any:
        """Call what a pickle names, of what may be called."""
        if isinstance(made_by, Unknown):
            return made_by
        if not (isinstance(made_by, Function) or any(made_by is one for one in self.classes)):
            raise RefusedError(f"a call of an object of type {type(made_by).__name__}")
        made = made_by(*args)
        if isinstance(made, StoredArray):
            self._count(made)
        elif isinstance(made, str | bytes):
            self.budget.made(len(made))
        return made

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], args)

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, StandIn):
            raise RefusedError(f"a changed object of type {type(made).__name__}")
        made.__setstate__(state)
        if isinstance(made, StoredArray):
            self._count(made)

    def load_newobj(self) -> None:
        self.stack.pop()
        made_by = self.stack.pop()
        self.append(self.call(made_by, ()))

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def load_inst(self) -> None:
        module, name = (str(self.readline()[:-1], "ascii") for _ in range(2))
        args = self.pop_mark()
        self.append(self.call(self.find_class(module, name), args))

    def load_obj(self) -> None:
        made_by, *args = self.pop_mark()
        self.append(self.call(made_by, args))

    def load_append(self) -> None:
        value = self.stack.pop()
        self.extend(self.stack[-1], [value])

    def load_appends(self) -> None:
        items = self.pop_mark()
        self.extend(self.stack[-1], items)

    def extend(self, box: Any, items: list[Any]) -> None:
        """Put items into a list."""
        if isinstance(box, list):
            box.extend(items)
        elif not isinstance(box, Unknown):
            raise RefusedError(f"items appended to an object of type {type(box).__name__}")

    def load_empty_dict(self) -> None:
        self.append(_DICT)

    def load_dict(self) -> None:
        self.pop_mark()
        self.append(_DICT)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self.set_items(self.stack[-1], items)

    def set_items(self, box: Any, items: list[Any]) -> None:
        """Put keys and values, one after the other, into a dict, of which none is kept."""
        if not isinstance(box, Unknown):
            raise RefusedError(f"items set in an object of type {type(box).__name__}")

    def load_empty_set(self) -> None:
        self.append(_SET)

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(_SET)

    def load_additems(self) -> None:
        self.pop_mark()
        if not isinstance(self.stack[-1], Unknown):
            raise RefusedError("items added to what is no set")

    def load_frame(self) -> None:
        self.read(8)

    def load_int(self) -> None:
        super().load_int()
        self._check_integer()

    def load_long(self) -> None:
        super().load_long()
        self._check_integer()

    def _check_integer(self) -> None:
        bits = self.stack[-1].bit_length()
        if bits > 8 * _LONGEST_INTEGER:
            raise BudgetError(f"an integer of {bits:,} bits (budget: bytes)")

    def load_long1(self) -> None:
        self._integer(1)

    def load_long4(self) -> None:
        self._integer(4)

    def _integer(self, width: int) -> None:
        content = self._content(width)
        if len(content) > _LONGEST_INTEGER:
            raise BudgetError(f"an integer of {len(content):,} bytes (budget: bytes)")
        self.append(int.from_bytes(content, "little", signed=True))

    def load_binstring(self) -> None:
        self.append(self._decode_string(self._content(4)))

    def load_binbytes(self) -> None:
        self.append(self.binary(4))

    def load_binbytes8(self) -> None:
        self.append(self.binary(8))

    def load_bytearray8(self) -> None:
        content = self.binary(8)
        self.append(bytearray(content) if isinstance(content, bytes) else content)

    def binary(self, width: int) -> Any:
        """Read the bytes of an array after their number, which takes up ``width`` bytes."""
        return self._content(width)

    def load_short_binunicode(self) -> None:
        read = self.read
        self.stack.append(str(read(read(1)[0]), "utf-8", "surrogatepass"))

    def load_binunicode(self) -> None:
        self.append(str(self._content(4), "utf-8", "surrogatepass"))

    def load_binunicode8(self) -> None:
        self.append(str(self._content(8), "utf-8", "surrogatepass"))

    def _content(self, width: int) -> bytes:
        """Read bytes after their number."""
        content: bytes = self.read(self.announced(width))
        return content

    def announced(self, width: int) -> int:
        """Read how many bytes follow; a reader makes room for all that are announced."""
        size = int.from_bytes(self.read(width), "little")
        if size > self._longest:
            raise BudgetError(
                f"announces {size:,} bytes, where {self._longest:,} can follow (budget: bytes)"
            )
        return size

    def _count(self, array: StoredArray) -> None:
        self.budget.made(array.value.nbytes)
