"""A bundle holds a champion of a run, whole, hashed, and equal for equal runs; what cannot be one is refused."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from small_bundles import champion_of, make_bundle, small_bundle, small_run
from small_runs import arena

from agents.live.bundle import canonical_hash
from experiments.bundles.readme import readme
from experiments.runs.directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plainly_compiled")]

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "agents/live/manifest.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return small_run(tmp_path_factory)


@pytest.fixture(scope="module", params=["qnetwork", "forest"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory, request.param)


@pytest.fixture
def manifest(bundle: Path) -> dict[str, Any]:
    return read(bundle)


def read(bundle: Path) -> dict[str, Any]:
    return dict(json.loads((bundle / "manifest.json").read_text(encoding="utf-8")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_file_is_named_with_its_hash(bundle: Path, manifest: dict[str, Any]) -> None:
    there = contents(bundle)
    del there["manifest.json"]
    assert set(there) == set(manifest["files"])
    for name, told in manifest["files"].items():
        assert told == {"sha256": hashlib.sha256(there[name]).hexdigest(), "bytes": len(there[name])}
    assert manifest["hash"] == canonical_hash(manifest)


def test_the_manifest_keeps_to_its_schema_and_the_schema_is_strict(manifest: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    validator.validate(manifest)
    validator.validate({**manifest, "version": "1.7", "more": 1})
    wrong: dict[str, Any] = {"version": "3.0", "warm_up": 0, "account_view": [], "hash": "0", "ancestry": []}
    for name, value in wrong.items():
        assert not validator.is_valid({**manifest, name: value}), name
    for name in manifest.keys() - {"inference"}:  # which bundles of version 1.0 do not have
        assert not validator.is_valid({key: value for key, value in manifest.items() if key != name}), name


def test_leaves_are_those_of_the_run_s_own_file(run: RunDirectory, bundle: Path, manifest: dict[str, Any]) -> None:
    leaves = load_file(bundle / "champion.safetensors")
    champion = manifest["champion"]
    names = [f"{champion['id']}.safetensors", f"{champion['id']}-{champion['generation']}.safetensors"]
    own = [load_file(run.genomes / name) for name in names if (run.genomes / name).exists()][-1]
    assert {name: leaf.tobytes() for name, leaf in own.items()} == {n: leaf.tobytes() for n, leaf in leaves.items()}
    for name, value in manifest["genes"].items():
        assert np.float32(value) == leaves[f"genes.{name}"]


def test_the_line_and_the_scores_are_those_of_the_run_s_tables(run: RunDirectory, manifest: dict[str, Any]) -> None:
    births = {row["id"]: row for row in run.read("births").to_dicts()}
    line, champion = manifest["ancestry"], manifest["champion"]
    assert (line[0]["parent_id"], line[-1]["id"]) == (None, champion["id"])
    assert [entry["parent_id"] for entry in line[1:]] == [entry["id"] for entry in line[:-1]]
    for entry in line:
        assert {**births[entry["id"]], "run_id": run.read_manifest()["run_id"]} == entry
    fitness = run.read("fitness").filter(id=champion["id"], generation=champion["generation"])
    assert len(manifest["scores"]) == fitness.height == 10
    for told, row in zip(manifest["scores"], fitness.to_dicts(), strict=True):
        assert {name: told[name] for name in ("regime", "split", "trades")} == {
            name: row[name] for name in ("regime", "split", "trades")
        }
        if row["bars"]:
            assert told["log_return_per_bar"] * row["bars"] == pytest.approx(row["log_return"])
    won = run.read("archive").filter(id=champion["id"], generation=champion["generation"])
    assert {row["regime"]: row["score"] for row in manifest["scores"] if row["score"] is not None} == dict(
        zip(won["regime"], won["score"], strict=True)
    )


def test_equal_runs_give_equal_bytes(run: RunDirectory, bundle: Path, tmp_path: Path) -> None:
    copy = RunDirectory(Path(shutil.copytree(run.root, tmp_path / "elsewhere")))
    make_bundle(copy, read(bundle)["species"]["name"], tmp_path / "again")
    assert contents(tmp_path / "again") == contents(bundle)


def test_the_page_tells_the_figures_and_its_example_decides(
    bundle: Path, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (bundle / "README.md").read_text(encoding="utf-8")
    for figure in (manifest["data"]["hash"], f"{manifest['warm_up']} bars", "carries no certificate"):
        assert figure in page
    for row in manifest["scores"]:
        figures = [row[name] for name in ("log_return_per_bar", "score")]
        told = " | ".join("–" if figure is None else f"{1e4 * figure:+.3f}" for figure in figures)
        assert f"| {row['regime']} | {row['split']} | {row['bars']:,} | {told} |" in page
    assert any(row["score"] is not None for row in manifest["scores"])
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    with np.load(bundle / "golden.npz") as golden:
        history = list(zip(golden["time"], golden["bid"], golden["ask"], strict=True))
    from agents.live import Bar

    names: dict[str, Any] = {
        "history": [Bar(np.datetime64(int(time), "us"), tuple(bid), tuple(ask)) for time, bid, ask in history]
    }
    monkeypatch.chdir(bundle)
    exec(example.replace("from runner", "from agents.live"), names)
    assert names["decision"].reason.startswith("gap"), "the example's bar is far away, and it says so"


def test_the_page_counts_every_birth_of_a_line_over_runs(manifest: dict[str, Any]) -> None:
    steps = [("a", "founder"), ("a", "mutation"), ("a", "crossover"), ("b", "founder"), ("b", "mutation")]
    line = [{"id": place, "run_id": own, "operator": way} for place, (own, way) in enumerate(steps)]
    told = "Founder 0 of run a, then 4 births: 2 by mutation, 1 by crossover, 1 as founder 3 of run b."
    assert told in readme({**manifest, "ancestry": line}, 512, {})
    assert "It is founder 0 of run a itself." in readme({**manifest, "ancestry": line[:1]}, 512, {})


def test_the_command_takes_regimes_ids_and_caps(run: RunDirectory, tmp_path: Path) -> None:
    champion = champion_of(run, "qnetwork")
    words = ("--champion", str(champion), "--max-drawdown", "0.1", "--max-exposure", "0.5")
    code, said, complaint = arena("export", str(run.root), "--out", str(tmp_path / "b"), *words)
    assert code == 0, complaint
    told = read(tmp_path / "b")
    *steps, what, certificate, size, check = said.splitlines()
    assert certificate == "no certificate: nobody has tested whether what it earned was luck"
    assert [step.split()[0].strip(",") for step in steps] == ["reading", "compiling", "writing"]
    own, held = told["champion"], ", ".join(told["champion"]["regimes"]) or "nothing any more"
    assert what == f"qnetwork {champion} of run {own['run_id']}, champion of {held}, for SYN1"
    there = contents(tmp_path / "b")
    assert size == f"{tmp_path / 'b'}: {len(there)} files, {sum(map(len, there.values())):,} bytes"
    assert check == f"check it with: arena verify {tmp_path / 'b'}"
    assert told["risk"] == {"max_exposure": 0.5, "max_drawdown": 0.1, "max_daily_loss": 0.05}
    code, *_ = arena("export", str(run.root), "--out", str(tmp_path / "c"), "--champion", "all_rounder")
    assert code == 0
    assert "all" in read(tmp_path / "c")["champion"]["regimes"]


def _config(**market: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
        config["market"].update(market)
        (root / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    return change


def _gone(root: Path) -> None:
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config["market"] = {"name": "bars", "path": str(root / "gone.parquet"), "mode": "pool"}
    (root / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _damaged(root: Path) -> None:
    for path in (root / "genomes").iterdir():
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)


def _no_archive(root: Path) -> None:
    shutil.rmtree(root / "archive.parquet")


@pytest.mark.parametrize(
    ("change", "words", "complaint"),
    [
        (None, ("--champion", "sideways"), "calm_ranging, all, all_rounder, nor the id"),
        (None, ("--champion", "999999"), "never was a champion"),
        (None, ("--replicate", "2"), "--replicate: 2 of a run that has 1"),
        (None, ("--symbol", "EURUSD"), "--symbol: EURUSD is none of the run's; there are: SYN1"),
        (None, ("--max-drawdown", "2"), "--max-drawdown: 2; right is above 0 and at most 1"),
        (None, ("--max-exposure", "nan"), "--max-exposure: nan; right is above 0"),
        (_config(mode="basket"), (), "a bundle is of one instrument"),
        (_config(bars=2990), (), "have changed since"),
        (_gone, (), "gone.parquet"),
        (_damaged, (), "damaged"),
        (_no_archive, (), "has no champions"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line_and_leaves_nothing(
    run: RunDirectory,
    tmp_path: Path,
    change: Callable[[Path], None] | None,
    words: tuple[str, ...],
    complaint: str,
) -> None:
    root = Path(shutil.copytree(run.root, tmp_path / "run"))
    if change is not None:
        change(root)
    before = contents(tmp_path)
    code, said, told = arena("export", str(root), "--out", str(tmp_path / "out"), *words)
    assert (code, said.removeprefix("reading the run\n")) == (2, "")
    assert complaint in told
    assert told.count("\n") == 1
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine", encoding="utf-8")
    code, _, complaint = arena("export", str(run.root), "--out", str(tmp_path))
    assert (code, complaint.count("\n")) == (2, 1)
    assert "is not empty" in complaint
    assert contents(tmp_path) == {"kept": b"mine"}
