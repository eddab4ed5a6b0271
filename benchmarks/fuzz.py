"""Reads damaged keypoint files of every format: only documented errors come out, soon, in bounds.

python -m benchmarks.fuzz [--times 10000] [--format trc ...]

Each file is read in a forked process with limits, as poise info reads it, half of the files by the
name of their format and half by their content; what could be read is described, and written back
with other numbers. Faults are any other error than Poise's own, more than 2 s of the processor,
more than 512 MiB, and the death of the process. A fault is found again by its number:
--format trc --only 123 --keep FOLDER.
"""

import argparse
import gc
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.fuzz_damage import damaged
from benchmarks.fuzz_seeds import Seed, seeds, smpl_body

from poise.cli.motion.info import facts_of
from poise.motion.files import format_called, read
from poise.motion.format import Parts
from poise.runtime.errors import DataError
from poise.runtime.settings import VARIABLES

SECONDS: Final = 2.0
MIB: Final = 512.0
#: A process that says nothing for so long hangs.
_SILENCE_S: Final = 120.0
_ADDRESSES: Final = 4 * 2**30
_NO_MEMORY: Final = "needs more memory than there is"


@dataclass(frozen=True)
class Outcome:
    """What came of a file.

    Attributes:
        number: of the file.
        fault: what must not be; empty where all is well.
        said: the error; empty where there was a motion.
    """

    number: int
    fault: str
    said: str
    seconds: float
    mib: float


@dataclass
class Found:
    """What came of all files of a format."""

    name: str
    times: int = 0
    motions: int = 0
    slowest_s: float = 0.0
    largest_mib: float = 0.0
    faults: list[Outcome] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def add(self, one: Outcome) -> None:
        """Count a file."""
        self.times += 1
        self.motions += not one.said and not one.fault
        self.slowest_s = max(self.slowest_s, one.seconds)
        self.largest_mib = max(self.largest_mib, one.mib)
        self.said.add(one.said)
        if one.fault:
            self.faults.append(one)

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.times:,} | {self.motions:,} | {self.slowest_s * 1e3:.0f} | "
            f"{self.largest_mib:.0f} | {len(self.faults)} |"
        )


def fuzz(name: str, times: int, first: int = 0) -> Found:
    """Read so many damaged files of a format, from one number on."""
    known, found = seeds(), Found(name)
    # Forked from a process that has nothing but imports: no threads, no locks that are held.
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload([__name__, "pandas", "h5py", "pyarrow.parquet"])
    number, end = first, first + times
    while number < end:
        here, there = fork.Pipe(duplex=False)
        child = fork.Process(target=_serve, args=(there, known, name, number, end))
        child.start()
        there.close()
        try:
            while number < end:
                if not here.poll(_SILENCE_S):
                    found.add(Outcome(number, "hangs", "", _SILENCE_S, 0.0))
                    break
                found.add(here.recv())
                number += 1
        except EOFError:
            child.join()
            found.add(Outcome(number, f"its process died ({child.exitcode})", "", 0.0, 0.0))
        number += number < end
        child.kill()
        child.join()
        here.close()
    return found


def case(known: dict[str, list[Seed]], name: str, number: int) -> tuple[Seed, bool]:
    """Return a damaged file by its number, and whether it is read by its format's name."""
    rng = Random(f"{name} {number}")  # noqa: S311
    others = [content for some in known.values() for one in some for content in one.files.values()]
    return damaged(rng.choice(known[name]), others, rng), rng.random() < 0.5


def put(seed: Seed, folder: Path) -> Path:
    """Write a file or folder into a folder, and return its path."""
    path = folder / seed.name
    if seed.is_folder:
        path.mkdir()
    for name, content in seed.files.items():
        ((path / name) if seed.is_folder else path).write_bytes(content)
    return path


def _serve(pipe: Connection, known: dict[str, list[Seed]], name: str, first: int, end: int) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as body:
        os.environ[VARIABLES["smpl"]] = str(put(smpl_body(), Path(body)))
        for seed in known[name]:  # what is imported late, and buffers, count for no file
            path = put(seed, Path(folder))
            with suppress(DataError):
                _try(path, name)
            _remove(path)
        base = _memory("VmSize") * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (int(base) + _ADDRESSES,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in range(first, end):
            seed, by_name = case(known, name, number)
            path = put(seed, Path(folder))
            pipe.send(_measured(number, path, name if by_name else None))
            _remove(path)


def _measured(number: int, path: Path, name: str | None) -> Outcome:
    if number % 50 == 0:
        gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = _memory("VmRSS"), time.process_time()
    fault, said = "", ""
    try:
        _try(path, name)
    except DataError as error:
        said = str(error)
        if "\n" in said or "Error" in said.replace(str(path), "") or _NO_MEMORY in said:
            fault = f"says {said!r}"
    except BaseException as error:
        fault = _where(error)
    seconds, mib = time.process_time() - started, _memory("VmHWM") - before
    if seconds > SECONDS or mib > MIB:
        fault = fault or f"{seconds:.1f} s, {mib:.0f} MiB"
    return Outcome(number, fault, said.replace(str(path), "FILE"), seconds, mib)


def _where(error: BaseException) -> str:
    """Say which line of Poise an error passed last, and what it is."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if "/poise" in one.filename] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}: {type(error).__name__}: {error}"[
        :300
    ]


def _try(path: Path, name: str | None) -> None:
    motion = read(path, format=name)
    facts_of(motion)
    form = format_called(motion.format)
    if form.write is None:
        return
    for poses in (motion.poses_FPJD, motion.poses_FPJD + 1.0):
        written = form.write(motion.with_poses(poses))
        if not isinstance(written, bytes):
            list(written.parts if isinstance(written, Parts) else written)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _memory(field: str) -> float:
    """Return a figure of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main(given: Sequence[str] | None = None) -> int:
    """Fuzz; return 1 where there are faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10_000)
    parser.add_argument("--format", nargs="+", default=None)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, default=None, help="this file alone, in this process")
    parser.add_argument("--keep", type=Path, default=None, help="where to put the file of --only")
    parser.add_argument("--said", action="store_true", help="print all that was said")
    args = parser.parse_args(given)
    names = args.format or list(seeds())
    if args.only is not None:
        keep = args.keep or Path(tempfile.mkdtemp())
        keep.mkdir(exist_ok=True, parents=True)
        seed, by_name = case(seeds(), names[0], args.only)
        path = put(seed, keep)
        print(path, "by name" if by_name else "by content")
        _try(path, names[0] if by_name else None)
        return 0
    print("| format | files | read | slowest, ms | most, MiB | faults |\n|---|---|---|---|---|---|")
    faults = 0
    for name in names:
        found = fuzz(name, args.times, args.first)
        print(found, flush=True)
        for kind in dict.fromkeys(one.fault[:40] for one in found.faults):
            alike = [one for one in found.faults if one.fault[:40] == kind]
            print(f"{len(alike)} as --only {alike[0].number}: {alike[0].fault}")
        if args.said:
            print(*sorted(found.said), sep="\n")
        faults += len(found.faults)
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
