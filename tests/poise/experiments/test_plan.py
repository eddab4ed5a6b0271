import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.catalog import published
from poise.catalog.tracks import Track
from poise.checkpoints.checkpoint import pose_spec
from poise.experiments.candidates import GRIDS
from poise.experiments.grid import Fold, TrialSpec, grid
from poise.experiments.plan import Plan, load_plan
from poise.experiments.trial_data import fresh_refiner
from poise.runtime.errors import PlanError
from poise_models import catalogue

TRACK = "synthetic/simulated/3D"
MANIFESTS = {TRACK: "aaaa", "uiprmd/kinect/3D": "bbbb"}
PLANS = Path(__file__).parents[3] / "jobs" / "plans"
SMALL = """
name: small
tracks: [synthetic/simulated/3D]
refiners: [input, {name: synspp, settings: {width: 16, heads: 2}}]
budget: {epochs: 2, batch: 8}
"""


def plan_of(tmp_path: Path, text: str) -> Plan:
    file = tmp_path / "some.yaml"
    file.write_text(text)
    return load_plan(file)


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


@pytest.mark.parametrize("name", GRIDS)
def test_every_candidate_of_a_tuned_filter_can_be_built(tmp_path: Path, name: str) -> None:
    text = f"tracks: [{TRACK}]\nrefiners: [{name}, {{name: {name}, tuned: true}}]"
    plain, tuned = grid(plan_of(tmp_path, text), MANIFESTS)
    assert (plain.candidates, tuned.label) == ((), "tuned")
    assert plain.key != tuned.key
    assert TrialSpec.from_json(json.loads(json.dumps(tuned.to_json()))) == tuned
    for number, candidate in enumerate(tuned.candidates, start=1):
        refiner = fresh_refiner(tuned.with_candidate(number))
        assert candidate.items() <= refiner.settings().items()


def test_a_mirror_is_refused_where_no_axis_is_lateral(tmp_path: Path) -> None:
    text = "tracks: [h36m/fcn/3D]\nrefiners: [synspp]\nbudget: {mirror: true}"
    with pytest.raises(PlanError, match=r"refiners\[0\]\.budget\.mirror: .*lateral"):
        grid(plan_of(tmp_path, text), {"h36m/fcn/3D": "0"})


def test_the_grid_has_one_trial_for_each_seed_of_a_network(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SMALL + "seeds: [0, 1, 2]\n")
    specs = grid(plan, MANIFESTS)
    assert [(spec.refiner, spec.seed) for spec in specs] == [
        ("input", 0),
        ("synspp", 0),
        ("synspp", 1),
        ("synspp", 2),
    ]
    assert specs[0].budget is None


def test_every_trial_is_run_once_for_each_fold(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SMALL + "seeds: [0, 1]\nvalidation: {folds: 2}\n")
    specs = grid(plan, MANIFESTS)
    assert [(spec.refiner, spec.seed, spec.fold) for spec in specs] == [
        ("input", 0, Fold(1, 2)),
        ("input", 0, Fold(2, 2)),
        ("synspp", 0, Fold(1, 2)),
        ("synspp", 0, Fold(2, 2)),
        ("synspp", 1, Fold(1, 2)),
        ("synspp", 1, Fold(2, 2)),
    ]
    assert specs[3].name == f"SynSP++ on {TRACK}, seed 0, fold 2 of 2"
    for spec in specs:
        assert TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    without = grid(plan_of(tmp_path, SMALL + "seeds: [0, 1]\n"), MANIFESTS)
    of_more = grid(plan_of(tmp_path, SMALL + "validation: {folds: 3}\n"), MANIFESTS)
    keys = {spec.key for some in (specs, without, of_more) for spec in some}
    assert len(keys) == 6 + 3 + 6


def test_overrides_make_variants_and_narrow_budgets_win(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        SMALL
        + """
overrides:
  - {label: base}
  - {label: poses, settings: {input: pose}, budget: {epochs: 5}}
""",
    )
    _, base, poses = grid(plan, MANIFESTS)
    assert base.budget is not None
    assert poses.budget is not None
    assert (base.settings["input"], base.budget.epochs, base.title) == ("dct", 2, "SynSP++ (base)")
    assert (poses.settings["input"], poses.budget.epochs) == ("pose", 5)
    assert poses.settings["width"] == 16
    assert poses.budget.batch == 8


def test_twice_the_same_trial_is_refused(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f"tracks: [{TRACK}]\nrefiners: [input, {{name: input, label: b}}]")
    with pytest.raises(PlanError, match="same trial"):
        grid(plan, MANIFESTS)


def test_the_key_is_the_content(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, SMALL)
    _, spec = grid(plan, MANIFESTS)
    written_out = SMALL.replace("heads: 2", "heads: 2, dropout: 0.2").replace("small", "other")
    assert grid(plan_of(tmp_path, written_out), MANIFESTS)[1].key == spec.key
    for changed in (
        SMALL.replace("heads: 2", "heads: 4"),
        SMALL.replace("batch: 8", "batch: 16"),
        SMALL + "seeds: [1]",
        SMALL + "validation: {subjects: [s1]}",
    ):
        assert grid(plan_of(tmp_path, changed), MANIFESTS)[1].key != spec.key
    assert grid(plan, {TRACK: "other"})[1].key != spec.key


def test_the_key_is_the_same_in_every_version(tmp_path: Path) -> None:
    """Or a sweep would not meet the trials that an earlier Poise finished."""
    plan = load_plan("demo-full")
    keys = [spec.key for spec in grid(plan, dict.fromkeys(plan.tracks, "cafe"))]
    assert keys[-5:-3] == ["123f3a7b37202351", "d92a831fe675db45"]


def test_what_is_no_network_keeps_its_key_when_the_budget_changes(tmp_path: Path) -> None:
    longer = plan_of(tmp_path, SMALL).changed(epochs=7)
    before, after = grid(plan_of(tmp_path, SMALL), MANIFESTS), grid(longer, MANIFESTS)
    assert before[0].key == after[0].key
    assert before[1].key != after[1].key


def test_the_command_line_changes_tracks_epochs_and_who_is_held_out(tmp_path: Path) -> None:
    text = SMALL + "overrides: [{label: long, budget: {epochs: 50}}]"
    plan = plan_of(tmp_path, text).changed(["uiprmd/kinect/3D"], 1, ["S1", "S2"])
    specs = grid(plan, MANIFESTS)
    assert {spec.track for spec in specs} == {"uiprmd/kinect/3D"}
    assert {spec.validation for spec in specs if spec.budget} == {("S1", "S2")}
    assert [spec.budget.epochs for spec in specs if spec.budget] == [1]
    with pytest.raises(PlanError, match=r"command line.*\n.*tracks\[0\]"):
        plan.changed(tracks=["nowhere"])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), label=st.text(max_size=9), width=st.integers(1, 64))
def test_a_spec_survives_json(seed: int, label: str, width: int) -> None:
    plan = Plan.model_validate(
        {
            "name": "p",
            "tracks": [TRACK],
            "refiners": [{"name": "synspp", "label": label, "settings": {"width": width}}],
            "seeds": [seed],
        }
    )
    (spec,) = grid(plan, MANIFESTS)
    assert TrialSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


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
