"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

_PROGRAM = """
import resource

import torch
from poise_models import catalogue
from poise_models.base.clip import Clip
from poise_models.base.pose_spec import PoseSpec
from poise_models.fast.memory import keep_freed_memory

network = catalogue.build("synspp", PoseSpec(17, 3), {"layers": 1})
clip = Clip(torch.randn(60, 51))


def faults():
    for _ in range(3):
        network.refine([clip])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        network.refine([clip])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


returned = faults()
keep_freed_memory()
print(returned, faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_pages_are_not_mapped_again() -> None:
    said = subprocess.check_output([sys.executable, "-c", _PROGRAM], text=True)
    returned, kept = map(int, said.split())
    assert kept < 1000 < returned, said
