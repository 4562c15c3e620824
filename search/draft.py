"""A trial that is drawn and not written down: drawing may take seconds, and changes no trial."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import BaseTrial, FixedTrial, TrialState, create_trial

from .hearsay import Heard


class Draft(FixedTrial):
    """Draws each parameter as Optuna's own trial does, but into memory only.

    What a sampler keeps for itself goes where it puts it: NSGA-II writes the parents of a
    generation into the study, once for all that are drawn from them.

    Args:
        number: that the trial will have in its study.
        sampler: draws.
        heard: what the sampler is to see of the study.
        suggest: asks for all values.

    Attributes:
        trial: as it is to be written down, with what the sampler notes about it.
        values: every parameter in effect, the fixed ones too.
    """

    def __init__(
        self,
        number: int,
        sampler: BaseSampler,
        heard: Heard,
        suggest: Callable[[BaseTrial], dict[str, Any]],
    ) -> None:
        super().__init__({}, number)
        self.trial = create_trial(state=TrialState.RUNNING)
        self.trial.number = number
        self._sampler, self._study = sampler, heard.by(self.trial)
        self.values = suggest(self)

    @cached_property
    def _together(self) -> dict[str, Any]:
        """The parameters that the sampler draws jointly."""
        space = self._sampler.infer_relative_search_space(self._study, self.trial)
        return self._sampler.sample_relative(self._study, self.trial, space)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        params = self.trial.params  # every suggest_* of Optuna comes here
        if name not in params:
            drawn = distribution.to_internal_repr(self._draw(name, distribution))
            params[name] = distribution.to_external_repr(drawn)
            self.trial.distributions[name] = distribution
        return params[name]

    def _draw(self, name: str, distribution: BaseDistribution) -> Any:
        if distribution.single():
            from ..spaces import middle  # which takes seconds to import, and `status` needs none

            return middle(distribution)
        drawn = self._together.get(name)
        if name in self._together and distribution._contains(distribution.to_internal_repr(drawn)):
            return drawn  # it may be outside where ranges depend on other parameters
        return self._sampler.sample_independent(self._study, self.trial, name, distribution)
