"""All that is looked at, side by side and within a time, whatever hangs."""

import threading
import time
from dataclasses import replace
from importlib import import_module

from poise.doctor.finding import Check, Finding, late
from poise.doctor.in_force import masked
from poise.runtime.errors import PoiseError, in_short
from poise.runtime.settings import Settings

#: Seconds for all together; each subject's own limits are shorter, so that it can say what hangs.
WITHIN_S = 8.0
#: The module of each subject, in the order in which they are shown. They are imported while the
#: clock runs, since on a slow disk the libraries of some take seconds; one at a time, since threads
#: that import at once see each other's modules half made.
SUBJECTS = {
    "settings": "in_force",
    "packages": "packages",
    "machine": "machine",
    "gpu": "gpu",
    "disk": "folders",
    "ports": "ports",
    "proxies": "proxies",
    "ray": "ray_cluster",
    "mlflow": "tracking",
    "registry": "registry",
    "lake": "lake",
    "milvus": "pvd",
}

#: These start first: other programs answer them.
_SLOW = ("ray", "milvus", "lake", "mlflow")
_IMPORTING = threading.Lock()


def examine(settings: Settings, within_s: float = WITHIN_S) -> list[Finding]:
    """Look at everything, and change nothing that stays.

    Args:
        settings: of the set-up.
        within_s: seconds after which a subject that still hangs is given up, and said to hang.
    """
    end = time.monotonic() + within_s
    found: dict[str, list[Finding]] = {name: [] for name in SUBJECTS}
    threads = {
        # Daemons: the process may end while one of them still waits for somebody.
        name: threading.Thread(
            target=_look, args=(name, settings, found[name]), daemon=True, name=f"doctor {name}"
        )
        for name in SUBJECTS
    }
    for name in sorted(threads, key=lambda name: name not in _SLOW):
        threads[name].start()
    findings: list[Finding] = []
    for name, thread in threads.items():
        thread.join(max(end - time.monotonic(), 0.0))
        findings += found[name]
        if thread.is_alive():
            findings.append(late(name, within_s))
    return findings


def _look(name: str, settings: Settings, into: list[Finding]) -> None:
    try:
        with _IMPORTING:
            check: Check = import_module(f"poise.doctor.{SUBJECTS[name]}").check
        for finding in check(settings):  # one by one: the next may hang
            into.append(_without_passwords(finding))
    except PoiseError as error:
        into.append(_without_passwords(Finding(name, "failed", str(error))))
    except Exception as error:  # of a library, in words; the other subjects are told all the same
        said = f"it cannot be looked at ({type(error).__name__}: {in_short(error)})"
        into.append(_without_passwords(Finding(name, "failed", said)))


def _without_passwords(finding: Finding) -> Finding:
    """Findings name addresses as they were given, and people send them to others for advice."""
    return replace(finding, found=masked(finding.found), cure=masked(finding.cure))
