"""Keypoint files in, clean ones beside them out: which file goes where, and many side by side."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from poise.motion.files import format_called, lost, read, writer
from poise.motion.finding import MARK, Found, found_in
from poise.motion.format import Format
from poise.motion.motion import Motion
from poise.refining.options import Options
from poise.refining.refine import Refining, refine
from poise.refining.reporting.page import page
from poise.refining.reporting.report import Report, report_of
from poise.runtime.errors import DataError, expected_errors
from poise.runtime.places import cannot_write, is_of_a_place, must_be_free


@dataclass(frozen=True)
class Task:
    """A file to refine.

    Attributes:
        found: a file, or a folder that is one recording.
        output: where it goes.
        replaces: whether what is there may be written over.
    """

    found: Found
    output: Path
    replaces: bool = False

    @property
    def source(self) -> Path:
        """What is refined."""
        return self.found.path

    @property
    def done(self) -> bool:
        """Whether the output is there, and younger than the source."""
        try:
            return self.output.stat().st_mtime >= self.source.stat().st_mtime
        except OSError:
            return False


@dataclass(frozen=True)
class Extras:
    """What is made beside a refined file: see `poise.refining.options.Options` for the rest.

    Attributes:
        reading: options of `poise.motion.files.read`.
        plot: a PNG for one file, a folder of them for several; None makes none.
        page: an HTML page, likewise.
        overwrite: whether pictures and pages that are there may be written over.
    """

    reading: Mapping[str, Any] = field(default_factory=dict)
    plot: Path | None = None
    page: Path | None = None
    overwrite: bool = False

    def files_of(self, source: Path) -> dict[str, Path]:
        """Return where the picture and the page of a file go, by their endings."""
        places = {".png": self.plot, ".html": self.page}
        return {
            ending: place if place.suffix == ending else place / f"{source.name}{ending}"
            for ending, place in places.items()
            if place is not None
        }


@dataclass(frozen=True)
class Done:
    """What became of a file: a report, or what was wrong with it, or it is no keypoint file."""

    task: Task
    report: Report | None = None
    wrong: str = ""


def tasks_of(
    inputs: Sequence[str], output: Path | None, in_place: bool, overwrite: bool
) -> list[Task]:
    """Find the files to refine, and say where each goes.

    Args:
        inputs: files, folders (recordings, or of recordings at any depth) and patterns.
        output: a file for one input, a folder for several; None puts them beside their sources.
        in_place: write over the sources.
        overwrite: write over what is there already.

    Raises:
        DataError: an input is missing, or two would be written to one place, or over a source.
    """
    found = [one for text in inputs for one in found_in(text)]
    if not found:
        raise DataError(f"{' '.join(inputs)}: no files in it")
    if in_place and output is not None:
        raise DataError("--in-place and --output exclude each other")
    one_file = len(found) == 1 and not found[0].listed
    # A file without an ending is of no format: it is a folder to put files into.
    folder = output is not None and (output.is_dir() or not output.suffix)
    into = not one_file or (folder and not found[0].path.is_dir())
    tasks: list[Task] = []
    for one in found:
        target = one.path if in_place else _beside(one.path)
        if output is not None:
            target = output / one.below if into else output
        tasks.append(Task(one, target, in_place or overwrite))
    _check(tasks, in_place)
    return tasks


def _beside(source: Path) -> Path:
    whole = source.absolute()
    suffix = "" if whole.is_dir() else source.suffix
    stem = whole.name.removesuffix(suffix)
    return source.parent / f"{stem}{MARK}{suffix}" if source.name else whole.with_name(stem + MARK)


def _check(tasks: Sequence[Task], in_place: bool) -> None:
    places: dict[Path, Path] = {}
    sources = {one.source.resolve() for one in tasks}
    for task in tasks:
        place = task.output.resolve()
        if place in places:
            raise DataError(
                f"{task.source} and {places[place]} would both be written to {task.output}; name "
                "another folder with -o, or refine them one by one"
            )
        places[place] = task.source
        if not in_place and place in sources:
            raise DataError(
                f"{task.output}: is an input; name another file with -o, or take --in-place"
            )


def refine_file(
    task: Task, options: Options, extras: Extras, at: Callable[[str], None] = lambda stage: None
) -> Done:
    """Refine one file; never raise what can be said in a line. ``at`` gets each stage's name."""
    try:
        if task.found.listed and not task.found.is_known:
            return Done(task)
        must_be_free(task.output, task.replaces)
        for file in extras.files_of(task.source).values():
            must_be_free(file, extras.overwrite)
        at("reading")
        motion = read(task.source, **extras.reading)
        form = _writer(motion, task)
        at("refining")
        refining = refine(motion, options)
        at("writing")
        refining.after.write(task.output, form.name)
        at("measuring")
        report = report_of(refining, options, str(task.output))
        if form.name != motion.format:
            missing = [f"not in {task.output.name}: {line}" for line in lost(motion, form)]
            report = replace(report, notes=[*report.notes, *missing])
        return Done(task, replace(report, pictures=_pictures(task, refining, report, extras)))
    except expected_errors() as error:
        said = str(error)
        return Done(task, wrong=said if str(task.source) in said else f"{task.source}: {said}")
    except MemoryError:
        return Done(
            task, wrong=f"{task.source}: needs more memory than there is; cut it into takes"
        )
    except OSError as error:
        if not is_of_a_place(error):
            raise
        return Done(task, wrong=cannot_write(task.output, error))


def _pictures(task: Task, refining: Refining, report: Report, extras: Extras) -> list[str]:
    """Make the plot and the page that were asked for; return where they are."""
    from poise.runtime import storage  # pyarrow takes half a second to import

    made: list[str] = []
    if not any(person.frames for person in report.people):
        return made
    for ending, file in extras.files_of(task.source).items():
        if ending == ".png":
            from poise.refining.reporting.plot import plot  # imports matplotlib

            content = plot(refining)
        else:
            content = page(refining, report).encode()
        storage.write_bytes(str(file.absolute()), content)
        made.append(str(file))
    return made


def _writer(motion: Motion, task: Task) -> Format:
    own = format_called(motion.format)
    if own.write is not None and task.output.name in (task.source.name, _beside(task.source).name):
        return own  # whatever the source is called, and whether it is a folder
    try:
        return writer(motion, task.output)
    except DataError as error:
        if task.output.suffix != task.source.suffix:
            raise
        raise DataError(f"{error}; name such a file with -o") from None


def refine_files(
    tasks: Sequence[Task],
    options: Options,
    extras: Extras,
    most: int | None = None,
    at: Callable[[str], None] = lambda stage: None,
) -> Iterator[Done]:
    """Refine files, a process a core, and yield them as they are done.

    ``at`` gets the stages of files that are refined in this process, one after another.
    """
    processes = min(most or os.cpu_count() or 1, len(tasks))
    if processes <= 1:
        for task in tasks:
            yield refine_file(task, options, extras, at)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _alone, (options.is_filter,)) as pool:
        waiting = [(task, pool.submit(refine_file, task, options, extras)) for task in tasks]
        try:
            for task, future in waiting:
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield Done(
                        task,
                        wrong=f"{task.source}: its process was ended, perhaps for want of memory; "
                        "refine it by itself",
                    )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _alone(is_filter: bool) -> None:
    """Make a process use one core, and leave Ctrl-C to the one that started it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not is_filter:
        import torch

        torch.set_num_threads(1)
