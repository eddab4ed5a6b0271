"""``--bulk``, which the commands that fill a PVD share."""

import argparse

from poise.pvd.options import BulkFolder
from poise_retrieval.errors import ImportFailedError


def add_bulk(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--bulk", metavar="FOLDER",
        help="have Milvus read files instead of sending it rows, which passes by its proxy and "
        "its log; for a cluster that others use meanwhile. FOLDER, a path or s3://bucket/prefix, "
        "is where the files lie until then, and the server must be able to read it: in the bucket "
        "in which that Milvus keeps its own data, or, where it keeps them on a disk, a folder "
        "there. Not with the embedded Milvus, and one that is interrupted begins anew")  # fmt: skip
    add("--bulk-seen-as", metavar="PATH",
        help="what FOLDER is called where the server runs, for example in its container (default: "
        "the same path; of s3://bucket/prefix, prefix)")  # fmt: skip


def bulk_of(args: argparse.Namespace) -> BulkFolder | None:
    """Return the folder that was asked for; None where rows are to be sent.

    Raises:
        ImportFailedError: with these options Milvus cannot import.
    """
    if args.bulk is None:
        if args.bulk_seen_as is not None:
            raise ImportFailedError("--bulk-seen-as is another name of --bulk's folder: give both")
        return None
    if args.milvus_uri is None:
        raise ImportFailedError(
            "the embedded Milvus cannot import files: leave --bulk out, or name a full-size Milvus "
            "with --milvus-uri"
        )
    return BulkFolder(args.bulk, args.bulk_seen_as)
