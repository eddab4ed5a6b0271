"""Is there a GPU, is torch built for it, and do they work together?"""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from poise.doctor.finding import Finding
from poise.runtime.settings import Settings

_DRIVER = Path("/proc/driver/nvidia/version")
_CUDA = re.compile(r"^cuda\b[^=]*=\s*(None|['\"][\d.]+['\"])", re.M)
_TRY_S = 7.0
#: A process of its own: a driver that hangs takes its caller along.
_TRY = (
    "import torch; n = torch.cuda.device_count(); torch.ones(8, device='cuda').sum().item();"
    "print(n, torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[1] // 2**30)"
)


def check(settings: Settings) -> Iterator[Finding]:
    """Compare the machine's GPU with torch's build, and use it once."""
    try:
        ours = version("torch")
    except PackageNotFoundError:
        return  # said among the packages
    cuda = _built_for()
    if not _DRIVER.exists():
        yield Finding("gpu", "skipped", f"no NVIDIA driver here; torch {ours} works on the CPU")
    elif cuda is None:
        yield Finding(
            "gpu.torch",
            "failed",
            f"this machine has a GPU, and torch {ours} is built for CPUs only",
            f"pip install --force-reinstall torch=={ours.partition('+')[0]}, from no index of "
            "builds for CPUs",
        )
    else:
        yield _tried(ours, cuda)


def _built_for() -> str | None:
    """Return the CUDA that torch is built for, read from its file: importing it takes seconds."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    found = _CUDA.search(Path(spec.origin).with_name("version.py").read_text())
    return None if found is None or found[1] == "None" else found[1].strip("'\"")


def _tried(ours: str, cuda: str) -> Finding:
    command = [sys.executable, "-P", "-c", _TRY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TRY_S, check=False)
        answer, said = done.stdout.strip(), (done.stderr.strip().splitlines() or [""])[-1]
    except subprocess.TimeoutExpired:
        answer, said = "", f"no answer within {_TRY_S:g} s"
    if answer:
        count, _, rest = answer.partition(" ")
        name, _, gib = rest.rpartition(" ")
        return Finding("gpu.torch", "ok", f"{count} x {name}, {gib} GiB; torch {ours}, CUDA {cuda}")
    return Finding(
        "gpu.torch",
        "failed",
        f"torch {ours} for CUDA {cuda} cannot use the GPU: {said.partition(': ')[2] or said}",
        "nvidia-smi says whether the driver works and for which CUDA it is; look at "
        "CUDA_VISIBLE_DEVICES, and install a torch for that CUDA",
    )
