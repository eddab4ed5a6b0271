"""A config file of ``serve deploy``, before it is deployed: Serve takes unknown keys silently."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from poise.runtime.errors import DataError, in_short
from poise.runtime.loopback import is_loopback
from poise.runtime.printable import printable
from poise.runtime.text.yaml_file import near, read_yaml
from poise.serving.app import RefineService, build
from poise.serving.intake.connections import (
    CALLBACK,
    NODE_ROUTING,
    PROXY_ENV,
    ZONE_ROUTING,
)
from poise.serving.intake.passing import APPLICATION, DEPLOYMENT
from poise.serving.service_args import ServiceArgs

#: Where Serve finds the application.
IMPORT_PATH = f"{build.__module__}:{build.__name__}"
_VARIABLE = "POISE_TOKEN"
#: What becomes of a service whose proxies lack a variable.
_BESIDE = "a proxy asks the replicas beside it alone"
_LACKING = {
    CALLBACK: "there are no streams, and no limits of connections",
    NODE_ROUTING: _BESIDE,
    ZONE_ROUTING: _BESIDE,
}


def problems_of(path: Path) -> list[str]:
    """Say what is wrong with a file, a line each: where, what, and what is meant.

    Nothing is looked up and nobody asked: models, lakes and addresses may be wrong still.

    Raises:
        DataError: it is no YAML, or holds no keys.
    """
    given = read_yaml(path)
    if not isinstance(given, dict):
        raise DataError(f"{path}: holds no keys; deploy/serve.yaml is an example")
    found = [*_unknown(given, ServeDeploySchema, "")]
    if not found:
        found += _invalid(given, ServeDeploySchema, "")
    for place, application in enumerate(_listed(given, "applications")):
        if isinstance(application, dict) and application.get("import_path") == IMPORT_PATH:
            found += _ours(application, f"applications[{place}]")
    return [printable(line) for line in [*found, *_around(given)]]


def _unknown(given: Any, model: type[BaseModel], where: str) -> Iterator[str]:
    """Keys that Serve would pass over."""
    if not isinstance(given, dict):
        return
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in given.items():
        if key not in known:
            yield f"{where}{key}: there is no such key{near(str(key), known)}"
            continue
        for inside in _models_in(known[key].annotation):
            for place, one in enumerate(value) if isinstance(value, list) else [(None, value)]:
                at = f"{where}{key}." if place is None else f"{where}{key}[{place}]."
                yield from _unknown(one, inside, at)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold, through lists and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return []
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _invalid(given: Any, model: type[BaseModel], where: str) -> Iterator[str]:
    try:
        model.model_validate(given)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in one["loc"]]
            if one["type"] == "extra_forbidden":
                key = str(one["loc"][-1])
                message = f"there is no such key{near(key, model.model_fields)}"
            else:
                message = one["msg"].removeprefix("Value error, ")
            yield f"{(where + ''.join(parts)).lstrip('.')}: {message}"
    except Exception as error:  # its own checks raise what they like
        yield f"{where or 'the file'}: {in_short(error)}"


def _ours(application: dict[str, Any], where: str) -> Iterator[str]:
    yield from _invalid(application.get("args") or {}, ServiceArgs, f"{where}.args")
    if application.get("name") != APPLICATION:
        yield f"{where}.name: has to be {APPLICATION}: streams are passed on to that application"
    for place, one in enumerate(_listed(application, "deployments")):
        if isinstance(one, dict) and one.get("name") != DEPLOYMENT:
            here = f"{where}.deployments[{place}].name"
            yield f"{here}: the deployment of {RefineService.__name__} is called {DEPLOYMENT}"


def _around(given: dict[str, Any]) -> Iterator[str]:
    """What surrounds the application: who may come, and how many."""
    ours = [
        one
        for one in _listed(given, "applications")
        if isinstance(one, dict) and one.get("import_path") == IMPORT_PATH
    ]
    if not ours:
        yield f"applications: none has import_path: {IMPORT_PATH}"
        return
    http = given.get("http_options")
    host = http.get("host", "0.0.0.0") if isinstance(http, dict) else "0.0.0.0"  # noqa: S104
    args = ours[0].get("args")
    shown = isinstance(args, dict) and (args.get("token") or args.get("tokens"))
    if not is_loopback(str(host)) and not shown and _VARIABLE not in _variables(ours[0]):
        yield (
            f"http_options.host: {host} lets the network in: add a token under args (or "
            f"{_VARIABLE} to env_vars), or stay on 127.0.0.1"
        )
    proxies = _variables(given.get("controller_options"))
    for name, lacking in _LACKING.items():
        if proxies.get(name) != PROXY_ENV[name]:
            yield (
                "controller_options.runtime_env.env_vars: without "
                f'{name}: "{PROXY_ENV[name]}" {lacking}'
            )


def _variables(given: Any) -> dict[str, Any]:
    """The environment that a part of the file asks for."""
    for key in ("runtime_env", "env_vars"):
        given = given.get(key) if isinstance(given, dict) else None
    return given if isinstance(given, dict) else {}


def _listed(given: dict[str, Any], key: str) -> list[Any]:
    found = given.get(key)
    return found if isinstance(found, list) else []
