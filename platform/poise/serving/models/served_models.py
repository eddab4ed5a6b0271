"""The models of a replica: its own, and some others that requests named.

What an alias stands for is looked up again every few seconds. Where it moved, the new version is
loaded beside the old one, which goes on meanwhile, and requests that have begun end on the old one.
"""

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from numpy import float32
from numpy.typing import NDArray

from poise.checkpoints.registry import CHAMPION
from poise.checkpoints.shipped import GENERAL
from poise.runtime.errors import PoiseError
from poise.serving.model import ReplicaConfig, ServedModel
from poise.serving.model_lookup import ModelLocation
from poise.serving.models.wanted import (
    AWAY,
    MISSING,
    WRONG,
    ChoiceError,
    Registry,
    Wanted,
    read_wanted,
)
from poise.serving.work import Work

logger = logging.getLogger(__name__)

#: Seconds between two looks at what aliases stand for.
WATCH_S: Final = 3.0
#: How long a request waits for the registry.
LOOKUP_S: Final = 10.0
#: Names that are remembered: what they stood for last.
_NAMES: Final = 64


class ModelWork(Work):
    """A sequence for one of several models."""

    def __init__(self, model: ServedModel, sequence: NDArray[float32], keeps: bool = False) -> None:
        super().__init__(sequence, keeps)
        self.model = model


class ServedModels:
    """All models of a replica.

    Args:
        config: the replica's own model, which is always loaded, and how many others may be.

    Raises:
        CheckpointError: the replica's own cannot be loaded.
    """

    def __init__(self, config: ReplicaConfig) -> None:
        self._config = config
        self._registry = Registry(config.tracking_uri)
        self._lock = threading.Lock()
        self._names: OrderedDict[Wanted, ModelLocation] = OrderedDict()
        self._kept: OrderedDict[ModelLocation, ServedModel] = OrderedDict()
        self._coming: dict[ModelLocation, Future[ServedModel]] = {}
        self._lookups = ThreadPoolExecutor(2, "registry")
        self._loads = ThreadPoolExecutor(1, "loading")
        self._turns: dict[int, int] = {}
        self._turn = 0
        self._closed = threading.Event()
        self._bad: ModelLocation | None = None
        given = config.model
        #: What moves the own model, if anything does.
        self._own = Wanted(f"{given.name}@{given.alias}", None) if given.alias else None
        self.own = self._first()
        if config.tracking_uri is not None:
            threading.Thread(target=self._watch, name="aliases", daemon=True).start()

    @property
    def loaded(self) -> list[ServedModel]:
        """The replica's own model, then the others, the last that was asked for first."""
        with self._lock:
            others = [one for one in reversed(self._kept.values()) if one is not self.own]
            return [self.own, *others]

    async def get(self, model: str | None = None, track: str | None = None) -> ServedModel:
        """Find the model for a request, and load it if need be, while others go on.

        Args:
            model: ``name``, ``name@alias`` or ``name/version``.
            track: the model's; where no model is named, its champion's, else the general one's.

        Raises:
            ChoiceError: there is none.
        """
        served = self.own
        if not self._is_own(model, track):
            wanted = read_wanted(model, track)
            with self._lock:
                location = self._names.get(wanted)
                there = self._at_hand(location)
            if location is None:
                location = await self._looked_up(wanted)
            served = there or await self._loaded(location)
        if track is not None and str(served.track) != track:
            message = f"{served.name} was trained on {served.track}"
            raise ChoiceError(WRONG, "track", message)
        return served

    def moved_to(self, model: ServedModel, asked: str | None = None) -> str | None:
        """The version that a stream would get by now, where that is another than its model's.

        Args:
            model: the stream's.
            asked: how it named it: ``name``, ``name@alias``; None where it did not.
        """
        alias = (asked or "").partition("@")[2] or None
        with self._lock:
            own, given = self.own.config.model, self._config.model.alias
            places = [(given, own)] + [(w.alias, one) for w, one in self._names.items() if w.moves]
        wanted = alias or (given if model.name == own.name else CHAMPION)
        here = model.config.model
        for known, place in places if wanted else ():
            if (known, place.name) == (wanted, here.name) and place != here:
                return place.version
        return None

    def advance(self, works: Sequence[ModelWork], streams_wait: bool = False) -> None:
        """Take a step of the sequences of one model, the one that has waited longest."""
        by_model: dict[int, list[ModelWork]] = {}
        for work in works:
            by_model.setdefault(id(work.model), []).append(work)
        first = min(by_model, key=lambda key: self._turns.get(key, 0))
        self._turn += 1
        self._turns = {key: self._turns.get(key, 0) for key in by_model} | {first: self._turn}
        chosen = by_model[first]
        chosen[0].model.advance(chosen, streams_wait)

    def close(self) -> None:
        """Stop what runs in the background."""
        self._closed.set()
        for pool in (self._lookups, self._loads):
            pool.shutdown(wait=False, cancel_futures=True)
        for model in self.loaded:
            model.close()

    def _is_own(self, model: str | None, track: str | None) -> bool:
        own, moves = self.own, self._own
        if model is None or own.name == model == GENERAL:
            return track in (None, str(own.track))
        names = {own.name, f"{own.name}/{own.version}"}
        return model in names or (moves is not None and model == moves.model)

    def _at_hand(self, location: ModelLocation | None) -> ServedModel | None:
        """A loaded model, which counts as asked for last; the lock is held."""
        if location == self.own.config.model:
            return self.own
        if location is None or location not in self._kept:
            return None
        self._kept.move_to_end(location)
        return self._kept[location]

    async def _looked_up(self, wanted: Wanted) -> ModelLocation:
        asked = self._lookups.submit(self._registry.locate, wanted)
        try:
            location = await asyncio.wait_for(asyncio.wrap_future(asked), LOOKUP_S)
        except TimeoutError:
            raise ChoiceError(AWAY, "model", "the registry does not answer") from None
        except ChoiceError as error:
            if error.status != MISSING:
                raise
            raise ChoiceError(MISSING, error.field, f"{error}; {self.own.name} is served") from None
        self._remember(wanted, location)
        return location

    def _remember(self, wanted: Wanted, location: ModelLocation) -> None:
        with self._lock:
            self._names[wanted] = location
            self._names.move_to_end(wanted)
            while len(self._names) > _NAMES:
                self._names.popitem(last=False)

    async def _loaded(self, location: ModelLocation) -> ServedModel:
        try:
            # Whoever goes away leaves it to those who wait for the same.
            return await asyncio.shield(asyncio.wrap_future(self._load(location)))
        except PoiseError as error:
            logger.warning("%s cannot be loaded: %s", location.name, error)
            message = f"{location.name} cannot be loaded; the service's log says why"
            raise ChoiceError(AWAY, "model", message) from None

    def _load(self, location: ModelLocation) -> Future[ServedModel]:
        """Load a model, one at a time, unless it is there or on its way."""
        with self._lock:
            if (there := self._at_hand(location)) is not None:
                done: Future[ServedModel] = Future()
                done.set_result(there)
                return done
            if location not in self._coming:
                self._coming[location] = self._loads.submit(self._open, location)
            return self._coming[location]

    def _open(self, location: ModelLocation) -> ServedModel:
        own = location.name == self._config.model.name and location.name != GENERAL
        config = replace(self._config, model=location)
        if not own:  # the options are the own network's
            config = replace(config, stride=None, compiled=False)
        try:
            model = ServedModel(config)
        except BaseException:
            with self._lock:
                del self._coming[location]
            raise
        with self._lock:
            del self._coming[location]
            self._keep(location, model)
        logger.info("Loaded %s version %s.", location.name, location.version)
        return model

    def _keep(self, location: ModelLocation, model: ServedModel) -> None:
        """Keep a model beside the replica's own, and forget the one that nobody asked for longest.

        Requests that it has begun end on it all the same.
        """
        self._kept[location] = model
        while len(self._kept) > self._config.models:
            _, old = self._kept.popitem(last=False)
            if old is not getattr(self, "own", None):
                old.close()

    def _first(self) -> ServedModel:
        """The replica's own model, of the version that its alias stands for by now."""
        given = self._config.model
        if self._own is not None and self._config.tracking_uri is not None:
            try:
                asked = self._lookups.submit(self._registry.locate, self._own)
                return ServedModel(replace(self._config, model=asked.result(LOOKUP_S)))
            except (PoiseError, TimeoutError) as error:
                logger.warning("%s begins at version %s: %s", given.name, given.version, error)
        return ServedModel(self._config)

    def _watch(self) -> None:
        answers = True
        while not self._closed.wait(WATCH_S):
            try:
                self._look()
            except ChoiceError as error:
                if answers:
                    logger.warning("Aliases stay as they were: %s", error)
                answers = False
            except Exception:  # of whatever kind: it is looked at again
                logger.exception("Looking at aliases failed.")
            else:
                answers = True

    def _look(self) -> None:
        """See what moved, and follow."""
        if self._own is not None:
            self._swap(self._registry.locate(self._own))
        with self._lock:
            names = [one for one in self._names.items() if one[0].moves]
        for wanted, before in names:
            try:
                location = self._registry.locate(wanted)
                if location != before:
                    self._load(location).result()
                    self._remember(wanted, location)
            except PoiseError as error:
                if getattr(error, "status", MISSING) == AWAY:
                    raise
                logger.warning("%s leads nowhere any more: %s", wanted.model, error)
                with self._lock:
                    self._names.pop(wanted, None)

    def _swap(self, location: ModelLocation) -> None:
        before = self.own.config.model
        if location in (before, self._bad):
            return
        try:
            new = self._load(location).result()
        except PoiseError as error:
            self._bad = location
            logger.warning("Version %s stays: %s", before.version, error)
            return
        with self._lock:
            old, self.own = self.own, new
            self._kept.pop(location, None)
            self._keep(before, old)
        self._bad = None
        logger.info("%s went from version %s to %s.", new.name, before.version, location.version)
