"""The documentation's examples run, and give what they say."""

import re
from pathlib import Path

import polars as pl

from arena.schemas import TABLES

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_python_example_evolves_and_gives_frames() -> None:
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "docs/python.md", "exec"), names)
    fitness, parents, standings = names["fitness"], names["parents"], names["standings"]
    assert isinstance(fitness, pl.DataFrame)
    assert dict(fitness.schema) == {
        key: (kind() if isinstance(kind, type) else kind) for key, kind in TABLES["fitness"].items()
    }
    assert fitness["generation"].unique().sort().to_list() == [0, 1, 2]
    train = fitness.filter((pl.col("split") == "train") & (pl.col("regime") == "all"))
    assert train.group_by("generation").len()["len"].to_list() == [16, 16, 16]
    assert isinstance(parents, pl.DataFrame)
    assert parents.height > 0
    assert isinstance(standings, pl.DataFrame)
    assert {"flat", "buy and hold"} <= set(standings["player"])
    flat = standings.filter(pl.col("player") == "flat")
    assert flat["log_return"].to_list() == [0.0] * flat.height
