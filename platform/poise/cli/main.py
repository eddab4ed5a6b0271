"""``poise``: the commands beside the jobs."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from poise.runtime.errors import PoiseError
from poise_retrieval.errors import RetrievalError

#: Modules of this package; each has ``add(commands)`` and ``run(args)``.
COMMANDS = ("tracks", "fetch", "convert", "check", "pvd", "export")

EPILOG = """in the order of work:
  poise tracks                          what Poise can read
  poise fetch cmu --subjects 07 --to cmu   open motion capture data
  poise convert cmu --out data          motion capture files to a track
  poise tracks data                     what a folder holds
  python jobs/ingest.py --data data     raw tracks to the lake
  poise check .poise/lake               is the lake sound?
  poise pvd verify .poise/lake uiprmd/kinect/3D   is its Pose Vector Database?
  poise export poise-uiprmd-kinect-3D@champion out.onnx   a trained network, to run anywhere

Every command explains itself with --help. Exit codes: 0 well, 1 problems found, 2 could not work.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the console script."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        args = _parser(given).parse_args(given)
        level = logging.INFO if args.verbose else logging.WARNING
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except (PoiseError, RetrievalError) as error:
        print(f"poise: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # piped into head: nobody reads on, and nothing went wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("poise: interrupted", file=sys.stderr)
        return 130


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poise",
        description="Refine human motion: look at data, bring it in, check it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tell more on stderr")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    # Some commands take seconds to import: only what was asked for is.
    asked = [name for name in COMMANDS if name in given[:2]]
    for name in asked or COMMANDS:
        import_module(f"poise.cli.{name}").add(commands)
    return parser
