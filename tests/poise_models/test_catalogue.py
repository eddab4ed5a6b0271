"""Refiners by name, and what is said of names and settings that are none."""

from typing import Any

import pytest

from poise_models import catalogue
from poise_models.base.pose_spec import PoseSpec
from poise_models.errors import ConfigError, UnknownRefinerError

SPEC = PoseSpec(17, 3)


def test_unknown_names_and_settings_say_what_there_is() -> None:
    with pytest.raises(UnknownRefinerError, match="did you mean smoothnet"):
        catalogue.build("smothnet", SPEC)
    with pytest.raises(ConfigError, match=r"widht.*it has .*width"):
        catalogue.build("synspp", SPEC, {"widht": 3})
    with pytest.raises(ConfigError, match="window"):
        catalogue.build("synspp", SPEC, {"window": 1})


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("synspp", "input", "dtc", "one of 'dct', 'pose'"),
        ("synspp", "input", {}, "one of 'dct', 'pose'"),
        ("synspp", "retrieval", "no", "true or false"),
        ("synspp", "width", 16.0, "a whole number"),
        ("synspp", "layers", True, "a whole number"),
        ("synspp", "smoothness", "1", "a number"),
        ("synspp", "dropout", -1, "dropout"),
        ("synspp", "dropout", 10**400, "dropout|large"),
    ],
)
def test_settings_of_another_kind_are_refused(name: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        catalogue.build(name, SPEC, {key: value})
