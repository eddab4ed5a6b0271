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

#: Errors on the test split, and what is logged of every epoch: training, then validation.
_TEST = ("test_mpjpe", "test_pa_mpjpe", "test_accel")
_CURVES = ("loss", "mpjpe", "accel")
#: Runs in one chart; MLflow's own choice is 10.
_MOST = 500
_COLUMNS = (
    *(f"metrics.`{name}`" for name in (*_TEST, "validation_score")),
    *(f"params.`{name}`" for name in ("seed", "fold")),
    *(f"attributes.`{name}`" for name in ("Dataset", "Source", "Version", "Models")),
    *(f"params.`{name}`" for name in ("method", "track")),
    "metrics.`test_params`",
)
#: In pixels, where MLflow's own are too narrow or too wide.
_WIDTHS = {
    "attributes.`Run Name`": 330,
    "runDateAndNestInfo": 130,
    "metrics.`test_pa_mpjpe`": 125,
    "metrics.`validation_score`": 135,
    "params.`seed`": 60,
    "params.`fold`": 60,
    "attributes.`Dataset`": 230,
    "attributes.`Source`": 200,
    "params.`method`": 150,
    "params.`track`": 140,
}
#: Of a tag of an experiment; MLflow takes 20,000 characters.
_LONGEST_TEXT = 18_000


def view_tags(lines: Sequence[tuple[str, str]], parent: str, now: int) -> dict[str, str]:
    """Return the experiment's tags that make its kind and views known.

    Args:
        lines: track and method of each trial.
        parent: the run of the sweep, which is shown with its trials open.
        now: when the views were made, in milliseconds since 1970.
    """
    state = _state(parent)
    views = {
        BY_METHOD: ("Methods: means over seeds and folds", state | _shown(_MEANS) | _means(lines)),
        EVERY_RUN: ("Every run", state | _shown(_EACH) | {"groupBy": None, "groupsExpanded": {}}),
    }
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
        {"viewStateShareKey": view, "compareRunsMode": mode, "workflowType": "machine_learning"}
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
        "runsExpanded": {parent: True},
        "runsHiddenMode": "SHOW_ALL",
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
    }


def _shown(sections: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Return charts in their sections; what else is logged, MLflow adds below."""
    return {
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": True, "isGenerated": False}
            for name in sections
        ],
        "compareRunCharts": [
            {**chart, "uuid": f"{name}-{number}", "metricSectionId": name}
            for name, charts in sections.items()
            for number, chart in enumerate(charts)
        ],
    }


def _chart(kind: str, **what: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "isGenerated": False,
        "deleted": False,
        "runsCountToCompare": _MOST,
        **what,
    }


_ERRORS = [
    _chart(
        "SCATTER",
        xaxis={"key": "test_mpjpe", "type": "METRIC"},
        yaxis={"key": "test_accel", "type": "METRIC"},
    ),
    *(_chart("BAR", metricKey=key) for key in _TEST),
]
_LEARNING = [
    _chart(
        "LINE",
        metricKey=key,
        selectedMetricKeys=[key],
        lineSmoothness=0,
        scaleType="linear",
        xAxisScaleType="linear",
        xAxisKey="step",
        selectedXAxisMetricKey="",
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )
    for key in _CURVES
]
_PARALLEL = _chart(
    "PARALLEL",
    selectedParams=["method", "seed"],
    selectedMetrics=["validation_score", *_TEST],
    showAllRuns=True,
)
_MEANS = {"Test split": _ERRORS, "Learning curves": _LEARNING}
#: The pages draw no parallel coordinates of methods where runs are grouped.
_EACH = {"Methods, seeds and errors": [_PARALLEL], **_MEANS}
