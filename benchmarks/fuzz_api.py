"""The service held against its own description: python -m benchmarks.fuzz_api [--url URL].

Schemathesis makes requests of every operation, right ones and wrong ones, and holds each answer
against the OpenAPI document: statuses, media types, fields. Without `--url` a service is started.
"""

import argparse
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from poise.checkpoints.shipped import GENERAL
from poise.client.playing import sample_path
from poise.motion.files import formats
from poise.serving.files.asked import OCTETS
from poise.serving.files.intake import SAMPLES
from poise.serving.running_service import running_service
from poise.serving.service_args import ServiceArgs

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_LONG_S = 60.0


@dataclass
class Told:
    """What became of one operation.

    Attributes:
        statuses: how often each came.
        wrong: the answer that the description does not know, in words.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: str | None = None


def fuzz(url: str, examples: int, begin: int = 0) -> dict[str, Told]:
    """Ask every operation of a service so often, about half of the times for what it refuses.

    Args:
        url: of the service, which wants no token.
        examples: requests of each operation at most; fewer where there are no more different ones.
        begin: where chance begins.
    """
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [one.ok() for one in described.get_all_operations() if isinstance(one, Ok)]
    example = requests.get(f"{url}/v1/example", timeout=_LONG_S).json()
    return {one.label: _ask(one, examples, begin, example) for one in operations}


def _ask(
    operation: APIOperation[Any, Any, Any, Any], examples: int, begin: int, example: Any
) -> Told:
    told = Told()
    cases = operation.as_strategy(GenerationMode.POSITIVE)
    if operation.body or any(True for _ in operation.iter_parameters()):
        cases |= operation.as_strategy(GenerationMode.NEGATIVE)
    for answered in _answered(operation.label, example):
        cases |= operation.as_strategy(**answered)

    @seed(begin)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Case[Any]) -> None:
        response = case.call(timeout=_LONG_S)
        told.statuses[response.status_code] += 1
        case.validate_response(response, checks=_CHECKS)

    try:
        ask()
    except FailureGroup as error:
        told.wrong = str(error)
    return told


def _answered(label: str, example: Any) -> list[dict[str, Any]]:
    """What chance does not find: requests that are answered."""
    if label == "GET /v1/samples/{name}":
        return [{"path_parameters": {"name": name}} for name in SAMPLES]
    if label != "POST /v1/refine":
        return []
    written = [form.name for form in formats() if form.write is not None]
    file = {"body": sample_path().read_bytes(), "media_type": OCTETS}
    return [
        {"body": example, "media_type": "application/json", "query": {}},
        *({**file, "query": {"refiner": "median", "to": name}} for name in written),
    ]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a service that runs")
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    args = ServiceArgs(model=GENERAL)
    service = nullcontext(options.url) if options.url else running_service(args, port=0)
    with service as url:
        found = fuzz(url, options.examples, options.seed)
    for name, told in found.items():
        statuses = ", ".join(
            f"{count} x {status}" for status, count in sorted(told.statuses.items())
        )
        print(f"{name:30s} {statuses}   {'wrong' if told.wrong else 'as described'}")
    wrong = [f"{name}: {told.wrong}" for name, told in found.items() if told.wrong]
    sys.exit("\n\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
