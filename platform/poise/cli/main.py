"""``poise``: one command with every verb, in the order of work."""

import atexit
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command

from poise.cli import (
    analyse,
    check,
    demo,
    doctor,
    evaluate,
    export,
    fetch,
    ingest,
    mocap,
    promote,
    pvd,
    report,
    serve,
    sweep,
    tracks,
    tune,
    ui,
    watch,
)
from poise.cli.motion import compare, convert, formats, info, refine, stream
from poise.cli.shared.commands import Interrupted, add, group
from poise.cli.shared.output import prepare_terminal
from poise.runtime.errors import expected_errors
from poise.runtime.loopback import bypass_proxies
from poise.runtime.places import cannot_write, is_of_a_place
from poise.runtime.printable import printable
from poise.runtime.telemetry import turn_off_telemetry

EXAMPLES = """
in the order of work:
  poise tracks                             what Poise can read
  poise ingest --data data                 raw tracks to the lake
  poise sweep --data data                  train, compare, promote the best
  poise watch demo                         how far a sweep is
  poise ui                                 the comparison in MLflow
  poise promote uiprmd/kinect/3D --list    who was champion, and why
  poise report demo                        the same as a page to send
  poise evaluate --model poise-uiprmd-kinect-3D --track uiprmd/kinect/3D
  poise serve                              the best one behind an endpoint
  poise export poise-uiprmd-kinect-3D@champion out.onnx

keypoint files of other tools:
  poise refine clip.json                   clean motion, in the same format
  poise compare clip.poise.trc true.trc    how far it is from another file
  poise stream clip.json                   as a camera, through poise serve
  poise info clip.json                     what is in it
  poise convert clip.json clip.trc         in another format
  poise formats                            what is read and written

data from motion capture:
  poise fetch cmu --subjects 07 --to cmu   open motion capture data
  poise mocap cmu --out data               motion capture files to a track
  poise check                              can the lake be trusted?
  poise pvd verify uiprmd/kinect/3D        and its Pose Vector Database?

when something does not work:
  poise doctor                             what is wrong, and how to mend it

Every command explains itself with --help; docs/settings.md lists the
variables that all of them honour. Exit codes: 0 well, 1 problems found, 2
could not work.
"""

app = group("Refine human motion: bring data in, train, compare, serve.", EXAMPLES)
add(app, ingest.ingest, ingest.EXAMPLES)
add(app, sweep.sweep, sweep.EXAMPLES)
add(app, watch.watch, watch.EXAMPLES)
add(app, report.report, report.EXAMPLES)
add(app, evaluate.evaluate, evaluate.EXAMPLES)
add(app, tune.tune, tune.EXAMPLES)
app.add_typer(analyse.app, name="analyse")
add(app, promote.promote, promote.EXAMPLES)
add(app, serve.serve, serve.EXAMPLES)
add(app, demo.demo, demo.EXAMPLES)
add(app, ui.ui, ui.EXAMPLES)
add(app, tracks.tracks, tracks.EXAMPLES)
add(app, mocap.mocap, mocap.EXAMPLES)
add(app, fetch.fetch, fetch.EXAMPLES)
add(app, refine.refine, refine.EXAMPLES)
add(app, compare.compare, compare.EXAMPLES)
add(app, stream.stream, stream.EXAMPLES)
add(app, info.info, info.EXAMPLES)
add(app, convert.convert, convert.EXAMPLES)
add(app, formats.formats, formats.EXAMPLES)
add(app, check.check, check.EXAMPLES)
app.add_typer(pvd.app, name="pvd")
add(app, export.export, export.EXAMPLES)
add(app, doctor.doctor, doctor.EXAMPLES)


@app.callback()
def _root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="tell more on stderr")] = False,
) -> None:
    if verbose:
        logging.getLogger().setLevel(logging.INFO)


def script() -> NoReturn:
    """Be the process ``poise``."""
    _exit_with(main)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``poise``; return its exit code: 0 well, 1 problems found, 2 could not work."""
    return _run(get_command(app), "poise", sys.argv[1:] if arguments is None else arguments)


def door(verb: str) -> None:
    """Run one verb as a script of its own, and exit as ``poise`` would."""
    command: Any = get_command(app)
    _exit_with(lambda: _run(command.commands[verb], sys.argv[0], sys.argv[1:]))


def _exit_with(run: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code, whatever becomes of libraries at the end.

    Threads are joined and what libraries left to the exit is done, in the order they asked for;
    then the process ends. Taking the interpreter down after that would free the objects of Ray,
    torch, gRPC and faiss in any order, and now and then one of them falls over another: a
    segmentation fault, and its exit code, after a success.
    """
    code = 1  # of an exception that nobody expected

    def leave() -> None:
        for output in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                output.flush()
        os._exit(code)

    atexit.register(leave)  # the first one registered is the last one called
    try:
        code = run()
    except SystemExit as stop:  # the shell was answered
        code = int(stop.code or 0)
    sys.exit(code)


def _run(command: Any, program: str, arguments: Sequence[str]) -> int:
    name = Path(program).stem
    # gRPC reads it when it comes up: before Ray, where a command asks Milvus first.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    bypass_proxies()
    turn_off_telemetry()
    prepare_terminal()
    if f"_{name.upper()}_COMPLETE" in os.environ:
        command.main(prog_name=program)  # answers the shell, and exits
    try:
        with command.make_context(program, list(arguments)) as context:
            code: int | None = command.invoke(context)
        sys.stdout.flush()
        return code or 0
    except typer.Exit as stop:
        return stop.exit_code
    except typer.TyperException as error:
        place = getattr(error, "ctx", None)
        asked = place.command_path if place else program
        print(printable(f"{name}: {error.format_message()} ({asked} --help)"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # piped into head: nobody reads on, and nothing went wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stop:
        what_now = f"; {stop}" if isinstance(stop, Interrupted) else ""
        print(f"{name}: interrupted{what_now}", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, expected_errors()):
            said = str(error)
        elif is_of_a_place(error):
            said = cannot_write(error.filename or "the disk", error)
        else:
            raise
        print(printable(f"{name}: {said}", keep="\n"), file=sys.stderr)
        return 2
