"""Every part of the latency is measured and added up."""

import pytest

from poise.analysis.inputs import AnalysisInputs
from poise.analysis.latency import PARTS, latencies, latency_table
from poise.runtime.errors import DataError


def test_every_part_of_the_latency_is_there(inputs: AnalysisInputs) -> None:
    found = latencies(inputs, fps=12.0, turns=2, batches=(60, 1))
    assert [(one.part, one.windows) for one in found] == [
        (part, size) for size in (60, 1) for part in PARTS
    ]
    assert all(one.milliseconds > 0 for one in found)
    wait = [one.milliseconds for one in found if one.part == "wait"]
    assert wait == pytest.approx([8000 / 12, 8000 / 12])
    table = latency_table(found).splitlines()
    assert len(table) == 2 + len(PARTS) + 3
    assert table[-1].count("100.0%") == 2
    with pytest.raises(DataError, match="has 99 windows, not 1416"):
        latencies(inputs, fps=12.0)
    with pytest.raises(DataError, match="above 0"):
        latencies(inputs, fps=0.0)
