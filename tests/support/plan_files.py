"""Plans as the files that users write."""

from pathlib import Path

from poise.experiments.plan import Plan, load_plan

TRACK = "synthetic/simulated/3D"
MANIFESTS = {TRACK: "aaaa", "uiprmd/kinect/3D": "bbbb"}
PLANS = Path(__file__).parents[2] / "jobs" / "plans"
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
