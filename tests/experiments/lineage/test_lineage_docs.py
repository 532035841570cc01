"""The page on lineage: its example runs, and its tables name what there is."""

import re
from pathlib import Path
from typing import Any

from experiments.lineage import metrics as metrics_module
from experiments.lineage import tree as tree_module
from experiments.lineage.neutral import neutral_table
from experiments.lineage.tree import depth

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "lineage.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path) -> None:
    block, *_ = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    path = tmp_path / "lineage.parquet"
    neutral_table(10, 200, replaced=0.5, seed=1).write_parquet(path)
    names: dict[str, Any] = {}
    exec(compile(block.replace("runs/<run_id>/lineage.parquet", str(path)), "docs/lineage.md", "exec"), names)
    assert len(names["line"]) == depth(names["tree"]).max()
    assert names["line"][-1] < 10
    assert (names["living"].extinct, names["living"].taxa) == (False, 10)
    assert (names["everybody"].extinct, names["everybody"].agents) == (True, 10 + 200 * 5)
    assert names["lag"].row(-1, named=True)["ancestor_id"] == names["tree"].id[names["common"]]


def test_its_tables_name_all_there_is() -> None:
    said = set(re.findall(r"[`.]([a-z_]+)[`(]", PAGE))
    assert said >= {name for name in tree_module.__all__ if name != "Tree"}
    measured = set(metrics_module.Metrics.__dataclass_fields__) - {"extinct", "time", "agents", "taxa", "founders"}
    for name in measured:
        prefix, _, rest = name.partition("_")
        assert name in said or (f"{prefix}_" in said and rest in PAGE), name
