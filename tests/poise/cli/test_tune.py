"""``poise tune``, end to end: a network on a user's pairs, and a person's constant."""

import json
from pathlib import Path

import pytest
from tests.support.serving import save_untrained
from tests.support.tiny_lake import TRACK, write_tiny_lake

from poise.catalog.tracks import Track
from poise.cli.main import main
from poise.readers.layouts import write_smoothnet
from poise.readers.synthetic import sequences as synthetic

#: Of another skeleton.
OTHER = Track.parse("pw3d/spin/3D")


def test_a_tuned_network_can_be_evaluated_as_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out, home = save_untrained(tmp_path / "model", "poise"), tmp_path / "out", tmp_path / "h"
    write_tiny_lake(home / "lake")
    place = ["--track", str(TRACK), "--home", str(home)]
    given = ["tune", "--from", model, *place, "--steps", "3", "-o", str(out)]
    assert main(given) == 0
    said = capsys.readouterr().out
    for words in ("step 3 of 3: loss", "Held out: ", "As it came", f"{out}: {model}"):
        assert words in said
    assert main(given) == 0
    assert "step" not in capsys.readouterr().out.split("Held out")[0].split("as it comes")[1]
    made = list(synthetic.sequences("test", synthetic.Size(1, 2, 40), "simulated"))
    write_smoothnet(tmp_path, TRACK, "test", made)
    assert main(["evaluate", "--model", str(out), *place, "--data", str(tmp_path)]) == 0


@pytest.mark.parametrize(("name", "track"), [("poise", TRACK), ("general", OTHER)])
def test_a_persons_constant_is_in_the_checkpoint(
    name: str, track: Track, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = save_untrained(tmp_path / "model", name, track), tmp_path / "out"
    made = list(synthetic.sequences("test", synthetic.Size(2, 3, 40), "simulated"))
    write_smoothnet(tmp_path, TRACK, "test", made)
    place = ["--track", str(TRACK), "--home", str(tmp_path / "home"), "--data", str(tmp_path)]
    given = ["tune", "--from", model, *place, "-o", str(out), "--calibrate"]
    first, other = made[0], next(one for one in made if one.subject != made[0].subject)
    assert main([*given, first.name, other.name]) == 2
    assert "a constant is of one person" in capsys.readouterr().err
    assert main([*given, "nothing"]) == 2
    assert "no sequence nothing in the test split" in capsys.readouterr().err
    assert main([*given, first.subject]) == 0
    assert f"the constant of {first.subject}, from 3 clips" in capsys.readouterr().out
    assert len(json.loads((out / "checkpoint.json").read_text())["constant"]) == 51
    scores = []
    for one in (model, str(out)):
        rows = tmp_path / "rows"
        assert main(["evaluate", "--model", one, *place, "--json", str(rows)]) == 0
        scores.append(json.loads(rows.read_text())[0]["accel"])
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)
    assert main([*given, first.subject]) == 2
    assert "holds a checkpoint" in capsys.readouterr().err
