"""Which model a request wants, and where the registry says it is."""

from dataclasses import dataclass
from typing import Final

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from poise.catalog.tracks import Track
from poise.checkpoints.mlflow_client import in_words, mlflow_client
from poise.checkpoints.registry import (
    CHAMPION,
    MODEL_NAME,
    find_version,
    inventory,
    model_name,
    resolve,
)
from poise.checkpoints.shipped import GENERAL, shipped
from poise.runtime.errors import ModelError, PoiseError, TrackError
from poise.runtime.printable import printable
from poise.runtime.settings import database
from poise.serving.model_lookup import ModelLocation

MISSING, WRONG, AWAY = 404, 422, 503
#: Characters of what an answer says of the models that there are.
_MOST_SAID: Final = 2000


class ChoiceError(PoiseError):
    """No model for a request.

    Args:
        status: `MISSING`, there is none of that name; `WRONG`, the request contradicts itself;
            `AWAY`, the registry does not answer, or the model cannot be loaded.
        field: of the request.
        message: what is wrong, and what there is.
    """

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(message)
        self.status, self.field = status, field


@dataclass(frozen=True)
class Wanted:
    """A model by name, or by the track whose champion it is.

    Attributes:
        model: ``name@alias`` or ``name/version`` in the registry, or `GENERAL`; None leaves it to
            the track.
        track: None where the name says it all.
    """

    model: str | None
    track: Track | None

    @property
    def moves(self) -> bool:
        """Whether it may stand for another version tomorrow."""
        return self.model is None or "@" in self.model

    @property
    def alias(self) -> str:
        """What stands for the version, where something does."""
        return (self.model or "").partition("@")[2] or CHAMPION


def read_wanted(model: str | None, track: str | None) -> Wanted:
    """Read what a request asks for; names of nothing are found out later.

    Raises:
        ChoiceError: the track is none.
    """
    known = None
    if track is not None:
        try:
            known = Track.parse(track)
            _ = known.info
        except TrackError as error:
            raise ChoiceError(WRONG, "track", str(error)) from None
    if model in (None, GENERAL):
        return Wanted(model, known)
    match = MODEL_NAME.fullmatch(model or "")
    plain = match is not None and match["alias"] is None and match["version"] is None
    return Wanted(f"{model}@{CHAMPION}" if plain else model, None)


def agreed(field: str, *said: str | None) -> str | None:
    """What a field says, wherever a request has it.

    Raises:
        ChoiceError: it says two things.
    """
    names = {one for one in said if one is not None}
    if len(names) > 1:
        raise ChoiceError(WRONG, field, "query and body name two")
    return names.pop() if names else None


class Registry:
    """The registry as a replica asks it: a client that is made when it is needed.

    Args:
        tracking_uri: where it is; None has none.
    """

    def __init__(self, tracking_uri: str | None) -> None:
        self._uri = tracking_uri
        self._client: MlflowClient | None = None

    def locate(self, wanted: Wanted) -> ModelLocation:
        """Find a model. Takes as long as the registry does, some 20 seconds at most.

        Raises:
            ChoiceError: there is none, or no answer.
        """
        if wanted.model == GENERAL:
            return general(wanted.track)
        try:
            return self._registered(wanted)
        except MlflowException as error:
            raise ChoiceError(AWAY, "model", f"the registry: {in_words(error)}") from error
        except ModelError as error:
            raise ChoiceError(AWAY, "model", "the registry does not answer") from error

    def inventory(self) -> str:
        """Say what there is, in a line; raises what `locate` does."""
        client = self._open()
        said = "" if client is None else inventory(client)
        return printable(said or "the registry is empty")[:_MOST_SAID]

    def _registered(self, wanted: Wanted) -> ModelLocation:
        name = model_name(wanted.track) if wanted.track else wanted.model or ""
        match = MODEL_NAME.fullmatch(name)
        client, found = self._open(), None
        if client is not None and match is not None:
            found = find_version(client, match["name"], match["alias"], match["version"])
        if found is not None and match is not None:
            version = str(found.version)
            folder = resolve(f"{found.name}/{version}", str(self._uri))
            alias = None if match["version"] else match["alias"] or CHAMPION
            return ModelLocation(found.name, version, folder, alias)
        if wanted.model is None:
            return general(wanted.track)
        name = printable(wanted.model)[:200]
        raise ChoiceError(
            MISSING, "model", f"no model {name!r}; there is {GENERAL}, and {self.inventory()}"
        )

    def _open(self) -> MlflowClient | None:
        store = None if self._uri is None else database(self._uri)
        if self._uri is None or (store is not None and not store.exists()):
            return None  # nothing was ever registered, and asking makes no store
        self._client = self._client or mlflow_client(self._uri)
        return self._client


def general(track: Track | None) -> ModelLocation:
    """The general network, for the joints of a track.

    Raises:
        ChoiceError: it does not refine such poses.
    """
    try:
        folder = shipped(GENERAL, track.info.dims) if track else shipped(GENERAL)
    except ModelError as error:
        raise ChoiceError(
            MISSING, "track", f"no model of {track} is champion, and {error}"
        ) from None
    return ModelLocation(GENERAL, None, str(folder), track=track)
