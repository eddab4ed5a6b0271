"""How every command behaves: its help, several values in a row, work that can be taken up again."""

import re
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

#: The verbs in the order of work.
ORDER = (
    *("ingest", "sweep", "watch", "report", "evaluate", "tune", "analyse", "promote", "serve"),
    *("demo", "ui"),
    *("refine", "compare", "stream", "info", "convert", "formats"),
    *("tracks", "mocap", "fetch", "check", "pvd", "export", "doctor"),
)
#: -h is short for --help everywhere.
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_OPTION = re.compile(r"-(?![\d.])")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, and what a user should know about the work that was cut short."""


class _Help:
    """Help that ends with examples: panels in a terminal, plain text anywhere else."""

    epilog: str | None
    rich_markup_mode: Any

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        terminal = sys.stdout.isatty()
        self.rich_markup_mode = "rich" if terminal else None
        examples, self.epilog = self.epilog, None  # typer would take brackets for markup
        super().format_help(ctx, formatter)  # type: ignore[misc]
        self.epilog = examples
        if not examples:
            return
        if terminal:
            from rich.console import Console
            from rich.padding import Padding

            Console(highlight=False, markup=False).print(Padding(examples, (0, 1)))
        else:
            formatter.write(f"\n{examples}\n")

    def get_params(self, ctx: Any) -> list[Any]:
        """Return options and arguments; where their names say enough, help shows no types."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if isinstance(param, TyperArgument) or getattr(param, "is_flag", False):
                param.display_type_rich = _nothing
        return params


class Verb(_Help, TyperCommand):
    """A command; an option that may be repeated takes several values in a row, too."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line, arguments as they are declared."""
        arguments = [p.metavar for p in self.params if isinstance(p, TyperArgument) and p.metavar]
        return ["[OPTIONS]", *arguments]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        several = {
            name
            for param in self.params
            if getattr(param, "multiple", False)
            for name in param.opts
        }
        return super().parse_args(ctx, one_value_each(args, several))


class Verbs(_Help, TyperGroup):
    """A command that has commands, listed in the order of work."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands; typer would put those that have commands last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else 0)


def group(help_text: str, examples: str) -> typer.Typer:
    """Make a command that has commands, of which one must be named."""
    return typer.Typer(cls=Verbs, help=help_text, epilog=examples.strip(), context_settings=CONTEXT)


def add(app: typer.Typer, command: Callable[..., int | None], examples: str) -> None:
    """Add a command under its function's name."""
    app.command(cls=Verb, epilog=examples.strip(), context_settings=CONTEXT)(command)


def one_value_each(args: Sequence[str], several: Collection[str]) -> list[str]:
    """Turn ``--track a b`` into ``--track a --track b`` for options that may be repeated."""
    found: list[str] = []
    option, values = None, 0
    for place, word in enumerate(args):
        if word == "--":
            return [*found, *args[place:]]
        if _OPTION.match(word):
            option, values = (word if word in several else None), 0
        elif option is not None:
            if values:
                found.append(option)
            values += 1
        found.append(word)
    return found


@contextmanager
def resumable(what_now: str) -> Iterator[None]:
    """Turn Ctrl-C inside the block into one that says how the work goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(what_now) from None


def interrupt_on_sigterm() -> None:
    """Let SIGTERM end this command as Ctrl-C does.

    It raises here and sends no SIGINT, which whatever a script starts with ``&`` ignores.
    """
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _nothing(ctx: Any) -> None:
    return None
