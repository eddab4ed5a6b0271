"""Refiners by name, and what is said of names and settings that are none."""

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
