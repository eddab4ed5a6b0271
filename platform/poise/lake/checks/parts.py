"""Parts as files: there, unchanged since they were written, of the right schema, readable."""

import hashlib
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from poise.lake.checks.report import Report
from poise.runtime import storage
from poise.runtime.errors import in_short

_NAME = re.compile(r"part-\d+-([0-9a-f]{6,64})\.parquet")
_CHUNK = 8 * 2**20


def tables(
    path: str, where: str, schema: pa.Schema, again: str, report: Report
) -> Iterator[pa.Table]:
    """Yield a part's row groups, one in memory at a time; what cannot be read is a finding.

    Args:
        path: of the part.
        where: how the report calls it.
        schema: what it must have; nothing is yielded where it has not.
        again: what to do about a broken part.
        report: receives the findings.
    """
    filesystem, inner = storage.resolve(path)
    try:
        if filesystem.get_file_info(inner).type is fs.FileType.Unknown:
            raise OSError("it is no file")  # a pipe or a device has no end
        _check_content(path, where, again, report)
        with filesystem.open_input_file(inner) as file, pq.ParquetFile(file) as part:
            difference = _difference(part.schema_arrow, schema)
            if difference:
                report.add("error", "schema", where, difference, again)
                return
            for group in range(part.num_row_groups):
                try:
                    yield part.read_row_group(group)
                except (pa.ArrowException, OSError) as error:
                    problem = f"row group {group} cannot be read ({in_short(error)})"
                    report.add("error", "unreadable", where, problem, again)
    except FileNotFoundError:
        report.add("error", "missing-part", where, "the manifest names it, it is not there", again)
    except (pa.ArrowException, OSError) as error:
        report.add("error", "unreadable", where, f"cannot be read ({in_short(error)})", again)


def _check_content(path: str, where: str, again: str, report: Report) -> None:
    match = _NAME.fullmatch(path.rsplit("/", 1)[-1])
    if match is None:
        problem = "its name is not that of a part, so its content cannot be checked"
        report.add("warning", "part-name", where, problem, again)
        return
    digest = hashlib.sha256()
    filesystem, inner = storage.resolve(path)
    with filesystem.open_input_stream(inner, compression=None) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    if not digest.hexdigest().startswith(match[1]):
        problem = "its content is not what was written: the hash in its name differs"
        report.add("error", "content", where, problem, again)


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    if found.equals(wanted):
        return ""
    problems = [f"no column {name}" for name in wanted.names if name not in found.names]
    problems += [f"unknown column {name}" for name in found.names if name not in wanted.names]
    for name in wanted.names:
        if name in found.names and not found.field(name).equals(wanted.field(name)):
            problems.append(
                f"column {name} is {_field(found.field(name))}, not {_field(wanted.field(name))}"
            )
    return "; ".join(problems) or "its columns are in another order"


def _field(field: "pa.Field[pa.DataType]") -> str:
    return str(field.type) + ("" if field.nullable else " not null")
