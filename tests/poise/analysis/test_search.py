"""Neighbours from a distance on, the loss ratio's curves and the parts of the latency."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.analysis.inputs import Material, Rows, load_material
from poise.analysis.latency import PARTS, latencies, latency_table
from poise.analysis.loss_ratio import ratio_plot, ratio_points, ratio_table
from poise.analysis.neighbour_distance import (
    irrelevant,
    nearest_from,
    neighbour_rows,
    neighbours_table,
)
from poise.checkpoints.checkpoint import ModelCard, pose_spec, save_checkpoint
from poise.evaluation.evaluate import Row, evaluate
from poise.experiments.grid import grid
from poise.experiments.plan import load_plan
from poise.experiments.records import SweepFolder, TrialResult
from poise.runtime.errors import DataError
from poise.runtime.settings import Settings
from poise.training_data.examples import Examples
from poise_models import catalogue


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    write_tiny_lake(folder / "lake")
    small = {"width": 8, "feed_forward": 8, "heads": 2, "layers": 1}
    refiner = catalogue.build("synspp", pose_spec(TRACK), small)
    card = ModelCard(str(TRACK), "synspp", refiner.settings(), lake=str(folder / "lake"))
    save_checkpoint(refiner, card, str(folder / "model"))
    return load_material(str(folder / "model"), Settings.load(home=folder / "home"))


def brute_force(
    queries: torch.Tensor, rows: Rows, subjects: list[str], floor: float
) -> tuple[np.ndarray, np.ndarray]:
    gap = ((queries.double()[:, None] - rows.vectors_NE.double()) ** 2).sum(-1).numpy()
    own = np.array(subjects)[:, None] == np.array(rows.subjects)[None]
    gap[own | (gap < floor)] = np.inf
    place = gap.argmin(1)
    least = gap.min(1)
    return np.where(np.isfinite(least), place, -1), least


def test_the_range_search_is_brute_force() -> None:
    random = torch.Generator().manual_seed(0)
    vectors, queries = (
        torch.randn(700, 12, generator=random),
        torch.randn(300, 12, generator=random),
    )
    rows = Rows(torch.arange(700) + 1000, vectors + 5, [f"s{n % 7}" for n in range(700)])
    queries = queries + 5
    subjects = [f"s{n % 9}" for n in range(300)]
    floors = (0.0, 6.0, 20.0, 1e9)
    places, distances = nearest_from(queries, rows, subjects, floors)
    for column, floor in enumerate(floors):
        place, least = brute_force(queries, rows, subjects, floor)
        assert np.array_equal(places[:, column].numpy(), place)
        assert np.allclose(distances[:, column].numpy(), least, rtol=1e-4)
    assert (places[:, -1] == -1).all()
    assert distances[:, -1].isinf().all()


def test_the_subject_rule_holds_for_copies_and_for_random_poses() -> None:
    vectors = torch.randn(60, 5)
    names = [f"s{n // 20}" for n in range(60)]
    rows = Rows(torch.arange(60), vectors, names)
    places, distances = nearest_from(vectors, rows, names, (0.0,))
    assert all(
        names[place] != name for place, name in zip(places[:, 0].tolist(), names, strict=True)
    )
    assert (distances > 0).all()
    drawn = irrelevant(rows, names, seed=0)
    assert all(names[place] != name for place, name in zip(drawn.tolist(), names, strict=True))
    assert not torch.equal(drawn, irrelevant(rows, names, seed=1))
    alone = Rows(rows.ids_N, vectors, ["one"] * 60)
    assert (irrelevant(alone, ["one"] * 3, seed=0) == -1).all()


def test_a_row_for_each_kind_of_neighbour(material: Material) -> None:
    found = neighbour_rows(material, (0.0, 0.3, 1e6))
    nearest, farther, beyond, drawn, nothing = found
    assert nearest.distance is not None
    assert farther.distance is not None
    assert nearest.distance < farther.distance
    assert farther.distance >= 0.3
    windows = len(material.test.names) * (40 - 7)
    assert (nearest.missing, beyond.missing, nothing.missing) == (0, windows, windows)
    assert beyond.row.mpjpe == pytest.approx(nothing.row.mpjpe)
    assert nothing.distance is None
    assert drawn.distance is not None
    test = material.test
    alone = evaluate(
        material.refiner, Examples(test.names, test.clips(None), test.truths()), TRACK, 0
    )
    assert nothing.row.mpjpe == pytest.approx(alone.row.mpjpe)
    assert "distance >= 0.3" in neighbours_table(found)


def test_every_part_of_the_latency_is_there(material: Material) -> None:
    found = latencies(material, fps=12.0, turns=2, batches=(60, 1))
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
        latencies(material, fps=12.0)
    with pytest.raises(DataError, match="above 0"):
        latencies(material, fps=0.0)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The records of fig1a as a finished sweep leaves them; Accel falls, MPJPE rises."""
    plan = load_plan("fig1a")
    specs = grid(plan, dict.fromkeys(plan.tracks, "hash"))
    folder = SweepFolder(str(tmp_path / "sweep"))
    folder.begin(plan, [spec.key for spec in specs], "commit")
    for spec in specs:
        trial = folder.trial(spec.key)
        trial.begin(spec)
        factor = spec.settings["smoothness"]
        row = Row(spec.track, "synspp", 0, 50 + factor, 40, 9 - factor, 9, 100, 10, 1.0, "mm")
        trial.finish(TrialResult("finished", 0, 1, row=row))
    return tmp_path / "sweep"


def test_the_curves_are_those_of_the_trials(sweep: Path) -> None:
    points = ratio_points(sweep)
    assert [point.smoothness for point in points] == [0.0, 0.1, 0.5, 1.0, 5.0]
    assert [point.mpjpe for point in points] == pytest.approx([50, 50.1, 50.5, 51, 55])
    assert [point.accel for point in points] == pytest.approx([9, 8.9, 8.5, 8, 4])
    assert "1 : 0" in ratio_table(points)
    assert ratio_plot(points).startswith(b"\x89PNG")


def test_a_curve_takes_two_values_and_one_kind_of_trial(sweep: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no sweep"):
        ratio_points(tmp_path)
    header = json.loads((sweep / "sweep.json").read_text())
    key = header["trials"][0]
    spec = json.loads((sweep / "trials" / key / "spec.json").read_text())
    spec["settings"]["width"] = 32
    (sweep / "trials" / key / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(DataError, match="differ in more"):
        ratio_points(sweep)
    (sweep / "sweep.json").write_text(json.dumps({**header, "trials": [key]}))
    with pytest.raises(DataError, match="of 1 values"):
        ratio_points(sweep)


def test_table_seven_has_its_seven_rows() -> None:
    plan = load_plan("table7").model_copy(update={"seeds": (0,)})
    specs = grid(plan, dict.fromkeys(plan.tracks, "hash"))
    switches = ("retrieval", "distance_encoding", "refine_decoder", "quality_encoding")
    ticks = ["".join(str(int(spec.settings[name])) for name in switches) for spec in specs]
    assert ticks == ["0000", "1000", "1100", "0010", "0011", "1010", "1111"]
