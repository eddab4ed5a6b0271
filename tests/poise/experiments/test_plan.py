import re
from pathlib import Path

import pytest
from tests.support.plan_files import MANIFESTS, PLANS, SMALL, TRACK, plan_of

from poise.catalog import published
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.experiments.grid import grid
from poise.experiments.plan import load_plan
from poise.runtime.errors import PlanError
from poise_models import catalogue

_EMA = "search.space.budget.ema"


class AnyManifest(dict[str, str]):
    """A manifest for every track that a plan may name."""

    def __missing__(self, track: str) -> str:
        return f"manifest of {track}"


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.yaml")))
def test_the_plans_we_ship_are_valid(name: str) -> None:
    plan = load_plan(name)
    specs = grid(plan, AnyManifest())
    places = [(spec.track, catalogue.names().index(spec.refiner)) for spec in specs]
    assert places == sorted(places, key=lambda place: (plan.tracks.index(place[0]), place[1]))
    assert len({spec.key for spec in specs}) == len(specs)


def test_the_full_plan_compares_every_refiner() -> None:
    specs = grid(load_plan("demo-full"), MANIFESTS)
    assert list(dict.fromkeys(spec.refiner for spec in specs)) == list(catalogue.names())


def test_the_full_plan_is_the_papers_training() -> None:
    specs = grid(load_plan("demo-full"), MANIFESTS)
    [synspp] = [spec for spec in specs if spec.refiner == "synspp"]
    assert synspp.budget is not None
    assert (synspp.budget.epochs, synspp.budget.batch, synspp.budget.decay) == (30, 6000, 0.9)
    assert synspp.settings["width"] == 128
    assert synspp.settings["layers"] == 5


@pytest.mark.parametrize(
    ("change", "path", "hint"),
    [
        ("epoch: 3", "epoch", None),
        ("extend: demo", "extend", "extends"),
        ("budget: {epoch: 3}", "budget.epoch", "epochs"),
        ("refiners: [{name: input, setings: {}}]", "refiners[0].setings", "settings"),
        (
            "refiners: [{name: input, budget: {lerning_rate: 1}}]",
            "refiners[0].budget.lerning_rate",
            "learning_rate",
        ),
        ("resources: {gpus: 1}", "resources.gpus", "gpu"),
        ("tracks: []", "tracks", None),
        ("tracks: [h36m/fcn]", "tracks[0]", None),
        ("seeds: [zero]", "seeds[0]", None),
        ("budget: {epochs: 0}", "budget.epochs", None),
        ("search: {space: {}}", "search.space", None),
        ("search: {space: {budget: {ema: {choice: [0]}}}}", _EMA, None),
        ("search: {space: {budget: {ema: {choise: [0, 1]}}}}", f"{_EMA}.choise", "choice"),
        ("search: {space: {sizes: {}}}", "search.space.sizes", None),
        ("name: ../up", "name", None),
        ("validation: {folds: 1}", "validation.folds", None),
        ("validation: {fold: 3}", "validation.fold", "folds"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(
    tmp_path: Path, change: str, path: str, hint: str | None
) -> None:
    keep = [line for line in SMALL.splitlines() if not line.startswith(change.split(":")[0] + ":")]
    with pytest.raises(PlanError) as caught:
        plan_of(tmp_path, "\n".join([*keep, change]))
    assert re.search(rf"^\s*{re.escape(path)}: ", str(caught.value), re.MULTILINE)
    if hint:
        assert f"did you mean {hint}?" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "validation: {folds: 3, subjects: [S1]}",
            r"leave validation\.subjects \(--hold-out\) out",
        ),
        (
            "validation: {folds: 3}\nresources: {stream_gb: 1}",
            r"leave resources\.stream_gb out",
        ),
        ("resources: {workers: 2, gpu: 0.5}", r"resources: .*workers share no GPU"),
    ],
)
def test_what_cannot_go_together_is_refused(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_of(tmp_path, f"{SMALL}\n{change}")


@pytest.mark.parametrize("name", ["my plan", "-x", "zoë", "p" * 101])
def test_a_file_that_can_name_no_folder_is_told_to_name_one(tmp_path: Path, name: str) -> None:
    lines = "\n".join(line for line in SMALL.splitlines() if not line.startswith("name:"))
    (tmp_path / f"{name}.yaml").write_text(lines)
    with pytest.raises(PlanError, match=r"name: .*cannot be a folder's name: write one of letters"):
        load_plan(tmp_path / f"{name}.yaml")


def test_a_plan_may_be_named_like_an_estimator(tmp_path: Path) -> None:
    assert plan_of(tmp_path, SMALL.replace("name: small", "name: vitpose+_b-2.1")).tracks


@pytest.mark.parametrize(
    "text", ["", "- a list", "a: [b", "? [a, b]\n: c", "!!python/object/apply:os.getcwd []"]
)
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PlanError):
        plan_of(tmp_path, text)


def test_an_unknown_plan_names_the_close_one() -> None:
    with pytest.raises(PlanError, match=r"did you mean demo\?"):
        load_plan("dmeo")


@pytest.mark.parametrize(
    ("refiners", "where"),
    [
        ("[sinspp]", r"refiners\[0\]\.name: .*synspp"),
        ("[{name: synspp, settings: {widht: 3}}]", r"refiners\[0\]\.settings: .*'widht'"),
        ("[{name: synspp, settings: {window: 1}}]", r"refiners\[0\]\.settings: .*at least 3"),
    ],
)
def test_refiners_and_settings_are_checked_before_anything_runs(
    tmp_path: Path, refiners: str, where: str
) -> None:
    with pytest.raises(PlanError, match=where):
        grid(plan_of(tmp_path, f"tracks: [{TRACK}]\nrefiners: {refiners}"), MANIFESTS)


def test_all_mistakes_of_a_plan_are_said_at_once(tmp_path: Path) -> None:
    text = """
tracks: [nowhere/x/3D, uiprmd/kinect/3D]
refiners: [input, sinspp, {name: synspp, settings: {widht: 3, hedas: 2}}]
overrides: [{label: a, refiners: [smothnet]}, {label: b, refiners: [gfpose], settings: {step: 2}}]
seed: [1]
"""
    with pytest.raises(PlanError) as caught:
        plan_of(tmp_path, text)
    said = str(caught.value)
    for problem in (
        "tracks[0]: no data set 'nowhere'",
        "refiners[1].name: no refiner 'sinspp' (did you mean synspp?)",
        "refiners[2].settings: synspp has no setting 'widht', 'hedas'",
        "overrides[0].refiners[0]: no refiner 'smothnet' (did you mean smoothnet?)",
        "overrides[1].settings: gfpose has no setting 'step'",
        "seed: unknown key (did you mean seeds?)",
    ):
        assert f"\n  {problem}" in said
    assert said.count("\n") == 6


def test_all_cells_that_make_no_sense_are_said_at_once(tmp_path: Path) -> None:
    text = """
tracks: [uiprmd/kinect/3D, h36m/fcn/3D]
refiners: [{name: synspp, settings: {window: 1}}, {name: smoothnet, budget: {mirror: true}}]
"""
    with pytest.raises(PlanError) as caught:
        grid(plan_of(tmp_path, text), AnyManifest())
    said = str(caught.value)
    assert re.search(r"\n  refiners\[0\]\.settings: .*at least 3", said)
    assert re.search(r"\n  refiners\[1\]\.budget\.mirror: h36m/fcn/3D .*lateral", said)
    assert said.count("\n") == 2


@pytest.mark.parametrize(
    ("refiner", "message"),
    [
        (
            "{name: smoothnet, tuned: true}",
            r"\.tuned: smoothnet is not tuned; .*savgol",
        ),
        (
            "{name: savgol, tuned: true, settings: {order: 3, window: 9}}",
            r"refiners\[0\]\.settings: window is tuned: leave it out",
        ),
    ],
)
def test_what_cannot_be_tuned_is_said(tmp_path: Path, refiner: str, message: str) -> None:
    plan = plan_of(tmp_path, f"tracks: [{TRACK}]\nrefiners: [{refiner}]")
    with pytest.raises(PlanError, match=message):
        grid(plan, MANIFESTS)


def test_the_command_line_changes_tracks_epochs_and_who_is_held_out(tmp_path: Path) -> None:
    text = SMALL + "overrides: [{label: long, budget: {epochs: 50}}]"
    plan = plan_of(tmp_path, text).changed(["uiprmd/kinect/3D"], 1, ["S1", "S2"])
    specs = grid(plan, MANIFESTS)
    assert {spec.track for spec in specs} == {"uiprmd/kinect/3D"}
    assert {spec.validation for spec in specs if spec.budget} == {("S1", "S2")}
    assert [spec.budget.epochs for spec in specs if spec.budget] == [1]
    with pytest.raises(PlanError, match=r"command line.*\n.*tracks\[0\]"):
        plan.changed(tracks=["nowhere"])


@pytest.mark.parametrize("table", published.tables())
def test_every_published_row_has_its_cell(table: str) -> None:
    cells = {
        (spec.track, spec.refiner, spec.label) for spec in grid(load_plan(table), AnyManifest())
    }
    for row in published.rows(table):
        assert (row.track, row.refiner, row.label) in cells


def test_what_is_compared_with_a_paper_is_trained_as_papers_do() -> None:
    plan = load_plan("table1")
    assert plan.validation.refit  # on all training subjects
    for spec in grid(plan, AnyManifest()):
        assert (
            spec.settings
            == catalogue.build(spec.refiner, pose_spec(Track.parse(spec.track))).settings()
        )
        assert spec.budget is None or spec.budget == catalogue.published(spec.refiner)


def test_table_seven_has_its_seven_rows() -> None:
    plan = load_plan("table7").model_copy(update={"seeds": (0,)})
    specs = grid(plan, dict.fromkeys(plan.tracks, "hash"))
    switches = ("retrieval", "distance_encoding", "refine_decoder", "quality_encoding")
    ticks = ["".join(str(int(spec.settings[name])) for name in switches) for spec in specs]
    assert ticks == ["0000", "1000", "1100", "0010", "0011", "1010", "1111"]


@pytest.mark.parametrize("way", ["demo", "base.yaml", "{here}/base.yaml"])
def test_a_plan_may_say_in_what_it_differs_from_another(tmp_path: Path, way: str) -> None:
    (tmp_path / "base.yaml").write_bytes((PLANS / "demo.yaml").read_bytes())
    way = way.format(here=tmp_path)
    text = f"extends: {way}\ntracks: [{TRACK}]\nbudget: {{epochs: 7, warm_up: 0.2}}\n"
    base, plan = load_plan("demo"), plan_of(tmp_path, text)
    budget = base.budget.model_copy(update={"epochs": 7, "warm_up": 0.2})
    changes = {"name": "some", "tracks": (TRACK,), "budget": budget}
    assert plan == base.model_copy(update=changes)


def test_plans_may_extend_plans_that_extend(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL + "seeds: [1, 2]\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\nbudget: {batch: 9}\n")
    plan = plan_of(tmp_path, "extends: b.yaml\nname: own\nseeds: [3]\n")
    assert (plan.name, plan.seeds) == ("own", (3,))
    assert plan.budget.given() == {"epochs": 2, "batch": 9}


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("dmeo", r"some\.yaml: extends: no plan 'dmeo' \(did you mean demo\?\)"),
        ("gone.yaml", r"some\.yaml: extends: there is no plan file .*gone\.yaml"),
        ("some.yaml", r"some\.yaml extends itself: some -> some"),
        ("other.yaml", r"some\.yaml extends itself: some -> other -> some"),
        ("[demo]", r"some\.yaml: extends: write one plan's name"),
        ("list.yaml", r"list\.yaml holds no plan"),
    ],
)
def test_what_cannot_be_extended_is_refused(tmp_path: Path, extends: str, message: str) -> None:
    (tmp_path / "other.yaml").write_text("extends: some.yaml")
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(PlanError, match=message):
        plan_of(tmp_path, f"extends: {extends}\n{SMALL}")


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("name: a\ntracks: [x]\ntracks: [y]\n")
    with pytest.raises(PlanError, match="line 3: the key tracks is there twice"):
        load_plan(file)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_plan_may_have_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    text = (Path(__file__).parents[3] / "jobs" / "plans" / "demo.yaml").read_text("utf-8")
    file = tmp_path / "demo.yaml"
    file.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert load_plan(file) == load_plan("demo")
