"""Which version of a registered model is its champion, since when, by whom, and why."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from poise.checkpoints.registry import CHAMPION, find_version, versions
from poise.runtime.errors import ModelError
from poise.runtime.printable import printable

#: Tag of a version: its promotions, a JSON list, the last one last.
PROMOTIONS = "poise.promotions"
#: A tag holds 5,000 characters.
_KEPT, _LONGEST = 8, 300


@dataclass(frozen=True)
class Promotion:
    """A version became champion.

    Attributes:
        version: which.
        at: when, as ISO 8601 in UTC.
        by: who; ``poise sweep`` where it was automatic.
        reason: why.
        before: the version that was champion until then; empty where none was.
    """

    version: str
    at: str
    by: str
    reason: str
    before: str


def crown(client: MlflowClient, version: ModelVersion, by: str, reason: str) -> Promotion:
    """Make a version the champion of its model, and write down who wanted it, and why.

    The reason is written first: a champion of which nobody knows why would be worse than a reason
    without effect.
    """
    present = find_version(client, version.name)
    promotion = Promotion(
        version=str(version.version),
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        by=printable(by),
        reason=printable(reason)[:_LONGEST],
        before="" if present is None else str(present.version),
    )
    kept = [*promotions(version), promotion][-_KEPT:]
    content = json.dumps([asdict(one) for one in kept])
    client.set_model_version_tag(version.name, version.version, PROMOTIONS, content)
    client.set_registered_model_alias(version.name, CHAMPION, version.version)
    return promotion


def history(client: MlflowClient, name: str) -> list[Promotion]:
    """Return the promotions of a model's versions, the last one last.

    Clocks are set back: each says which version was champion before, and that is followed as far as
    it leads.
    """
    left = {str(version.version): promotions(version) for version in versions(client, name)}
    present = find_version(client, name)
    at = "" if present is None else str(present.version)
    found = []
    while left.get(at):
        found.append(left[at].pop())
        at = found[-1].before
    others = [one for some in left.values() for one in some]
    return [*sorted(others, key=lambda one: one.at), *reversed(found)]


def earlier(client: MlflowClient, name: str) -> ModelVersion:
    """Return the version that was champion before the present one.

    Raises:
        ModelError: there is no champion, or nothing is known of an earlier one.
    """
    present = find_version(client, name)
    if present is None:
        raise ModelError(f"{name} has no champion")
    mine = [one for one in promotions(present) if one.before not in ("", one.version)]
    found = find_version(client, name, number=mine[-1].before) if mine else None
    if found is None:
        raise ModelError(
            f"nothing is known of a champion of {name} before version {present.version}: name the "
            "version that you want"
        )
    return found


def promotions(version: ModelVersion) -> list[Promotion]:
    """Return a version's promotions; what somebody else wrote under the tag is passed over."""
    try:
        found = json.loads(version.tags.get(PROMOTIONS, "[]"))
        return [Promotion(**{name: str(text) for name, text in one.items()}) for one in found]
    except (ValueError, TypeError, AttributeError):
        return []
