"""What the report says of champions, against a recount of the tables; and what it says where things are missing."""

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from report_runs import BREAKS

from arena.schemas import REGIME_NAMES, TABLES
from experiments.lineage.table import lineage
from experiments.lineage.tree import Tree, tree_of
from experiments.report.facts import gallery as gallery_module
from experiments.report.facts.agents import read_agents
from experiments.report.facts.archive import read_archive
from experiments.report.facts.champions import Champion, champion_facts, read_champions, read_traders
from experiments.report.facts.gallery import gallery
from experiments.report.facts.sources import Sources
from experiments.report.facts.standings import standings
from experiments.report.facts.world import load_study, load_world
from experiments.report.html import script_json
from experiments.report.report import report_facts
from experiments.runs.champions import best_scores
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import save_tree

SPECIES = ["forest", "qnetwork"]


@pytest.fixture
def broken(small_run: Path, tmp_path: Path) -> Callable[[str], Sources]:
    """A copy of the run with something done to it."""

    def broken(how: str) -> Sources:
        run = RunDirectory(Path(shutil.copytree(small_run, tmp_path / "run")))
        BREAKS[how](run)
        return Sources.of(run)

    return broken


def tree(sources: Sources) -> Tree:
    return tree_of(lineage(sources.frame("births"), sources.frame("deaths")))


def champion_of(identity: int, generation: int, scores: dict[int, float]) -> Champion:
    """A champion that won all it holds in one generation."""
    won = dict.fromkeys(scores, generation)
    return Champion(identity, generation, 0, scores, won, won)


def crowned(sources: Sources, *rows: tuple[int, str, int, float | None]) -> Sources:
    """The run with these rows, of generation, regime, id and score, for its archive."""
    first, *others = sorted(sources.directory.table("archive").glob("*.parquet"))
    table = pl.DataFrame(rows, schema=["generation", "regime", "id", "score"], orient="row").cast({"id": pl.UInt64})
    table = pl.concat([pl.read_parquet(first).clear(), table], how="diagonal_relaxed")
    table.cast(dict(TABLES["archive"])).write_parquet(first)
    assert others == []
    return Sources.of(sources.directory)


def whys(sources: Sources, part: str) -> list[str]:
    found = [entry["why"] for entry in sources.missing.facts() if entry["part"] == part]
    assert all(why.endswith(".") and "\n" not in why for why in found)
    return found


def test_champions_are_those_that_the_records_name(small_run: Path) -> None:
    sources = Sources.of(RunDirectory(small_run))
    study = load_study(sources)
    assert study is not None
    champions = read_traders(sources, read_champions(sources), study.settings)
    found = {(REGIME_NAMES[regime], c.id): score for c in champions for regime, score in c.scores.items()}
    assert found == {(regime, own): score for (regime, _), (score, own) in best_scores(sources.directory).items()}
    assert sources.missing.facts() == []


def test_facts_are_a_recount_of_the_tables(small_run: Path) -> None:
    sources = Sources.of(RunDirectory(small_run))
    study = load_study(sources)
    assert study is not None
    champions = read_traders(sources, read_champions(sources), study.settings)
    youngest = sources.frame("births").tail(6)["id"].to_list()  # whose lines are longer than a champion's
    scarred = sources.frame("scars")["id"].to_list()[-2:]
    champions += [champion_of(identity, 5, {0: 0.5}) for identity in {*youngest, *scarred}]
    facts = champion_facts(sources, champions, tree(sources), SPECIES)
    births = {row["id"]: row for row in sources.frame("births").to_dicts()}
    died = {row["id"]: row["generation"] for row in sources.frame("deaths").to_dicts()}
    scars, archive = sources.frame("scars").to_dicts(), sources.frame("archive").to_dicts()
    assert [fact["key"] for fact in facts] == [f"{c.id}-{c.generation}" for c in champions]
    longest = 0
    for champion, fact in zip(champions, facts, strict=True):
        own, line = births[champion.id], [champion.id]
        while (parent := births[line[0]]["parent_id"]) is not None:
            line.insert(0, parent)
        longest = max(longest, len(line))
        assert [step["id"] for step in fact["line"]] == line
        assert (fact["depth"], fact["born"], fact["parent"]) == (len(line) - 1, own["generation"], own["parent_id"])
        assert (fact["operator"], SPECIES[fact["species"]]) == (own["operator"], own["species"])
        until = [*(births[identity]["generation"] for identity in line[1:]), champion.generation]
        for step, passed in zip(fact["line"], until, strict=True):
            row, strength = births[step["id"]], births[step["id"]]["mutation_strength"]
            assert (step["born"], step["died"]) == (row["generation"], died.get(step["id"]))
            assert (step["operator"], SPECIES[step["species"]]) == (row["operator"], row["species"])
            assert step["strength"] == (None if strength is None else pytest.approx(strength, rel=1e-5))
            had = [scar["generation"] for scar in scars if scar["id"] == step["id"]]
            assert step["scars"] == len([generation for generation in had if generation < passed])
            assert step["later"] == len(had) - step["scars"]
            assert step["scarred"] == sorted(had)
            assert step["won_at"] == {
                str(regime): min(held)
                for regime, name in enumerate(REGIME_NAMES)
                if (held := [r["generation"] for r in archive if (r["id"], r["regime"]) == (step["id"], name)])
            }
            assert step["won"] == sorted({REGIME_NAMES.index(r["regime"]) for r in archive if r["id"] == step["id"]})
        own_scars = [scar for scar in scars if scar["id"] == champion.id]
        assert [(s["generation"], s["cause"], s["units"], s["later"]) for s in fact["scars"]] == [
            (s["generation"], s["cause"], s["units"], s["generation"] >= champion.generation) for s in own_scars
        ]
        assert {name: 1e-4 * score for name, score in fact["scores"].items()} == pytest.approx(
            {REGIME_NAMES[regime]: score for regime, score in champion.scores.items()}, rel=1e-5
        )
        if champion.trader is None:
            assert (fact["genes"], fact["trust"]) == (None, None)
            continue
        assert fact["genes"]["stop"] == pytest.approx(float(champion.trader.genes.stop), rel=1e-5)
        assert fact["trust"] == pytest.approx(np.asarray(champion.trader.trust).tolist(), rel=1e-5)
    assert longest > 3
    assert sum(len(fact["scars"]) for fact in facts) > 1
    assert all(any(step[kind] for fact in facts for step in fact["line"]) for kind in ("scars", "later"))
    assert {scar["later"] for fact in facts for scar in fact["scars"]} == {False, True}


def test_a_champion_is_told_since_when_it_has_held_each_regime(broken: Callable[[str], Sources]) -> None:
    sources = broken("in progress")
    one, other = sources.frame("births")["id"][:2].to_list()
    volatile, every = REGIME_NAMES[2], REGIME_NAMES[4]
    rows = [(0, every, one, 0.1), (1, every, other, 0.2), (2, every, one, 0.3), (3, volatile, one, 0.1)]
    sources = crowned(sources, *rows, (4, volatile, one, 0.2), (4, every, one, 0.4))
    (champion,) = read_champions(sources)
    assert (champion.id, champion.generation) == (one, 4)
    assert (champion.won, champion.since) == ({2: 4, 4: 4}, {2: 3, 4: 2})
    (fact,) = champion_facts(sources, [champion], tree(sources), SPECIES)
    assert (fact["regimes"], fact["since"]) == ([2, 4], {"2": 3, "4": 2})


def test_champions_of_an_unknown_replicate_are_told_and_left_out_everywhere(broken: Callable[[str], Sources]) -> None:
    sources = broken("in progress")
    config = yaml.safe_load(sources.directory.config.read_text(encoding="utf-8"))
    config["evolution"].update(replicates=2, islands=1)
    sources.directory.config.write_text(yaml.safe_dump(config), encoding="utf-8")
    (part,) = sources.directory.table("births").glob("*.parquet")
    births = pl.read_parquet(part).with_columns(island=(pl.col("id") % 2).cast(pl.UInt32))
    first, second, third, lost = births["id"][:4].to_list()
    births.filter(pl.col("id") != lost).write_parquet(part)
    every = REGIME_NAMES[4]
    rows = [(0, every, first, 0.1), (0, every, second, 0.2), (1, every, third, 0.3), (2, every, lost, 0.4)]
    sources = crowned(sources, *rows, (3, every, lost, 0.5))
    champions = read_champions(sources)
    assert [(one.id, one.replicate, one.since) for one in champions] == [(third, 0, {4: 1}), (second, 1, {4: 0})]
    held = {place: identity for place, (_, identity) in best_scores(sources.directory).items()}
    assert held == {(every, 0): third, (every, 1): second}
    archive = read_archive(sources, read_agents(sources))
    assert archive.current.select("id", "replicate").rows() == [(third, 0), (second, 1)]
    assert archive.table.select("id", "replicate").rows() == [(first, 0), (second, 1), (third, 0)]
    for told in ("champions", "curves", "standings"):
        (why,) = whys(sources, told)
        assert why.startswith("The birth of 1 agent of the archive is not there")


@pytest.mark.parametrize("score", [None, math.inf, math.nan])
def test_rows_of_the_archive_without_a_score_are_left_out(
    broken: Callable[[str], Sources], score: float | None
) -> None:
    sources = broken("in progress")
    one, other = sources.frame("births")["id"][:2].to_list()
    sources = crowned(sources, (0, REGIME_NAMES[4], one, 0.1), (1, REGIME_NAMES[4], other, score))
    facts, _ = report_facts(sources.directory, only_records=True)
    script_json(facts)
    assert [champion["id"] for champion in facts["champions"]] == [one]
    said = {entry["part"] for entry in facts["missing"] if "1 row without a regime" in entry["why"]}
    assert said == {"standings", "curves", "tree", "heat", "champions"}
    assert best_scores(sources.directory) == {(REGIME_NAMES[4], 0): (pytest.approx(0.1), one)}


def test_records_stand_in_from_the_generation_in_which_each_regime_was_won(small_run: Path) -> None:
    sources = Sources.of(RunDirectory(small_run))
    every = sources.frame("fitness").filter(split="validation", regime=REGIME_NAMES[4])
    changed = every.group_by("id").agg(pl.col("log_return").n_unique()).filter(pl.col("log_return") > 1)
    identity = changed["id"].min()
    every = every.filter(id=identity).unique("log_return", keep="first", maintain_order=True)
    first, last = (every.row(place, named=True) for place in (0, -1))
    assert first["generation"] < last["generation"]
    won = {2: last["generation"], 4: first["generation"]}
    champion = Champion(identity, last["generation"], 0, {2: 1.0, 4: 1.0}, won, won)
    rows = standings(sources, None, [champion], SPECIES)
    assert rows is not None
    assert [row["regime"] for row in rows] == [2, 4]
    assert rows[1]["validation"]["bp"] == pytest.approx(1e4 * first["log_return"] / first["bars"], rel=1e-5)


def test_a_standing_from_too_few_bars_has_no_score(broken: Callable[[str], Sources]) -> None:
    sources = broken("in progress")
    rows = sources.frame("fitness").filter(split="validation", regime=REGIME_NAMES[0])
    most = rows["bars"].max()
    identity, generation = rows.filter(bars=most).select("id", "generation").row(0)
    for least, scored in ((most, True), (most + 1, False)):
        config = yaml.safe_load(sources.directory.config.read_text(encoding="utf-8"))
        config["fitness"]["bars"] = least
        sources.directory.config.write_text(yaml.safe_dump(config), encoding="utf-8")
        stand = standings(Sources.of(sources.directory), None, [champion_of(identity, generation, {0: 1.0})], SPECIES)
        assert stand is not None
        (row,) = stand
        assert (row["validation"]["bp"] is not None, row["validation"]["bars"]) == (scored, most)


@pytest.mark.parametrize(("what", "count"), [("nothing", 1), ("trust", 1), ("scar", 2)])
def test_an_agent_that_acts_alike_in_two_generations_is_one_champion(
    broken: Callable[[str], Sources], what: str, count: int
) -> None:
    sources = broken("in progress")
    study = load_study(sources)
    assert study is not None
    (first, *_) = read_traders(sources, read_champions(sources), study.settings)
    trader, later = first.trader, first.generation + 1
    assert trader is not None
    if what == "trust":
        trader = trader._replace(trust=trader.trust + 0.1)
    elif what == "scar":
        trader = trader._replace(memory=trader.memory._replace(weight=trader.memory.weight + 0.5))
    about = {"id": str(first.id), "species": str(first.species), "generation": str(later)}
    save_tree(sources.directory.genomes / f"{first.id}-{later}.safetensors", trader, about)
    twice = [champion_of(first.id, first.generation, {2: 1.0}), champion_of(first.id, later, {0: 2.0})]
    found = read_traders(sources, twice, study.settings)
    assert [list(one.scores) for one in found] == ([[0, 2]] if count == 1 else [[0], [2]])
    assert found[0].generation == later
    assert {regime: won for one in found for regime, won in one.won.items()} == {0: later, 2: first.generation}
    assert [one.won for one in found] == (
        [{0: later, 2: first.generation}] if count == 1 else [{0: later}, {2: first.generation}]
    )
    trusting = dataclasses.replace(study.settings.trust, scales_capital=True)
    apart = read_traders(sources, twice, dataclasses.replace(study.settings, trust=trusting))
    assert len(apart) == (1 if what == "nothing" else 2)


def test_a_lost_genome_costs_that_champion_its_brain_alone(broken: Callable[[str], Sources]) -> None:
    sources = broken("no genome")
    study = load_study(sources)
    assert study is not None
    champions = read_traders(sources, read_champions(sources), study.settings)
    lost = [champion for champion in champions if champion.trader is None]
    assert len(lost) == 1
    assert len(champions) > 2
    (why,) = whys(sources, "champions")
    assert f"champion {lost[0].id} cannot be read" in why
    assert [fact["genes"] is None for fact in champion_facts(sources, champions, tree(sources), SPECIES)] == [
        champion is lost[0] for champion in champions
    ]


def test_a_damaged_genome_is_told(broken: Callable[[str], Sources], small_run: Path) -> None:
    sources = broken("no deaths")
    for path in sources.directory.genomes.iterdir():
        path.write_bytes(path.read_bytes()[:-4] + b"torn")
    study = load_study(sources)
    assert study is not None
    champions = read_traders(sources, read_champions(sources), study.settings)
    assert all(champion.trader is None for champion in champions)
    assert all("does not match its checksum" in why for why in whys(sources, "champions"))


@pytest.mark.parametrize(
    ("how", "part", "words"),
    [
        ("no bars", "champions", "The bars that the run traded cannot be used"),
        ("no bars", "standings", "Flat, buy and hold and the oracle need the market's bars"),
        ("no manifest", "champions", "The manifest does not say what agents see"),
        ("no champions", "champions", "nobody has come into the archive"),
    ],
)
def test_what_is_missing_is_told_and_all_else_is_there(
    broken: Callable[[str], Sources], how: str, part: str, words: str
) -> None:
    sources = broken(how)
    trade = how != "no manifest"  # nobody could trade there, so the market need not be made
    found = gallery(sources, tree(sources), SPECIES, trade=trade)
    assert any(words in why for why in whys(sources, part))
    if how == "no champions":
        assert (found.champions, found.standings) == (None, None)
        assert found.world is not None
        return
    assert found.champions is not None
    assert found.standings is not None
    assert all(champion["line"] for champion in found.champions)
    assert all(champion["journeys"] == [] for champion in found.champions)
    assert all((champion["genome"] is None) == (how == "no manifest") for champion in found.champions)
    fitness = sources.frame("fitness")
    for row in found.standings:
        own = next(c for c in found.champions if c["id"] == row["id"] and row["regime"] in c["regimes"])
        for split in ("train", "validation"):
            regime = REGIME_NAMES[row["regime"]]
            (known,) = fitness.filter(id=row["id"], generation=own["generation"], split=split, regime=regime).to_dicts()
            assert row["player"] == "champion"
            assert row[split]["trades"] == known["trades"]
            scored = known["bars"] >= sources.setting("fitness", "bars", default=1)
            expected = pytest.approx(1e4 * known["log_return"] / known["bars"], rel=1e-5) if scored else None
            assert row[split]["bp"] == expected


def test_bars_that_have_changed_are_not_shown(broken: Callable[[str], Sources]) -> None:
    sources = broken("in progress")
    sources.directory.note(data_hash="0" * 64)
    sources = Sources.of(sources.directory)
    study = load_study(sources)
    assert study is not None
    assert load_world(sources, study) is None
    assert any("have changed since" in why for why in whys(sources, "champions"))


def test_a_run_killed_at_its_start_has_nobody(broken: Callable[[str], Sources]) -> None:
    found = gallery(sources := broken("killed at the start"), None, [], trade=False)
    assert (found.standings, found.champions) == (None, None)
    assert any("nobody has come into the archive" in why for why in whys(sources, "champions"))


def test_a_lost_configuration_is_told(broken: Callable[[str], Sources]) -> None:
    sources = broken("in progress")
    sources.directory.config.unlink()
    sources = Sources.of(sources.directory)
    found = gallery(sources, tree(sources), SPECIES)
    assert found.champions is not None
    assert all(champion["line"] and champion["genome"] is None for champion in found.champions)
    assert any("What the run was made of is not known" in why for why in whys(sources, "champions"))


def test_a_machine_that_cannot_let_them_trade_is_told(
    broken: Callable[[str], Sources], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError("out of memory")

    sources = broken("in progress")
    monkeypatch.setattr(gallery_module, "standings", full)
    found = gallery(sources, tree(sources), SPECIES, trade=False)
    assert found.standings is None
    assert found.champions is not None
    assert whys(sources, "standings") == ["This machine could not let them trade again: out of memory."]
