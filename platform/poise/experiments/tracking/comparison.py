"""How MLflow's pages show a plan: its kind, what columns and charts, and the link that opens them.

The pages keep a view under a tag of the experiment and open it where a link names the tag. Its
content is what their own "Save view" writes, MLflow 3.17.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

#: Tells the pages that these are runs of training, not traces of conversations.
KIND = ("mlflow.experimentKind", "custom_model_development")
_VIEW = "mlflow.sharedViewState."
#: The view that links open: one line a method, means over seeds and folds.
BY_METHOD = "poise-methods"
#: One line a run, below the sweep it belongs to.
EVERY_RUN = "poise-runs"

#: Errors on the test split, as they are logged, with the words of tables.
_TEST = {"test_mpjpe": "MPJPE", "test_pa_mpjpe": "PA-MPJPE", "test_accel": "Accel"}
_CURVES = {"loss": "Training loss", "mpjpe": "Validation MPJPE", "accel": "Validation Accel"}
_COLUMNS = (
    *(f"metrics.`{name}`" for name in (*_TEST, "validation_score", "test_params")),
    *(f"params.`{name}`" for name in ("method", "track", "seed", "fold")),
    *(f"attributes.`{name}`" for name in ("Dataset", "Source", "Version", "Models")),
)
#: In pixels, where MLflow's own are too narrow or too wide.
_WIDTHS = {
    "attributes.`Run Name`": 330,
    "attributes.`Dataset`": 240,
    "attributes.`Source`": 180,
    "params.`method`": 150,
    "params.`track`": 140,
    "params.`seed`": 60,
    "params.`fold`": 60,
}
#: Of a tag of an experiment; MLflow takes 20,000 characters.
_LONGEST_TEXT = 18_000
#: Sections of charts.
_RESULTS, _RUNS, _TRAINING = "poise-results", "poise-each", "poise-training"


def view_tags(lines: Sequence[tuple[str, str]], parent: str, now: int) -> dict[str, str]:
    """Return the experiment's tags that make its kind and views known.

    Args:
        lines: track and method of each trial.
        parent: the run of the sweep, which is shown with its trials open.
        now: when the views were made, in milliseconds since 1970.
    """
    every = _state(parent)
    means = {**every, **_means(lines)}
    views = {BY_METHOD: ("Methods: means over seeds and folds", means)}
    views |= {EVERY_RUN: ("Every run", every)}
    return dict([KIND]) | {
        _VIEW + key: json.dumps(
            {"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)}
        )
        for key, (name, state) in views.items()
    }


def _means(lines: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return what makes one line of all runs of a method, on each track where there are several."""
    several = len({track for track, _ in lines}) > 1
    keys = ["track", "method"] if several else ["method"]
    groups = {
        ",".join(
            f"param.{key}.{value}"
            for key, value in (("track", track), ("method", method))
            if key in keys
        ): False
        for track, method in lines
    }
    return {
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "param", "groupByData": key} for key in keys],
        },
        "groupsExpanded": groups,
    }


def link(server: str, experiment: str, view: str = BY_METHOD) -> str:
    """Return the address of a plan's comparison on a server.

    Args:
        server: address of the server.
        experiment: id of the plan's experiment.
        view: which of the views.
    """
    mode = "CHART" if view == BY_METHOD else "TABLE"
    asked = urlencode(
        {
            "viewStateShareKey": view,
            "compareRunsMode": mode,
            "workflowType": "machine_learning",
        }
    )
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs?{asked}"


def described(plan: Mapping[str, Any], origin: Mapping[str, str], table: str) -> str:
    """Return the description of an experiment, in Markdown.

    Args:
        plan: what was submitted.
        origin: facts of the submission.
        table: the results; empty while there are none.
    """
    methods = ", ".join(dict.fromkeys(one["name"] for one in plan["refiners"]))
    commit = origin.get("commit", "")[:12]
    changed = " with changes that nobody committed" if origin.get("dirty") == "true" else ""
    said = [
        f"Plan **{plan['name']}**: {methods} on {', '.join(plan['tracks'])}.",
        f"Submitted with `{origin['command']}`" if "command" in origin else "",
        f"Commit `{commit}`{changed}" if commit else "",
        "Open **Views** for means over seeds and folds, and for every run.",
    ]
    text = "  \n".join(filter(None, said)) + "\n\n"
    return text + _cut(table, _LONGEST_TEXT - len(text))


def _cut(table: str, most: int) -> str:
    """Leave out the last parts of a text that is too long: a table that ends midway is none."""
    if len(table) <= most:
        return table
    more = "\n\nThe rest is in `table.md` of the sweep's run.\n"
    start = table[: most - len(more)]
    return start[: max(start.rfind("\n### "), 0) or start.rfind("\n")] + more


def _state(parent: str) -> dict[str, Any]:
    return {
        "searchFilter": "",
        "orderByKey": "metrics.`test_mpjpe`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(_COLUMNS),
        "columnOrder": ["attributes.`Run Name`", "runDateAndNestInfo", *_COLUMNS],
        "columnWidths": _WIDTHS,
        "groupBy": None,
        "groupsExpanded": {},
        "runsExpanded": {parent: True},
        "runsHiddenMode": "SHOW_ALL",
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "compareRunSections": [
            _section(_RESULTS, "Test split"),
            _section(_TRAINING, "Learning curves"),
            _section(_RUNS, "Settings and results"),
        ],
        "compareRunCharts": list(_charts()),
        "isAccordionReordered": True,
    }


def _section(uuid: str, name: str) -> dict[str, Any]:
    return {"uuid": uuid, "name": name, "display": True, "isReordered": True, "isGenerated": False}


def _charts() -> Sequence[dict[str, Any]]:
    across, up = ({"key": key, "type": "METRIC"} for key in ("test_mpjpe", "test_accel"))
    title = "Precision (MPJPE) and smoothness (Accel)"
    plane = _chart("SCATTER", _RESULTS, title, xaxis=across, yaxis=up, runsCountToCompare=500)
    bars = [
        _chart("BAR", _RESULTS, title, metricKey=key, runsCountToCompare=500)
        for key, title in _TEST.items()
    ]
    curves = [
        _chart("LINE", _TRAINING, title, metricKey=key, selectedMetricKeys=[key], **_LINE)
        for key, title in _CURVES.items()
    ]
    parallel = _chart(
        "PARALLEL",
        _RUNS,
        "Methods, seeds and errors",
        selectedParams=["method", "seed"],
        selectedMetrics=["validation_score", *_TEST],
        showAllRuns=True,
    )
    return [plane, *bars, *curves, parallel]


_LINE: dict[str, Any] = {
    "lineSmoothness": 0,
    "scaleType": "linear",
    "xAxisScaleType": "linear",
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "range": {},
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
    "runsCountToCompare": 500,
}


def _chart(kind: str, section: str, title: str, **what: Any) -> dict[str, Any]:
    key = what.get("metricKey", "")
    return {
        "type": kind,
        "uuid": f"{section}-{kind.lower()}-{key}",
        "metricSectionId": section,
        "displayName": title,
        "isGenerated": False,
        "deleted": False,
        **what,
    }
