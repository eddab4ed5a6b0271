#!/usr/bin/env python3
"""Bring raw tracks into the lake and their Pose Vector Database into Milvus."""

import argparse
import logging
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import _paths  # noqa: F401  (finds the source roots)

from poise.catalog.tracks import Track
from poise.cli.bulkoptions import add_bulk, bulk_of
from poise.ingest.sources import tracks_in
from poise.ingest.track import IngestOptions, ingest
from poise.pvd.options import FillOptions
from poise.runtime.cluster import connect
from poise.runtime.errors import PoiseError
from poise.runtime.settings import Settings
from poise_retrieval.errors import RetrievalError

EXAMPLES = """examples:
  jobs/ingest.py                                   every known track under $POISE_DATA, else a
                                                   synthetic one that needs no data at all
  jobs/ingest.py --data my_data --track uiprmd/kinect/3D
  jobs/ingest.py --milvus-uri http://milvus:19530 --writers 4 --lake s3://bucket/lake
  jobs/ingest.py --milvus-uri http://milvus:19530 --bulk s3://milvus-bucket/poise
                                                   a PVD of millions of rows
  jobs/ingest.py --track aist/spin/3D --no-pvd     sequences and windows only
  ray job submit --working-dir . jobs/ingest.py

A track that did not change since its last ingest is left alone. An ingest that was cut short is
taken up by the same command. What could not be read is named here and in manifest.json.
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    env = os.environ.get
    add("--track", action="append", metavar="DATASET/ESTIMATOR/REPRESENTATION",
        help="what to ingest, for example uiprmd/kinect/3D; may be given several times "
        "(default: every track of the data folder)")  # fmt: skip
    add("--data", type=Path, default=env("POISE_DATA") or None,
        help="folder of the raw tracks in the SmoothNet layout (default: $POISE_DATA)")  # fmt: skip
    add("--lake", help="folder or URI to write to (default: HOME/lake)")
    add("--home", type=Path, help="where Poise keeps things (default: $POISE_HOME, else .poise)")
    add("--milvus-uri", default=env("POISE_MILVUS_URI") or None,
        help="a Milvus (default: $POISE_MILVUS_URI, else an embedded server)")  # fmt: skip
    add("--writers", type=int, metavar="N", choices=range(1, 65),
        help="tasks writing to Milvus at once (one a CPU; embedded Milvus: one)")  # fmt: skip
    add_bulk(parser)
    add("--no-pvd", dest="pvd", action="store_false",
        help="sequences and windows only, without Milvus; neighbours are absent until the job runs "
        "again without this")  # fmt: skip
    add("--exclude", choices=("subject", "take"), default="subject",
        help="what a training window's neighbours must not share with it (subject); take, all "
        "cameras of one moment, is a weaker rule, only there to compare with")  # fmt: skip
    add("--force", action="store_true", help="ingest again although nothing changed")
    return parser.parse_args(arguments)


def chosen(names: list[str] | None, data: Path | None) -> list[Track]:
    """Return the tracks asked for, else those of the data folder, else the synthetic one."""
    if names:
        return [Track.parse(name) for name in names]
    return tracks_in(data) if data else [Track.parse("synthetic/simulated/3D")]


def main(arguments: list[str]) -> None:
    """Ingest track after track."""
    given = parse(arguments)
    bulk = bulk_of(given)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    clock = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - clock:6.1f} s] {line}", flush=True)

    Settings.use(home=given.home)
    settings = Settings.load(
        home=given.home, data=given.data, lake=given.lake, milvus_uri=given.milvus_uri
    )
    fill = FillOptions(given.writers, bulk)
    options = IngestOptions(given.force, given.pvd, given.exclude, fill)
    tracks = chosen(given.track, given.data)
    with ExitStack() as stack:
        if len(tracks) > 1:  # one cluster for all of them
            stack.enter_context(connect())
        for track in tracks:
            ingest(track, settings, options, say)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (PoiseError, RetrievalError) as error:
        sys.exit(f"ingest: {error}")
    except KeyboardInterrupt:
        print("ingest: interrupted; the same command takes up the work again", file=sys.stderr)
        sys.exit(130)
