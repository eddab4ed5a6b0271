"""One YAML file: found by a plan's name or path, and read as plain values."""

from pathlib import Path
from typing import Any

from poise.runtime.errors import DataError, PlanError
from poise.runtime.text.yaml_file import near, read_yaml


def is_path(name: str) -> bool:
    """Say whether a plan is named by a file, and not as one of those that come with Poise."""
    return name.endswith((".yaml", ".yml"))


def find(name: str) -> Path:
    """Return the file of a plan: ``jobs/plans/<name>.yaml`` of the repository, or the path itself.

    Raises:
        PlanError: there is none; the message names those there are.
    """
    if is_path(name):
        if not Path(name).is_file():
            raise PlanError(f"there is no plan file {name}")
        return Path(name)
    folders = [root / "jobs" / "plans" for root in (Path(__file__).parents[4], Path.cwd())]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    have = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    raise PlanError(
        f"no plan {name!r}{near(name, have)}; there are {', '.join(have) or 'none'}. "
        "A path to a .yaml file works too"
    )


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the keys and values of a plan file.

    Raises:
        PlanError: it is no YAML, no mapping, or larger than a plan can be.
    """
    try:
        given = read_yaml(path)
    except DataError as error:
        raise PlanError(str(error)) from None
    if not isinstance(given, dict):
        raise PlanError(f"{path} holds no plan: write keys such as name, tracks and refiners")
    return given
