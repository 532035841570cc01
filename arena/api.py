"""The arena from Python: settings and bars in, populations evolved, tables out as polars frames.

The commands run on the same class; what they add is a run directory, a terminal and a way to go on after a stop.
"""

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
from numpy.typing import NDArray

from arena.founding import begin_fold, found, spread
from arena.frames import founder_frame, frames
from arena.generation import make_generation
from arena.plan import make_plan
from arena.records import GenerationRecord
from arena.schemas import TABLES
from arena.settings import Settings
from arena.sharding import everywhere, on_host, put
from arena.standings import standings
from arena.state import ArenaState
from genomes.registry import make_species
from genomes.species import Shape
from markets.bars import Bars
from markets.folds import padded
from markets.preparation import Market, prepare
from markets.readers import ReadSettings, read_frame
from markets.scaling import Scaler
from markets.tape import Tape
from markets.windows import WindowSettings

__all__ = ["Arena", "make_market", "market_from_frame"]


def make_market(
    symbols: Sequence[Bars], settings: Settings, *, mode: str = "pool", scaler: Scaler | None = None, fold: int = 0
) -> Market:
    """The tape of some bars under the settings of an evolution.

    Args:
        symbols: bars of each symbol.
        settings: of the evolution.
        mode: `pool` makes every symbol a segment; `basket` trades all of them at once, on their common clock.
        scaler: of another market, to judge on these bars what was bred there: nothing is trained on them, and all of
            them are validation, in as many windows as there is room for.
        fold: which of the folds, where the split has several.

    Raises:
        UserError: too few bars, or a basket without a common clock or currency.
    """
    shape = Shape(features=1, account=1)
    context = max(make_species(name, own, shape).context for name, own in settings.species.items())
    return prepare(
        symbols,
        mode=mode,
        feature_settings=settings.features,
        regime_settings=settings.regimes,
        split_settings=settings.split,
        scaling_settings=settings.scaling,
        rules=settings.broker,
        costs=settings.costs,
        windows=WindowSettings(
            bars=settings.episodes.bars,
            validation=settings.episodes.validation if scaler is None else max(map(len, symbols)) * len(symbols),
            stratum=settings.episodes.stratum,
            context=context,
        ),
        scaler=scaler,
        fold=fold,
    )


def market_from_frame(
    frame: pl.DataFrame, settings: Settings, *, mode: str = "pool", reading: ReadSettings | None = None, fold: int = 0
) -> Market:
    """The tape of the bars in a polars frame.

    Args:
        frame: columns `timestamp, open, high, low, close` and optionally `volume`, `spread`, `adj_factor`, `symbol` or
            the ask side, as docs/bars.md says.
        settings: of the evolution.
        mode: as for `make_market`.
        reading: what the frame does not say about itself.
        fold: as for `make_market`.

    Raises:
        UserError: rows that are no bars, or too few of them.
    """
    return make_market(read_frame(frame, reading), settings, mode=mode, fold=fold)


class Arena:
    """An evolution in memory.

    Args:
        settings: of the evolution.
        market: made with the same settings; of several folds the one that is played, which `enter` changes.
        state: to go on from, of a generation of that fold; founders where there is none.

    Raises:
        UserError: settings that cannot be carried out on this machine.
    """

    def __init__(self, settings: Settings, market: Market, state: ArenaState | None = None) -> None:
        self.plan = make_plan(settings, len(market.features))
        self.market = market
        self.compile_seconds = 0.0
        self._made: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
        self._compiled: jax.stages.Compiled | None = None
        if state is None:
            state = found(self.plan, market.tape)
            self._made["births"].extend(self.founders(state))
        self.state = spread(self.plan, state)
        self._tape = self._put(market)

    @property
    def agent_bars(self) -> int:
        """Bars that all agents together trade in the training episodes of one generation."""
        episodes = self.plan.settings.episodes
        return self.plan.places * self.plan.slots * len(self.plan.names) * episodes.episodes * episodes.bars

    def founders(self, state: ArenaState) -> list[pl.DataFrame]:
        """Births of the founders of each species, for a state before its first generation."""
        named = zip(self.plan.names, state.populations, strict=True)
        return [founder_frame(np.asarray(on_host(population.id)), name) for name, population in named]

    def enter(self, market: Market) -> None:
        """Go on in another fold: its windows are played from here on, standings and archive begin anew.

        The program is kept where the fold has as many validation windows as the last one, as it has unless one of them
        has fewer than its dates have room for; `compile_seconds` then becomes 0.

        Args:
            market: of the fold, made with the same settings of the same bars.
        """
        windows = market.tape.validation.shape
        if windows != self._tape.validation.shape:
            self._compiled = None
        self.compile_seconds = 0.0
        del self._tape
        self.market, self._tape = market, self._put(market)
        self.state = begin_fold(self.plan, self.state, windows[-1])

    def _put(self, market: Market) -> Tape:
        """The market's tape on the devices, in the shape that all folds have."""
        laid: Tape = put(padded(market.tape, market.room), everywhere(self.plan.mesh))
        return laid

    def compile(self) -> float:
        """Compile the generation, once; returns the seconds it took."""
        if self._compiled is None:
            began = time.monotonic()
            self._compiled = make_generation(self.plan).lower(self.state, self._tape).compile()
            self.compile_seconds = time.monotonic() - began
        return self.compile_seconds

    def step(self) -> GenerationRecord:
        """Start one more generation and return its record, on the device, without waiting for it."""
        self.compile()
        assert self._compiled is not None
        self.state, record = self._compiled(self.state, self._tape)
        made: GenerationRecord = record
        return made

    def run(self, generations: int) -> "Arena":
        """Evolve that many generations, keeping all tables in memory."""
        for _ in range(generations):
            began = time.monotonic()
            record: GenerationRecord = jax.device_get(self.step())
            made = frames(
                record, self.plan.names, self.market.time, least=self.plan.settings.fitness.bars, fold=self.market.fold
            )
            seconds = time.monotonic() - began
            made["timings"] = pl.DataFrame(
                {
                    "generation": [int(record.generation)],
                    "seconds": [seconds],
                    "compile_seconds": [0.0 if len(self._made["timings"]) else self.compile_seconds],
                    "agent_bars_per_second": [self.agent_bars / seconds],
                },
                schema=TABLES["timings"],
            )
            for name, frame in made.items():
                self._made[name].append(frame)
        return self

    def table(self, name: str) -> pl.DataFrame:
        """A table of all generations so far.

        Args:
            name: `births`, `deaths`, `fitness`, `scars`, `generations`, `timings` or `archive`.

        Raises:
            KeyError: no table of that name.
        """
        if name not in TABLES:
            raise KeyError(f"{name!r} is not a table; there are: {', '.join(TABLES)}")
        made = self._made[name]
        return pl.concat(made) if made else pl.DataFrame(schema=TABLES[name])

    def standings(self, oracle: NDArray[np.float32] | None = None, replicate: int = 0) -> pl.DataFrame:
        """Champions beside flat and buy and hold, by regime, on training and validation, after costs.

        Args:
            oracle: what the best possible player asks for at each row of the tape [rows, instruments], where known.
            replicate: whose champions.
        """
        archive = jax.tree.map(jnp.asarray, on_host(self.state.archive))
        return standings(self.plan, self.market, archive, oracle, replicate)
