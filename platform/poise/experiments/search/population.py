"""Population-based training: networks trained together, of which the worst follow the best.

A member that follows another becomes a trial of its own. It begins as a copy of the other's folder,
with changed settings; the member's own trial ends as stopped.
"""

from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining
from ray.tune.search.optuna import OptunaSearch
from ray.tune.utils.util import unflatten_dict

from poise.experiments.search.member import METRIC
from poise.experiments.search.suggestions import domains
from poise.experiments.search.trials import SearchTrials
from poise.experiments.space import Values

#: How often in its training a network may follow another.
_TURNS = 5


class Population:
    """The members of a search, and how they follow each other."""

    def __init__(self, trials: SearchTrials) -> None:
        """Begin members, as many as the search has trials, or go on with those that were begun."""
        self._trials = trials
        wanted = trials.points.search.trials or 0
        for number in range(trials.count, wanted):
            trials.begin(trials.points.spec(self._drawn(number), number))
        self.members = [one for one in trials.tried() if one.result is None]

    def param_space(self) -> dict[str, Any]:
        """Return what Tune hands to the members."""
        members = [
            {"key": one.spec.key, "values": one.values, "spec": one.spec.to_json()}
            for one in self.members
        ]
        return {"member": tune.grid_search(members)}

    def scheduler(self) -> PopulationBasedTraining:
        """Return Tune's scheduler of this population."""
        changes: dict[str, Any] = {}
        ranges = domains(self._trials.points.search.space)
        for place, name, draw in self._trials.points.search.space.items():
            how = list(draw.choice) if draw.choice else ranges[place][name]
            changes.setdefault(place, {})[name] = how
        return PopulationBasedTraining(
            time_attr="epoch",
            metric=METRIC,
            mode="min",
            perturbation_interval=max(self._trials.points.epochs // _TURNS, 1),
            hyperparam_mutations={"member": {"values": changes}},
            custom_explore_fn=self._follow,
            log_config=False,
            # All at the same epoch: else who is behind is copied by those ahead, again and again.
            synch=True,
        )

    def _follow(self, config: dict[str, Any]) -> dict[str, Any]:
        """Turn the changed settings of the better member into a trial that goes on from it."""
        member, points = config["member"], self._trials.points
        values: Values = {}
        for place, name, draw in points.search.space.items():
            value = draw.nearest(member["values"][place][name])
            values.setdefault(place, {})[name] = value
        number = self._trials.count
        spec = points.spec(values, number, grown_from=member["key"])
        self._trials.announce(spec)
        member = {"key": spec.key, "values": values, "spec": spec.to_json()}
        return {**config, "member": member}

    def _drawn(self, number: int) -> Values:
        seed = 1000 * self._trials.points.plan.seeds[0] + number
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
        space = OptunaSearch.convert_search_space(domains(self._trials.points.search.space))
        found: Values = unflatten_dict(study.ask(fixed_distributions=space).params)
        return found
