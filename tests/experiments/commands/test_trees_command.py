"""`arena trees` shows forests, and hands them on with every answer they gave."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from small_runs import SMALL, arena

from agents.observation import ACCOUNT_VIEW
from arena.founding import found
from arena.plan import make_plan
from arena.schemas import TABLES
from experiments.champions.champions import find_champion
from experiments.configuration.compose import compose
from experiments.configuration.study import load_market, make_study
from experiments.exchange.reading import read_model
from experiments.forests.champions import read_forest
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import save_tree

MODELS = Path(__file__).parents[1] / "exchange" / "models"
FEATURES = ("return_1", "return_4", "mean_distance_8")
WORDS = (
    *(word for word in SMALL if not word.startswith("species.")),
    "species=[qnetwork,forest]",
    "species.qnetwork.hidden=[4]",
    "species.forest.depth=3",
    "species.forest.market_trees=4",
    "species.forest.state_trees=2",
    "evolution.replicates=2",
)

CHAMPIONS: tuple[tuple[int, str, int, float], ...] = (
    (0, "bull_trending", 20, 1e-5),
    (0, "all", 20, 2e-5),
    (0, "all", 52, 1e-5),  # of the second replicate
    (0, "calm_ranging", 0, 4e-5),  # a network
    (2, "all", 21, 3e-5),
    (3, "bear_trending", 20, 5e-5),  # scarred since
)
"""Generation, regime, id and score of each improvement."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, Any, dict[str, Any]]:
    """A run with champions of both species, its forest species, and the traders of its champions by file."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "0123456789ab")
    config = compose(list(WORDS))
    run.create(config)
    run.note(run_id="0123456789ab", state="finished", features=list(FEATURES))
    study = make_study(config)
    plan, market = make_plan(study.settings, len(FEATURES)), load_market(study)[1]
    form = jax.eval_shape(lambda: found(plan, market.tape)).archive.traders
    forest = plan.names.index("forest")
    species: Any = plan.rollouts[forest].species
    traders = {}
    for name, identity, generation in (("20", 20, 0), ("20-3", 20, 3), ("21", 21, 2), ("52", 52, 0)):
        blank = jax.tree.map(lambda leaf: np.ones(leaf.shape[2:], leaf.dtype), form[forest])
        traders[name] = blank._replace(genome=random_forest(blank.genome, 100 * identity + generation))
        about = {"id": str(identity), "species": "forest", "generation": str(generation)}
        save_tree(run.genomes / f"{name}.safetensors", traders[name], about)
    network = jax.tree.map(lambda leaf: np.zeros(leaf.shape[2:], leaf.dtype), form[1 - forest])
    save_tree(run.genomes / "0.safetensors", network, {"id": "0", "species": "qnetwork", "generation": "0"})
    rows = [{"generation": g, "fold": 0, "regime": r, "id": i, "score": s} for g, r, i, s in CHAMPIONS]
    born = [{"id": i, "species": "forest", "island": 2 * (i == 52), "generation": 0} for i in (0, 20, 21, 52)]
    for name, some in (("archive", rows), ("births", born)):
        frame = pl.DataFrame([{key: row.get(key) for key in TABLES[name]} for row in some], schema=TABLES[name])
        frame.write_parquet(run.table(name) / "00000000-00000003-0.parquet")
    return run, species, traders


def random_forest(form: Any, seed: int) -> Any:
    """A forest of that form; market trees ask for the market, the others for all there is."""
    rng = np.random.default_rng(seed)

    def trees(form: Any, inputs: int) -> Any:
        return form._replace(
            feature=rng.integers(inputs, size=form.feature.shape).astype(np.int32),
            threshold=rng.normal(size=form.threshold.shape).astype(np.float32),
            nan_right=rng.random(form.nan_right.shape) < 0.5,
            leaf=rng.normal(size=form.leaf.shape).astype(np.float32),
        )

    bias = rng.normal(size=form.bias.shape).astype(np.float32)
    return form._replace(
        bias=bias, market=trees(form.market, len(FEATURES)), state=trees(form.state, len(FEATURES) + len(ACCOUNT_VIEW))
    )


def rows_of(trader: Any, count: int = 400) -> NDArray[np.float32]:
    """Random rows, with thresholds and missing values among them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, len(FEATURES) + len(ACCOUNT_VIEW))).astype(np.float32)
    for trees in (trader.genome.market, trader.genome.state):
        for feature, threshold in zip(trees.feature.ravel(), trees.threshold.ravel(), strict=True):
            rows[rng.integers(count, size=20), feature] = threshold
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


def said_by(species: Any, trader: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Action values by the species' own compiled code."""
    genome = jax.tree.map(jnp.asarray, trader.genome)
    market, account = rows[:, : len(FEATURES)], rows[:, len(FEATURES) :]

    def answer(genome: Any, market: Any, account: Any) -> Any:
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, market[None]))
        return species.values(genome, code, account, ())[0]

    return np.asarray(jax.jit(answer)(genome, market, account))


def said_by_xgboost(path: Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    xgboost = pytest.importorskip("xgboost", reason="no XGBoost: pip install '.[trees]'")
    booster = xgboost.Booster()
    booster.load_model(path)
    return np.asarray(booster.predict(xgboost.DMatrix(rows, feature_names=booster.feature_names), output_margin=True))


def said_by_onnx(path: Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install '.[oracles]'")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"features": row[None]})[0] for row in rows])


@pytest.mark.parametrize(
    ("form", "answer"), [("xgboost", said_by_xgboost), ("onnx", said_by_onnx)], ids=["xgboost", "onnx"]
)
def test_a_champion_handed_on_gives_the_values_it_gave_here(
    form: str, answer: Callable[[Path, NDArray[np.float32]], NDArray[np.float32]], made: Any, tmp_path: Path
) -> None:
    if form == "xgboost":
        pytest.importorskip("xgboost", reason="pip install '.[trees]'")
    run, species, traders = made
    out = tmp_path / "champion.json"
    code, said, _ = arena("trees", str(run.root), "--format", form, "--out", str(out))
    assert code == 0
    rows = rows_of(traders["21"])
    here = said_by(species, traders["21"], rows)
    np.testing.assert_allclose(answer(out, rows), here, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(answer(out, rows).argmax(1), here.argmax(1))
    assert len(np.unique(here.argmax(1))) == 3
    if form == "xgboost":
        again = read_model(out)
        assert (again.link, again.features) == ("softmax", (*FEATURES, *ACCOUNT_VIEW))
        assert json.loads(json.loads(out.read_text())["learner"]["attributes"]["classes"]) == ["neutral", "buy", "sell"]
    lines = said.splitlines()
    assert lines[0] == f"{out}: {form}, 6 trees, 7 columns"
    assert "  return_1, return_4, mean_distance_8, position, unrealised, drawdown, holding" in lines
    assert "(standard, ±5)" in lines[1]
    assert max(map(len, lines[1:])) <= 80
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ((), "21"),
        (("--champion", "all", "--replicate", "2"), "52"),
        (("--champion", "bull_trending"), "20"),
        (("--champion", "bear_trending"), "20-3"),
        (("--champion", "20"), "20-3"),
        (("--champion", "52"), "52"),
    ],
)
def test_every_champion_is_read_as_it_was_when_it_improved_the_archive(
    words: tuple[str, ...], file: str, made: Any
) -> None:
    run, _, traders = made
    named = dict(zip(words[::2], words[1::2], strict=True))
    replicate = int(named["--replicate"]) if "--replicate" in named else None
    champion = find_champion(run, named.get("--champion", "all"), replicate)
    assert champion.path.stem == file
    jax.tree.map(np.testing.assert_array_equal, read_forest(run, champion).trader, traders[file])
    code, said, _ = arena("trees", str(run.root), *words)
    assert (code, said.split()[1]) == (0, file.partition("-")[0])


def test_a_champion_is_shown_within_80_columns(made: Any) -> None:
    run, _, traders = made
    code, said, _ = arena("trees", run.root.name, "--runs-dir", str(run.root.parent), "--champion", "20")
    assert code == 0
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "agent 20 of run 0123456789ab"
    assert lines[1:3] == [
        "  best of bull_trending, +0.100 bp/bar on validation",
        "          bear_trending, +0.500 bp/bar on validation",
    ]
    assert "  trees   6, oblivious, of depth 3" in lines
    first = lines.index("tree 0, market")
    trees = traders["20-3"].genome.market
    threshold = f"{trees.threshold[0, 0]:+.3g}{' or missing' * bool(trees.nan_right[0, 0])}"
    assert lines[first + 1].startswith(f"  {FEATURES[trees.feature[0, 0]]} ≥ {threshold}")
    assert lines[-1] == "and 3 trees more; --trees 6 shows all"
    assert "tree 5, account" not in said
    whole = arena("trees", str(run.root), "--champion", "20", "--trees", "6")[1]
    assert "tree 5, account" in whole
    assert "more" not in whole


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.[tju]*")), ids=lambda path: path.name)
def test_every_kind_of_model_is_shown_within_80_columns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MODELS)
    code, said, complaint = arena("trees", path.name)
    assert code == 0, complaint
    lines, ensemble = said.splitlines(), read_model(path)
    if lines[-1].startswith("trees are not shown: "):  # two of its questions say of zeros what no threshold can
        assert path.name == "lightgbm_classes.txt"
        assert "zero_as_missing=false" in lines.pop()
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"model {path.name}"
    assert lines[1].split() == ["library", ensemble.library]
    assert lines[2].startswith(f"  trees   {len(ensemble.trees)}, ")
    assert lines[4].startswith(f"  scores  {ensemble.outputs}, {ensemble.link}")


def test_a_model_of_another_library_is_converted(tmp_path: Path) -> None:
    path, out = MODELS / "lightgbm_binary.txt", tmp_path / "model.onnx"
    out.write_text("what was there is replaced")
    code, said, _ = arena("trees", str(path), "--format", "onnx", "--out", str(out))
    assert code == 0
    model = read_model(path)
    assert f"  {', '.join(model.features)}" in said.splitlines()
    rows = np.random.default_rng(1).normal(size=(50, len(model.features))).astype(np.float32)
    np.testing.assert_allclose(said_by_onnx(out, rows), model.predict(rows), rtol=0, atol=1e-5)


def test_help_tells_every_option_and_starts_no_jax() -> None:
    code, said, _ = arena("trees", "--help")
    assert code == 0
    for option in ("--champion", "--replicate", "--trees", "--format", "--out", "--runs-dir", "SOURCE"):
        assert option in said
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--champion", "volatile_ranging"), "--champion: volatile_ranging has no champion in "),
        (("--champion", "best"), "--champion: 'best' is none of bull_trending, bear_trending, "),
        (("--champion", "²"), "--champion: '²' is none of "),
        (("--champion", "7"), "--champion: agent 7 never was a champion; those of now are: 0, 20, 21, 52"),
        (("--champion", "99999999999999999999999"), "--champion: agent 99999999999999999999999 never was"),
        (("--champion", "calm_ranging"), "agent 0: is a qnetwork and has no trees; name a champion that is a forest"),
        (("--champion", "20", "--replicate", "2"), "--replicate: agent 20 lives in one of them; leave it out"),
        (("--replicate", "3"), "--replicate: 3 of a run that has 2; right is 1 to 2"),
        (("--replicate", "0"), "--replicate: 0 of a run that has 2; right is 1 to 2"),
        (("--replicate", "x"), "trees: argument --replicate: invalid int value: 'x'; see arena trees --help"),
        (("--trees", "-1"), "--trees: -1; right is 0 or more"),
        (("--format", "onnx"), "--format: needs --out FILE too"),
        (("--out", "x.onnx"), "--out: needs --format onnx or xgboost too"),
        (("--format", "pickle", "--out", "x"), "trees: argument --format: invalid choice: 'pickle'"),
        (("--format", "xgboost", "--out", "."), ".: is a folder; right is the name of a file"),
        (("--format", "xgboost", "--out", "no/x"), "no/x: there is no folder no; make it first"),
        (("--format", "xgboost", "--out", "pipe"), "pipe: is no regular file; right is the name of a file"),
        (("--format", "xgboost", "--out", "x", "--champion", "0"), "agent 0: is a qnetwork and has no trees"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    words: tuple[str, ...], complaint: str, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipe").symlink_to("nowhere")
    code, said, error = arena("trees", str(made[0].root), *words)
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"arena: {complaint}")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nothing",), "nothing: no such file and no such run; there are none in runs"),
        (("folder",), "folder: no such file and no such run; there are none in runs"),
        (("empty.txt",), "empty.txt: empty; right is a model that XGBoost saved"),
        (("model.txt", "--champion", "all"), "--champion: model.txt is a model's file and no run; leave it out"),
        (("model.txt", "--replicate", "1"), "--replicate: model.txt is a model's file and no run; leave it out"),
        (("model.txt", "--format", "onnx", "--out", "model.txt"), "model.txt: is the model itself; name another file"),
        (("odd.json", "--format", "xgboost", "--out", "x"), "feature 'a[': XGBoost takes no [, ] or < in a name"),
    ],
)
def test_a_mistake_about_a_file_is_one_line(
    words: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.txt").touch()
    shutil.copy(MODELS / "lightgbm_binary.txt", "model.txt")
    odd = json.loads((MODELS / "catboost_binary.json").read_text())
    odd["features_info"]["float_features"][0]["feature_id"] = "a["
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    there = sorted(path.name for path in tmp_path.iterdir())
    before = (tmp_path / "model.txt").read_bytes()
    code, said, error = arena("trees", *words)
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert error.startswith(f"arena: {complaint}")
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    assert (tmp_path / "model.txt").read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda run: (run.genomes / "21.safetensors").unlink(), "21.safetensors: missing; bring it back"),
        (lambda run: (run.genomes / "21.safetensors").write_bytes(b"x"), "21.safetensors: cannot be read ("),
        (lambda run: run.note(features=None), "manifest.json: does not say what agents see (features)"),
        (lambda run: run.note(features=["a"]), "so it is of another run; bring the file back as it was written"),
        (lambda run: run.config.write_text("seed: 1"), "config.yaml: market: missing from the configuration"),
        (lambda run: shutil.rmtree(run.table("archive")), ": has no champions, nobody has come into its archive"),
    ],
)
def test_a_damaged_run_is_one_line(
    spoil: Callable[[RunDirectory], object], complaint: str, made: Any, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(made[0].root, run.root)
    spoil(run)
    code, said, error = arena("trees", str(run.root))
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert complaint in error


def test_founders_of_libraries_and_files_that_are_gone_do_not_matter(made: Any, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(made[0].root, run.root)
    config = run.read_config()
    config["species"] = {**config["species"], "founders": "file"}
    run.create(config)
    code, _, error = arena("trees", str(run.root))  # its founders need ordinary trees, which these are not
    assert code == 2
    assert "so it is of another run" in error
    config["species"]["forest"]["layout"] = "oblivious"
    run.create(config)
    assert arena("trees", str(run.root))[0] == 0
