"""``poise formats``: which keypoint formats are read and written."""

from typing import Annotated, Any

import typer

from poise.cli.shared.options import JsonOutput
from poise.cli.shared.output import print_json, print_table, say

EXAMPLES = """
examples:
  poise formats                    all of them
  poise formats openpose           what each field of a file means
  poise formats --json

columns:
  files      endings of written files; / is a folder. A file is known by its
             content, whatever it is called
  holds      what a file of the format can say beside coordinates
"""


def formats(
    name: Annotated[
        str | None, typer.Argument(metavar="[FORMAT]", help="show the fields of this one")
    ] = None,
    json: JsonOutput = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="print the table of docs/formats.md", hidden=True)
    ] = False,
) -> None:
    """List the keypoint formats that are read and written."""
    from poise.motion.files import format_called
    from poise.motion.files import formats as known

    shown = [format_called(name)] if name else list(known())
    if json:
        print_json([_facts(one) for one in shown])
    elif markdown:
        say(as_markdown())
    elif name:
        facts = _facts(shown[0])
        say(f"{name}: {facts['about']}\n")
        print_table(("field", "meaning"), list(facts["fields"].items()), left=(0, 1))
    else:
        rows = [_row(one) for one in shown]
        print_table(("format", "", "files", "D", "holds", "of"), rows, left=(0, 1, 2, 3, 4, 5))


def as_markdown() -> str:
    """Return all formats and their fields as Markdown."""
    from poise.motion.files import formats as known

    lines = ["| format | | files | D | of |", "|---|---|---|---|---|"]
    for one in known():
        name, done, files, dims, _, about = _row(one)
        lines.append(f"| [`{name}`](#{name}) | {done} | `{files}` | {dims} | {about} |")
    for one in known():
        facts = _facts(one)
        lines += ["", f"### {one.name}", "", f"{one.about}. Holds {_held(facts)}.", ""]
        lines += ["| field | meaning |", "|---|---|"]
        lines += [f"| {field} | {meaning} |" for field, meaning in one.fields.items()]
    return "\n".join(lines)


def _held(facts: dict[str, Any]) -> str:
    return ", ".join(["coordinates", *facts["holds"]])


def _row(one: Any) -> tuple[str, ...]:
    done = "read, written" if one.write and not one.only_over else "read"
    done = "read, written back" if one.only_over else done
    dims = ", ".join(map(str, one.dims))
    return one.name, done, " ".join(one.endings), dims, ", ".join(sorted(one.holds)), one.about


def _facts(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "about": one.about,
        "endings": list(one.endings),
        "written": one.write is not None,
        "only_over": list(one.only_over),
        "dimensions": list(one.dims),
        "holds": sorted(one.holds),
        "fields": dict(one.fields),
    }
