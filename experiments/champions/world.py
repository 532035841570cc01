"""The world a run was made in, made ready to be looked at again: nothing is written, nothing locked, nobody joined."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from arena.plan import Plan, make_plan
from experiments.configuration.study import Study, load_market, make_study
from experiments.runs.identity import data_hash
from markets.errors import UserError
from markets.preparation import Market
from markets.source import Supply

__all__ = ["World", "alone", "load_world"]


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


def alone(config: Mapping[str, Any]) -> Study:
    """What a run was made of, as one process on one device of this machine takes it up.

    Where its founders came from need not be there any more.

    Args:
        config: as its directory has it.

    Raises:
        UserError: it is of no run that this program knows.
    """
    device = config.get("device")
    if isinstance(device, Mapping):
        config = {**config, "device": {**device, **dict.fromkeys(("coordinator", "processes", "process")), "count": 1}}
    return make_study(config, founded=True)


def load_world(study: Study, known: object, fold: int = 0) -> World:
    """The market of a run as it was.

    Args:
        study: of the run, `alone`.
        known: hash of its bars by its manifest; None where that is not on record.
        fold: whose tape, where the run has several; champions are looked at on that of theirs
            (`experiments.runs.champions.fold_reached`).

    Raises:
        UserError: its bars are gone, or are not what they were.
    """
    try:
        supply, market = load_market(study, fold)
        plan = make_plan(study.settings, len(market.features))
    except UserError as error:
        line = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"The bars that the run traded cannot be used: {line}.") from None
    if known is not None and known != data_hash(supply.bars):
        raise UserError("The bars of its market have changed since: they are not those that the run traded.")
    return World(supply, market, plan)
