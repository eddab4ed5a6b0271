"""Reports as files."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from poise.report.compare import comparison
from poise.report.pages.markdown import markdown
from poise.report.pages.page import page
from poise.report.report import Wanted, report
from poise.report.sweeps.source import opened
from poise.runtime import storage

PAGE, TEXT = "report.html", "report.md"


def write(names: Sequence[str], wanted: Wanted, folder: Path | None) -> list[str]:
    """Write the report of one sweep, or what changed between two.

    Args:
        names: of one sweep or two, see `poise.report.sweeps.source`.
        wanted: what it is to hold.
        folder: where to; None is ``<home>/reports/<sweep>``.

    Returns:
        The files.
    """
    with ExitStack() as stack:
        sweeps = [stack.enter_context(opened(name, wanted.settings)) for name in names]
        if len(sweeps) == 1:
            document = report(sweeps[0], wanted)
        else:
            document = comparison(sweeps[0], sweeps[1], wanted.command)
        name = "-to-".join(one.name for one in sweeps)
        place = str(folder.absolute() if folder else wanted.settings.home / "reports" / name)
    files = {TEXT: markdown(document, PAGE), PAGE: page(document)}
    for file, text in files.items():
        storage.write_bytes(storage.join(place, file), text.encode())
    return [storage.join(place, file) for file in files]
