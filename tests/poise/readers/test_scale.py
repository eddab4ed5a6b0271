"""Whether bodies are people's: units, and axes."""

from dataclasses import replace

import numpy as np
import pytest

from poise.catalog.tracks import Track
from poise.readers.plausible import Bodies
from poise.readers.scale import PERSON, no_person, odd_size, wrong_unit
from poise.readers.synthetic.sequences import Size, sequences

KINECT = Track.parse("uiprmd/kinect/3D").info


@pytest.mark.parametrize(
    ("factor", "word"),
    [
        (1.0, ""), (0.62, ""), (1.5, ""),
        (1000, "millimetres"), (100, "centimetres"), (39.37, "inches"), (1 / 5.644, "5.644"),
        (17.7, "ASF"), (0.45, "ASF"), (0.001, "metres taken for"), (5.0, "no unit"),
    ],
)  # fmt: skip
def test_a_wrong_unit_is_named(factor: float, word: str) -> None:
    said = wrong_unit(PERSON * factor)
    assert (word in said) if word else not said


@pytest.mark.parametrize("person", [0.7, 1.0, 1.3])
@pytest.mark.parametrize(
    ("told", "factor", "says"),
    [
        (1.0, 1000, 'unit = "mm"'), (1.0, 100, 'unit = "cm"'), (1.0, 39.37, 'unit = "in"'),
        (1.0, 3.281, "feet: multiply by 0.3048"), (0.001, 1000, 'unit = "m"'),
        (0.001, 10, 'unit = "cm"'), (0.001, 25.4, 'unit = "in"'), (0.01, 0.1, 'unit = "mm"'),
        (0.01, 100, 'unit = "m"'), (0.0254, 39.37, 'unit = "m"'), (0.0254, 0.03937, 'unit = "mm"'),
    ],
)  # fmt: skip
def test_the_unit_is_told_by_what_the_files_are_said_to_be_in(
    person: float, told: float, factor: float, says: str
) -> None:
    # Files hold metres x factor where they were said to be in another unit.
    wrong = person * PERSON * (factor if told == 1.0 else 1 / factor)
    assert says in wrong_unit(wrong, told)


def test_what_may_be_a_child_is_odd_and_what_cannot_be_a_person_is_refused() -> None:
    body = next(iter(sequences("test", Size(1, 1, 20)))).detected_FC.reshape(20, 17, 3)
    assert not no_person(body)
    for factor in (1 / 3, 0.25):
        assert not no_person(body * factor)
        assert "people 0.9 m: likely" in odd_size(PERSON * factor)
    for factor in (1 / 7, 0.1, 1 / 20, 3.281):
        assert "people 0.9 m: likely" in no_person(body * np.float32(factor))
    assert not odd_size(PERSON)


def turned(order: str) -> list[str]:
    """What is said of detections whose axes are named in this order."""
    bodies = Bodies(KINECT)
    axes = [("xyz".index(axis[-1]), -1 if axis.startswith("-") else 1) for axis in order.split()]
    for one in sequences("test", Size(2, 3, 40)):
        body = one.detected_FC.reshape(40, 17, 3)
        other = np.stack([body[..., axis] * sign for axis, sign in axes], axis=-1)
        one = replace(one, detected_FC=other.reshape(40, 51).astype(np.float32))
        bodies.add(one.detected_FC, one.truth_FC)
    return bodies.notes()


@pytest.mark.parametrize("order", ["x -z y", "x z -y", "x z y", "z x y", "x -y z", "-x -z y"])
def test_other_axes_than_the_truths_are_said_in_one_line(order: str) -> None:
    [line] = turned(order)
    assert "detected poses have other axes than truth" in line


def test_axes_that_are_the_truths_are_not_spoken_of() -> None:
    assert turned("x y z") == []
    noisy = Bodies(KINECT)
    draw = np.random.default_rng(0)
    for one in sequences("test", Size(2, 3, 40)):
        noise = draw.uniform(-0.43, 0.43, one.detected_FC.shape).astype(np.float32)
        noisy.add(one.detected_FC + noise, one.truth_FC)
    assert noisy.notes() == []


def test_a_split_of_small_bodies_is_noted() -> None:
    bodies = Bodies(KINECT)
    for one in sequences("test", Size(2, 3, 40)):
        bodies.add(one.detected_FC / np.float32(3), one.truth_FC)
    [line] = bodies.notes()
    assert line.startswith("detected poses: bodies reach")
    assert "people 0.9 m: likely" in line
