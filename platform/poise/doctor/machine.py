"""What a machine has for Ray and for training: memory, shared memory, open files."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from poise.doctor.finding import Finding
from poise.runtime.settings import Settings

_GIB = 2**30
#: Of this much a trial or a replica is made; below, the kernel soon ends one.
_LITTLE_MEMORY, _NO_MEMORY = 2 * _GIB, _GIB // 2
#: What Ray keeps objects in, on Linux.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_LEAST_SHARED = _GIB
#: Files that Ray's own processes hold open, and those of one worker.
_FILES, _FILES_OF_A_WORKER = 256, 32
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def check(settings: Settings) -> Iterator[Finding]:
    """Look at memory, shared memory and the limit of open files."""
    yield _memory()
    yield _shared_memory()
    yield _open_files()


def _memory() -> Finding:
    there = psutil.virtual_memory()
    limits = [int(text) for text in map(_first_line, _LIMITS) if text.isdigit()]
    whole = min([there.total, *limits])
    free = min(there.available, whole)
    said = f"{free / _GIB:.1f} of {whole / _GIB:.1f} GiB free"
    if free >= _LITTLE_MEMORY:
        return Finding("machine.memory", "ok", said)
    return Finding(
        "machine.memory",
        "failed" if free < _NO_MEMORY else "warning",
        f"{said}: the system ends processes of trials when it runs out",
        "end other programs, take a larger machine, or stream_gb in a plan's resources",
    )


def _shared_memory() -> Finding:
    name = "machine.shared_memory"
    if not SHARED_MEMORY.is_dir():
        return Finding(name, "skipped", f"no {SHARED_MEMORY} on this system")
    there = os.statvfs(SHARED_MEMORY)
    free, whole = there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize
    said = f"{SHARED_MEMORY} has {free / _GIB:.1f} of {whole / _GIB:.1f} GiB free"
    if free >= _LEAST_SHARED:
        return Finding(name, "ok", said)
    return Finding(
        name,
        "warning",
        f"{said}: Ray puts its objects on the disk instead, many times slower",
        "a container: docker run --shm-size=8g; a machine: mount -o remount,size=8G /dev/shm",
    )


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _FILES + _FILES_OF_A_WORKER * (os.cpu_count() or 1)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Finding("machine.open_files", "ok", f"{soft if soft > 0 else 'any number'} allowed")
    most = "unlimited" if hard == resource.RLIM_INFINITY else min(hard, 65536)
    raised = hard == resource.RLIM_INFINITY or hard >= needed
    return Finding(
        "machine.open_files",
        "failed",
        f"a process may open {soft} files; Ray wants {needed:,} for {os.cpu_count()} CPUs",
        f"ulimit -n {65536 if most == 'unlimited' else most} before the command"
        if raised
        else f"the hard limit is {hard}: LimitNOFILE=65536 of the service, or "
        "/etc/security/limits.conf",
    )


def _first_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
