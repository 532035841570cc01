"""Who holds what, by replicate, against a recount of the archive's rows one after another."""

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
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(rows=ROWS, several=st.booleans())
def test_holders_are_those_of_a_recount(rows: list[tuple[str | None, int | None, float | None]], several: bool) -> None:
    archive = pl.DataFrame(
        [(generation, *row) for generation, row in enumerate(rows)],
        schema={"generation": pl.UInt32, "regime": pl.String, "id": pl.UInt64, "score": pl.Float32},
        orient="row",
    )
    births = pl.DataFrame({"id": range(4), "island": range(4)}, schema={"id": pl.UInt64, "island": pl.UInt32})
    held: dict[tuple[int, str], tuple[int, float, int, int]] = {}
    lost = 0
    for generation, (regime, identity, score) in enumerate(rows):
        if regime not in REGIME_NAMES or identity is None or score not in (1.0, -2.0):
            continue
        if several and identity == LOST:
            lost += 1
            continue
        place = (identity // ISLANDS if several else 0, regime)
        since = held[place][3] if place in held and held[place][0] == identity else generation
        held[place] = (identity, score, generation, since)
    table = placed(archive, births if several else None, ISLANDS)
    assert table["replicate"].null_count() == lost
    found = {
        (row["replicate"], row["regime"]): (row["id"], row["score"], row["generation"], row["since"])
        for row in holders(table).iter_rows(named=True)
    }
    assert found == held
