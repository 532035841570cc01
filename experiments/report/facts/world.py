"""The world a run was made in, made ready to be looked at again: nothing is written, nothing locked, nobody joined.

Bars may have gone or changed since; what needs them is then left out, and said.
"""

import dataclasses
from collections.abc import Mapping

from arena.plan import Plan, make_plan
from experiments.configuration.study import Study, load_market, make_study
from experiments.report.facts.sources import Sources
from experiments.runs.identity import data_hash
from markets.errors import UserError
from markets.preparation import Market
from markets.source import Supply

__all__ = ["World", "load_study", "load_world", "sentence"]

_PARTS = ("standings", "champions")
"""Parts of the report that need the world."""


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """Bars, tape and plan of a run.

    Attributes:
        supply: bars as they come, and the oracle where there is one.
        market: the tape; the holdout is not on it.
        plan: of one device, whatever the run had.
    """

    supply: Supply
    market: Market
    plan: Plan

    def market_of(self, replicate: int) -> int:
        """Which market of the tape a replicate plays on."""
        return replicate if len(self.market.scalers) > 1 else 0


def load_study(sources: Sources) -> Study | None:
    """What the run was made of, as one process on one device of this machine takes it up.

    Returns:
        None where its configuration is gone or damaged, which is then on the list of what is missing.
    """
    config = dict(sources.config)
    device = config.get("device")
    if isinstance(device, Mapping):
        alone = dict.fromkeys(("coordinator", "processes", "process"))
        config["device"] = {**device, **alone, "count": 1}
    try:
        if not config:
            raise UserError("it is not there, or is damaged")
        return make_study(config, founded=True)
    except UserError as error:
        _without(sources, "config.yaml", f"What the run was made of is not known: {sentence(error)}.")
        return None


def load_world(sources: Sources, study: Study) -> World | None:
    """The market of a run as it was.

    Returns:
        None where its bars are gone, or are not what they were, which is then on the list of what is missing.
    """
    try:
        supply, market = load_market(study)
        plan = make_plan(study.settings, len(market.features))
    except UserError as error:
        _without(sources, "market", f"The bars that the run traded cannot be used: {sentence(error)}.")
        return None
    known = sources.manifest.get("data_hash")
    if known is not None and known != data_hash(supply.bars):
        _without(
            sources, "market", "The bars of its market have changed since: they are not those that the run traded."
        )
        return None
    if known is None:
        sources.missing.note(
            "What bars the run was made with is not on record; its configuration's are taken for them."
        )
    return World(supply, market, plan)


def _without(sources: Sources, what: str, why: str) -> None:
    for part in _PARTS:
        sources.missing.add(part, what, why)


def sentence(error: Exception) -> str:
    """What went wrong, in one line without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
