"""Which settings are tried next, by Optuna through Ray Tune.

The study lives in memory. It is made anew from the folder of the search, so that a search that was
killed goes on with all that it knew.
"""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray import tune
from ray.tune.result import TRAINING_ITERATION
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from ray.tune.search.sample import Domain
from ray.tune.utils.util import flatten_dict

from poise.experiments.search.member import METRIC
from poise.experiments.search.trials import SearchTrials, Tried
from poise.experiments.space import Draw, Space

#: Draws after one that was tried before; then the space is taken to hold no more.
_MOST_AGAIN = 50


def domains(space: Space) -> dict[str, dict[str, Domain]]:
    """Return a space as Ray Tune has them."""
    found: dict[str, dict[str, Domain]] = {}
    for place, name, draw in space.items():
        found.setdefault(place, {})[name] = _domain(draw)
    return found


class Suggestions(Searcher):
    """Draws trials from a space and begins them; those that were cut off come first."""

    def __init__(self, trials: SearchTrials) -> None:
        """Tell Optuna of all that was tried.

        Args:
            trials: of the search.
        """
        super().__init__(metric=METRIC, mode="min")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._trials = trials
        self._asked: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        tried = trials.tried()
        self._study = OptunaSearch(
            space=OptunaSearch.convert_search_space(domains(trials.points.search.space)),
            metric=METRIC,
            mode="min",
            sampler=_sampler(trials),
            points_to_evaluate=[_flat(one.values) for one in tried if one.result is None],
        )
        for one in tried:
            if one.result is not None:
                best = one.best
                self._study.add_evaluated_point(_flat(one.values), best, pruned=best is None)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Begin a trial that was not tried; None where there is none."""
        for again in range(_MOST_AGAIN):
            asked = f"{trial_id}-{again}"
            spec = self._trials.points.spec(self._study.suggest(asked))
            known = self._trials.find(spec.key)
            if known is None or (known.result is None and spec.key not in self._keys.values()):
                self._trials.begin(spec)
                self._asked[trial_id], self._keys[trial_id] = asked, spec.key
                return {"member": {"key": spec.key}}
            self._tell(asked, known)
        done: dict[str, Any] = Searcher.FINISHED
        return done

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell Optuna of an epoch."""
        self._study.on_trial_result(self._asked[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how a trial ended; one that failed is as bad as can be."""
        tried = self._trials.find(self._keys[trial_id])
        if tried is None or tried.best is None:
            result = None
        self._study.on_trial_complete(self._asked[trial_id], result)

    def _tell(self, asked: str, known: Tried) -> None:
        best = known.best
        told = None if best is None else {METRIC: best, TRAINING_ITERATION: 1}
        self._study.on_trial_complete(asked, told)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the folder of the search has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""


def _domain(draw: Draw) -> Domain:
    if draw.choice is not None:
        found: Domain = tune.choice(list(draw.choice))
    elif draw.uniform is not None:
        found = tune.uniform(*draw.uniform)
    else:
        found = tune.loguniform(*draw.range)
    return found


def _sampler(trials: SearchTrials) -> BaseSampler:
    # With the number of trials, so that a search that goes on does not draw its first ones again.
    seed = 1000 * trials.points.plan.seeds[0] + trials.count
    if trials.points.search.method != "tpe":
        return RandomSampler(seed)
    # Optuna's 10 draws by chance would be nearly all of a short search.
    wanted = trials.points.search.trials or 30
    return TPESampler(seed=seed, n_startup_trials=min(10, max(3, wanted // 3)))


def _flat(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = flatten_dict(dict(values), "/")
    return found
