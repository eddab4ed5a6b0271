"""A file of ``ray up``: what Ray would refuse, and what it would take without a word."""

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poise.doctor.finding import Finding
from poise.runtime.errors import DataError, in_short
from poise.runtime.text.yaml_file import near, read_yaml

if TYPE_CHECKING:
    from jsonschema import ValidationError

_STARTS = ("head_start_ray_commands", "worker_start_ray_commands")
#: Ray takes it for these alone, and its schema does not know it.
_OF_OWN_MACHINES = ("min_workers",)
#: What AWS is asked for a node with.
_REQUEST = "RunInstances"
#: Characters of a single value that is refused.
_SHOWN = 40


def check_file(path: Path) -> Iterator[Finding]:
    """Look at a file by Ray's schema, then at what that leaves open; nobody is asked.

    Raises:
        DataError: it is no YAML, or holds no keys.
    """
    given = read_yaml(path)
    if not isinstance(given, dict):
        raise DataError(f"{path}: holds no keys; cluster.yaml is an example")
    problems = [*_by_ray(given), *_provider(given), *_nodes(given)]
    for problem in problems:
        yield Finding("cluster.keys", "failed", f"{path}: {problem}")
    if not problems:
        yield Finding("cluster.keys", "ok", f"{path}: Ray's schema and its provider know every key")
    yield _token(given)


def _kind(given: dict[str, Any]) -> str:
    provider = given.get("provider")
    return str(provider.get("type")) if isinstance(provider, dict) else ""


def _schema() -> dict[str, Any]:
    import json

    import ray.autoscaler

    text = (Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text()
    schema: dict[str, Any] = json.loads(text)
    return schema


def _by_ray(given: dict[str, Any]) -> Iterator[str]:
    """What `ray up` itself says, in one line, with the word that may be meant."""
    from jsonschema import ValidationError as InvalidError
    from ray.autoscaler._private.util import prepare_config, validate_config

    known = {*_schema()["properties"], *(_OF_OWN_MACHINES if _kind(given) == "local" else ())}
    unknown = [key for key in given if key not in known]
    for key in unknown:
        yield f"{key}: there is no such key{near(str(key), known)}"
    told = io.StringIO()  # Ray prints what it makes of it
    try:
        with redirect_stdout(told), redirect_stderr(told):
            validate_config(prepare_config({k: v for k, v in given.items() if k not in unknown}))
    except InvalidError as error:
        where = ".".join(map(str, error.absolute_path))
        yield f"{where or 'the file'}: {in_short(Exception(_without_value(error)))}"
    except Exception as error:  # Ray's own checks raise what they like, or print it
        yield in_short(Exception(str(error) or told.getvalue().strip().rpartition("\n")[2]))


def _without_value(error: "ValidationError") -> str:
    """Return what is wrong with a value, which may be long and hold secrets."""
    value = repr(error.instance)
    shown = value[:_SHOWN]
    if isinstance(error.instance, dict | list):
        shown = "this mapping" if isinstance(error.instance, dict) else "this list"
    return str(error.message).replace(value, shown)


def _provider(given: dict[str, Any]) -> Iterator[str]:
    """Keys of the provider, which Ray passes on whatever they are."""
    provider = given.get("provider")
    known = _schema()["properties"]["provider"]["properties"]
    for key in provider if isinstance(provider, dict) else ():
        if key not in known:
            yield f"provider.{key}: there is no such key{near(str(key), known)}"


def _nodes(given: dict[str, Any]) -> Iterator[str]:
    """What is asked of AWS for a node, which Ray passes on as well."""
    types = given.get("available_node_types")
    if _kind(given) != "aws" or not isinstance(types, dict):
        return
    try:
        import botocore.session
        from botocore.validate import ParamValidator
    except ImportError:
        yield "boto3 is not installed, which ray up needs for AWS: pip install boto3"
        return
    shape = botocore.session.Session().get_service_model("ec2").operation_model(_REQUEST)
    for name, node in types.items():
        config = node.get("node_config") if isinstance(node, dict) else None
        if not isinstance(config, dict):
            continue
        where = f"available_node_types.{name}.node_config"
        # Ray itself says how many.
        asked = {"MinCount": 1, "MaxCount": 1, **config}
        report = ParamValidator().validate(asked, shape.input_shape)
        for line in report.generate_report().splitlines():
            yield f"{where}: {line}"
        kinds = shape.input_shape.members["InstanceType"].enum
        kind = config.get("InstanceType")
        if isinstance(kind, str) and kind not in kinds:
            yield f"{where}.InstanceType: {kind} is none that is known{near(kind, kinds)}"


def _token(given: dict[str, Any]) -> Finding:
    """Ray runs the code of whoever reaches it, unless it is started with a token."""
    commands = [line for key in _STARTS for line in given.get(key) or [] if "ray start" in line]
    open_ones = [line for line in commands if "RAY_AUTH_MODE=token" not in line]
    if not commands or open_ones:
        return Finding(
            "cluster.token",
            "failed",
            f"without a token: {open_ones[0]}" if open_ones else "no command starts Ray with one",
            "begin each ray start with RAY_AUTH_MODE=token, and copy ~/.ray/auth_token to every "
            "node (file_mounts); cluster.yaml of Poise does both",
        )
    return Finding("cluster.token", "ok", "head and workers are started with a token")
