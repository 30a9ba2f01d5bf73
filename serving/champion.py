"""A model version in service: what it promises, what it needs to know, and of whom it can say something."""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from features.catalogue import CATALOGUE
from features.eligibility import ELIGIBLE, Eligibility
from features.lifecycle import lifecycle_state
from features.spec import Feature, FeatureSet
from features.subscriptions import paid_value
from models.clv.contractual import ContractualModel
from models.contract import Contract
from models.persistence import Kept
from serving.reasons import Explained

NET_VALUE = "net_order_value"


@dataclass(frozen=True)
class Champion:
    """A model version in service.

    Parameters
    ----------
    version : str
        Its number in the registry.
    kept : Kept
        Model and contract.
    """

    version: str
    kept: Kept

    @property
    def contract(self) -> Contract:
        """What it promises."""
        return self.kept.contract

    @property
    def asks_for_value(self) -> bool:
        """Whether it values orders, and so says nothing of who has given back as much as was ordered."""
        return (self.contract.task, self.contract.eligible) == ("clv", "ordered")

    @property
    def bought(self) -> Feature:
        """Value of what a customer bought so far, of what a champion of lifetime value forecasts."""
        model = self.kept.model
        if isinstance(model, ContractualModel):
            return paid_value(model.periods_.usual, model.periods_.of_plan)
        return CATALOGUE[NET_VALUE]

    def knows(self, table: pa.Table) -> pa.Array:
        """Of which rows of a feature table it can say something."""
        known = self.eligible.mask(table)
        if not self.asks_for_value:
            return known
        net = table.column(NET_VALUE).combine_chunks()
        return pc.and_(known, pc.fill_null(pc.greater(net, 0.0), fill_value=False))

    @cached_property
    def features(self) -> FeatureSet:
        """The features it takes, as installed."""
        return self.contract.installed_features()

    @property
    def explained(self) -> Explained:
        """What its scores are explained by."""
        return Explained(self.kept, self.features, self.contract.currency)

    @cached_property
    def prospect_features(self) -> FeatureSet | None:
        """The features that its forecast of customers without an order takes; None without such a forecast."""
        prospects = self.kept.prospects
        if prospects is None:
            return None
        return FeatureSet("prospects", 1, tuple(CATALOGUE[name] for name in prospects.columns))

    @property
    def eligible(self) -> Eligibility:
        """Whom it scores."""
        return ELIGIBLE[self.contract.eligible]

    @property
    def marks_churned(self) -> bool:
        """Whether customers may have churned already when it scores them: by orders, not by an agreement."""
        return self.contract.task == "churn" and self.contract.eligible == "ordered"

    @property
    def needed(self) -> tuple[Feature, ...]:
        """All that must be known of a customer to score, to refuse and to mark them."""
        return (
            *self.features.features,
            *([self.eligible.feature] if self.eligible.feature else []),
            *([lifecycle_state] if self.marks_churned else []),
            *([CATALOGUE[NET_VALUE]] if self.asks_for_value else []),
            *(self.prospect_features.features if self.prospect_features else []),
        )
