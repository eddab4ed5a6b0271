"""What commands print: colours and bars in a terminal, plain lines in pipes and logs."""

import io
import json
import logging
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

from poise.runtime.printable import printable
from poise.runtime.text.table import text_table

#: Lines of a terminal that a table above a bar leaves free.
_OTHER_LINES = 8


def in_terminal() -> bool:
    """Say whether somebody looks at what is printed."""
    return sys.stdout.isatty()


def prepare_terminal() -> None:
    """Let nothing in a message end a command or act on the terminal: what could is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def say(text: object, *, aside: bool = False) -> None:
    """Print text, control characters escaped; on stderr where it stands beside the result."""
    print(printable(text, keep="\n\t"), file=sys.stderr if aside else sys.stdout, flush=True)


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (0,),
    bold: Collection[tuple[int, int]] = (),
) -> None:
    """Print a table.

    Args:
        header: names of the columns.
        rows: as many cells each.
        left: columns that are aligned to the left; numbers belong to the right.
        bold: row and column of cells to set in bold, where there is a terminal.
    """
    if not in_terminal():
        print(text_table(header, rows, left))
        return
    from rich.console import Console

    Console().print(_rich_table(header, rows, left, bold))


def _rich_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int],
    bold: Collection[tuple[int, int]] = (),
) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for place, name in enumerate(header):
        justify = "left" if place in left else "right"
        table.add_column(Text(name), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for number, row in enumerate(rows):
        styles = ["bold green" if (number, place) in bold else "" for place in range(len(row))]
        table.add_row(
            *(Text(printable(cell), style) for cell, style in zip(row, styles, strict=True))
        )
    return table


def print_json(rows: Any) -> None:
    """Print plain values as JSON."""
    print(json.dumps(rows, indent=2, ensure_ascii=False))


def write_json(file: Path, rows: Sequence[Any]) -> None:
    """Write plain values as JSON: a file whole or not at all."""
    text = json.dumps(rows, indent=2) + "\n"
    if file.exists() and not file.is_file():  # /dev/stdout
        file.write_text(text)
        return
    from poise.runtime import storage  # pyarrow takes its time

    storage.write_bytes(str(file.absolute()), text.encode())


class Screen:
    """Shows how far work is: lines above a bar in a terminal, nothing but lines elsewhere."""

    def __init__(self, what: str, stamp: str = "{line}") -> None:
        """Be about some work.

        Args:
            what: said beside the bar.
            stamp: what a line is put into, with ``{seconds}`` since the start and ``{line}``.
        """
        self._what, self._stamp = what, stamp
        self._start = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        """Show the bar."""
        if in_terminal():
            from rich import progress

            class Bar(progress.Progress):
                above: Any = None

                def get_renderables(self) -> Any:
                    if self.above is not None:
                        yield self.above
                    yield from super().get_renderables()

            self._bar = Bar(
                progress.SpinnerColumn(),
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.TextColumn("{task.percentage:>3.0f}%"),
                progress.TimeElapsedColumn(),
                transient=True,
                refresh_per_second=4,
            )
            self._bar.add_task(self._what, total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line, stamped."""
        self.show(self._stamp.format(seconds=time.monotonic() - self._start, line=line))

    def show(self, text: str) -> None:
        """Print a line without a stamp, control characters escaped."""
        text = printable(text, keep="\n\t")
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def move(self, done: int, total: int, what: str = "") -> None:
        """Move the bar."""
        if self._bar is not None:
            about = what or self._what
            self._bar.update(0, completed=done, total=total, description=about, refresh=True)

    def put(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int]
    ) -> None:
        """Show a table above the bar, in place of the one before; as much of it as there is room.

        Arguments as of `print_table`.
        """
        if self._bar is None:
            return
        room = max(self._bar.console.height - _OTHER_LINES, 1)
        self._bar.above = _rich_table(header, rows[-room:], left)

    def step(self, done: int, total: int, what: str) -> None:
        """Say that another step is done, and what came of it: by the bar, else by a line."""
        self.move(done, total, what)
        if self._bar is None:
            left_s = (time.monotonic() - self._start) / done * (total - done)
            self.say(f"[{done}/{total}, {left_s:.0f} s left] {what}")

    def take_logs(self, form: str = "%(message)s") -> None:
        """Show everything that is logged from now on; records with ``done`` move the bar, too."""
        handler = _ScreenHandler(self)
        handler.setFormatter(logging.Formatter(form))
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _ScreenHandler(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.show(self.format(record))
        if hasattr(record, "done"):
            self._screen.move(record.done, record.total)  # type: ignore[attr-defined]
