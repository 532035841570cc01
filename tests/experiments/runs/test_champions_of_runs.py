"""Who holds what, by replicate, against a recount of the archive's rows one after another."""

import itertools

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.schemas import REGIME_NAMES
from experiments.runs.champions import holders, placed

ISLANDS = 2
LOST = 5  # whose birth is not there
ROWS = st.lists(
    st.tuples(
        st.sampled_from([*REGIME_NAMES[:2], None, "sideways"]),
        st.sampled_from([0, 1, 2, 3, LOST, None]),
        st.sampled_from([1.0, -2.0, None, float("inf"), float("nan")]),
        st.sampled_from([0, 0, 0, 1]),
    ),
    max_size=25,
)
"""Regime, id, score, and by how many the fold is later than in the row before."""


@settings(max_examples=60)
@given(rows=ROWS, several=st.booleans(), asked=st.sampled_from([None, None, 0, 1]))
def test_holders_are_those_of_a_recount(
    rows: list[tuple[str | None, int | None, float | None, int]], several: bool, asked: int | None
) -> None:
    folds = list(itertools.accumulate(later for *_, later in rows))
    archive = pl.DataFrame(
        [(generation, *row[:3], fold) for generation, (row, fold) in enumerate(zip(rows, folds, strict=True))],
        schema={
            "generation": pl.UInt32,
            "regime": pl.String,
            "id": pl.UInt64,
            "score": pl.Float32,
            "fold": pl.UInt32,
        },
        orient="row",
    )
    births = pl.DataFrame({"id": range(4), "island": range(4)}, schema={"id": pl.UInt64, "island": pl.UInt32})
    held: dict[int, dict[tuple[int, str], tuple[int, float, int, int]]] = {}
    lost = 0
    for generation, ((regime, identity, score, _), fold) in enumerate(zip(rows, folds, strict=True)):
        if regime not in REGIME_NAMES or identity is None or score not in (1.0, -2.0):
            continue
        own = held.setdefault(fold, {})
        if several and identity == LOST:
            lost += 1
            continue
        place = (identity // ISLANDS if several else 0, regime)
        since = own[place][3] if place in own and own[place][0] == identity else generation
        own[place] = (identity, score, generation, since)
    table = placed(archive, births if several else None, ISLANDS)
    assert table["replicate"].null_count() == lost
    found = {
        (row["replicate"], row["regime"]): (row["id"], row["score"], row["generation"], row["since"])
        for row in holders(table, asked).iter_rows(named=True)
    }
    assert found == held.get(max(held, default=0) if asked is None else asked, {})
