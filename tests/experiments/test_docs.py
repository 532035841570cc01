"""The documentation's examples run, and give what they say."""

import argparse
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_runs import arena

from arena.schemas import TABLES
from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.founders.brains import brain, ensemble_of
from experiments.founders.files import read_files
from genomes.registry import make_species
from genomes.species import Shape

pytestmark = pytest.mark.usefixtures("plainly_compiled")

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


def test_the_page_of_live_bots_lists_its_sections_and_its_quick_start_is_commands() -> None:
    text = (DOCS / "live.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    contents = prose.partition("\n## ")[0]
    listed = re.findall(r"^\| \[(.*?)\]\(#(.*?)\) \|", contents, flags=re.MULTILINE)
    sections = re.findall(r"^## (.*)$", prose, flags=re.MULTILINE)
    assert listed == [(name, name.lower().replace(" ", "-")) for name in sections]
    start = text.partition("## Quick start")[2].partition("\n## ")[0]
    commands = [line.split()[2:] for line in start.splitlines() if line.startswith("$ arena ")]
    assert [words[0] for words in commands] == ["runs", "export", "verify", "paper"]
    for name, *words in commands:
        parser = argparse.ArgumentParser(exit_on_error=False)
        importlib.import_module(f"experiments.commands.{name}").add_arguments(parser)
        parser.parse_args(words)


def test_the_model_of_the_forests_example_founds_the_run_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xgboost", reason="no XGBoost: pip install '.[trees]'")
    text = (DOCS / "forests.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (command,) = re.findall(r"^    arena (evolve .*training.path=.*)$", text, flags=re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block, "docs/forests.md", "exec"), names)
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    assert names["words"] == [word for word in command.split()[1:] if word.startswith("market")]
    code, _, complaint = arena(*command.split(), "check=true")
    assert code == 0, complaint
    _founds(tmp_path / "model.json", names["market"])


def _founds(path: Path, market: Any) -> None:
    """The model has room in a default forest, and answers there as it does by itself."""
    models, _ = read_files(str(path), market.features)
    settings = make_study(compose(["species=forest", "species.founders=file", f"training.path={path}"])).settings
    species: Any = make_species("forest", settings.species["forest"], Shape(len(market.features), 4))
    rows = np.asarray(market.tape.features)[:50, 0]
    genome = brain(models[0], species)
    again = ensemble_of(genome, species, market.features)
    full = np.concatenate([rows, np.zeros((50, 4), np.float32)], axis=1)
    np.testing.assert_array_equal(again.predict(full), models[0].predict(rows))
