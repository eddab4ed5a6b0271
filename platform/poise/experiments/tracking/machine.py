"""Where a trial runs, and how busy that machine is, under MLflow's names for such metrics."""

import platform
import socket
from contextlib import suppress

import psutil
import torch

from poise.runtime.machine import processor

_MB = 1e6


def machine(device: str) -> dict[str, str]:
    """Return what a reader of a result asks about the machine.

    Args:
        device: that training uses, ``cpu`` or ``cuda``.
    """
    psutil.cpu_percent(None)  # `usage` tells what came since the last call
    told = {
        "host": socket.gethostname(),
        "system": platform.platform(terse=True),
        "processor": processor(),
        "cpus": str(psutil.cpu_count() or ""),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
    }
    return {name: text for name, text in told.items() if text}


def usage() -> dict[str, float]:
    """Return how busy the machine was since the last call, and its memory now; takes under 1 ms."""
    memory = psutil.virtual_memory()
    found = {
        "cpu_utilization_percentage": psutil.cpu_percent(None),
        "system_memory_usage_megabytes": memory.used / _MB,
        "system_memory_usage_percentage": memory.percent,
        "process_memory_usage_megabytes": psutil.Process().memory_info().rss / _MB,
    }
    if torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        found["gpu_0_memory_usage_megabytes"] = (total - free) / _MB
        found["gpu_0_memory_usage_percentage"] = 100 * (total - free) / total
        # What asks the driver about it is a package that need not be installed.
        with suppress(ImportError, RuntimeError):
            found["gpu_0_utilization_percentage"] = float(torch.cuda.utilization())
            found["gpu_0_power_usage_watts"] = torch.cuda.power_draw() / 1000
    return found
