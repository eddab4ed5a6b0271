"""The settings in force: what, and where each came from."""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from poise.doctor.finding import Finding
from poise.runtime.settings import VARIABLES, Settings, misspelt

#: Variables of others that change what Poise does.
_OTHERS = (
    *("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_TMPDIR", "RAY_API_SERVER_ADDRESS", "TMPDIR"),
    *("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"),
    *("MLFLOW_TRACKING_USERNAME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"),
    *("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)
#: Of these it is told only that they are there.
_SECRETS = ("RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD")
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s]+@")
#: What stands alone before a host may be a key: ``https://KEY@host``.
_USER = re.compile(r"(://)[^/\s:@?#]+@")
#: What a query gives to keys, tokens, passwords and signatures.
_IN_QUERY = re.compile(
    r"([?&;][^=&\s]*(?:key|token|secret|pass|pwd|sig|auth|credential)[^=&\s]*=)[^&#\s]+", re.I
)
_HIDDEN = "(set, not shown)"


@dataclass(frozen=True)
class InForce:
    """A setting, its value as text, and where that came from: an option, a variable, or nobody."""

    name: str
    value: str
    origin: str


def in_force(settings: Settings, options: Collection[str]) -> list[InForce]:
    """Return all settings, and variables of others that are set; no secret is among the values.

    Args:
        settings: of the process.
        options: those of them that the command line gave.
    """
    found = []
    for name, variable in VARIABLES.items():
        if name == "datasets_toml" and settings.datasets_toml is None:
            continue
        given = getattr(settings, name)
        origin = f"${variable}" if name in settings.model_fields_set else "default"
        option = "--" + name.replace("_", "-")
        shown = _shown(name, given)
        found.append(InForce(name, shown, option if name in options else origin))
    for variable in _OTHERS:
        if os.environ.get(variable):
            found.append(InForce(variable, masked(os.environ[variable]), f"${variable}"))
    for variable in _SECRETS:
        if os.environ.get(variable):
            found.append(InForce(variable, _HIDDEN, f"${variable}"))
    return found


def check(settings: Settings) -> Iterator[Finding]:
    """Look for variables that are spelt wrong, and so not read."""
    wrong = misspelt()
    if not wrong:
        yield Finding("settings", "ok", "every variable that begins with POISE_ is read")
    for name, near in wrong:
        yield Finding(
            "settings", "warning", f"${name} is no variable of Poise, and not read", f"${near}?"
        )


def masked(text: str) -> str:
    """Return a text without passwords, users alone and secrets in queries of URIs that it names."""
    text = _USER.sub(r"\1***@", _PASSWORD.sub(r"\1***@", text))
    return _IN_QUERY.sub(r"\1***", text)


def _shown(name: str, given: object) -> str:
    if given is None or given == ():
        return "none"
    if name == "token":
        return _HIDDEN
    if isinstance(given, tuple):
        return (
            f"{len(given)} texts" if name == "datasets_toml" else os.pathsep.join(map(str, given))
        )
    return masked(str(given))
