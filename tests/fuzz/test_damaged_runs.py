"""Damaged run directories: `arena show`, `runs` and `resume` answer or refuse in a line, and leave them as they were.

The run is small and finished; each case spoils one of its files, or puts something odd in its place or beside it.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from commands import answer, refused
from damage import damaged
from small_runs import SMALL, compiled_once, without_compiling_again, without_table

from experiments.hardware.machine import Speed
from experiments.runs import job
from experiments.runs.notes import read_json, read_yaml

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FIVE = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True))
YAMLS = (
    *(
        "a: 2020-99-99",
        "x: " + "[" * 3000,
        "&a [*a]",
        "{" * 3000,
        "a: " + "9" * 5000,
        "a: 0x" + "f" * 9000,
        "- 1",
        "",
        ": ",
    ),
    *(
        "a: !!python/object:os.system {}",
        f"a: &a [x]\n{FIVE}seed: *g",
        "<<: 1",
        "? [a]\n: b",
        "a: 1:1:1",
        "%YAML 9.9\n---\n",
    ),
    *(
        "a: !!binary x",
        "a: !!timestamp x",
        "a: !!int x",
        "null",
        "market: null\nspecies: null",
        "0x" + "f" * 9000 + ": 1",
    ),
)
JSONS = (
    *(
        "[" * 100000,
        '{"a":' * 100000,
        "1" * 5000,
        "NaN",
        "[1",
        "{}",
        "null",
        '"x"',
        '{"state": 1}',
        '{"bits": {"a": 1}}',
    ),
    *(
        '{"symbols": 3}',
        '{"symbols": [1, null, {}]}',
        '{"generations": 1e999}',
        '{"run_id": "../../x"}',
        '{"target": {}}',
    ),
    *('{"device": {"count": []}}', '{"run_id": "\\ud800", "state": "\\u001b[2J"}', '{"generations": null}', "{" * 9),
    *('{"sessions": [1]}', '{"finished": 1, "started": []}', '{"features": 1}', '{"seed": {}}', '{"source_hash": []}'),
)
EXTRA = (
    *("x.parquet", "00000000-0000000x-0.parquet", "00000001-00000001-0.parquet", "00000009-00000012-0.parquet", "a"),
    *("99999999.safetensors", "0000000x.safetensors", "1-2-3.safetensors", ".part-1-x", "-.parquet", "é.parquet"),
)


@pytest.fixture(scope="module")
def program() -> list[jax.stages.Compiled]:
    """The one generation that all runs compile; empty until the first has."""
    return []


@pytest.fixture(scope="module")
def run(program: list[jax.stages.Compiled], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run of two generations with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("seed") / "runs"
    with compiled_once(tmp_path_factory), pytest.MonkeyPatch.context() as patch:
        without_compiling_again(patch, program)
        without_table(patch)
        short = ("evolution.generations=2", "record.checkpoint=1", "record.flush=1")
        assert answer("evolve", *SMALL, *short, f"runs_dir={folder}", lines=9).code == 0
        (made,) = folder.iterdir()
        yield made


@pytest.fixture(autouse=True)
def quick(program: list[jax.stages.Compiled], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither compiling, the table at the end nor the trial of the machine is what is tested."""
    without_compiling_again(monkeypatch, program)
    without_table(monkeypatch)
    monkeypatch.setattr(job, "measure_speed", lambda: Speed(1e11))


def spoil(run: Path, rng: random.Random) -> None:
    files = sorted(path for path in run.rglob("*") if path.is_file())
    few = [path for path in files if path.suffix in (".yaml", ".json") or path.parent.name == "checkpoints"]
    path = rng.choice(files if rng.random() < 0.6 else few)
    raw = path.read_bytes()
    match rng.choice(["damaged"] * 5 + ["gone", "folder", "fifo", "empty", "link", "extra", "moved", "text", "text"]):
        case "damaged":
            path.write_bytes(damaged(raw, rng, rng.choice(files).read_bytes()))
        case "gone":
            path.unlink()
        case "folder":
            path.unlink()
            path.mkdir()
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "empty":
            path.write_bytes(b"")
        case "link":
            path.unlink()
            path.symlink_to(rng.choice([str(path), "/dev/zero", "/dev/null", "/nonexistent", "/"]))
        case "extra":
            odd = path.parent / rng.choice(EXTRA)
            odd.write_bytes(rng.choice([raw, b"junk", b""]))
        case "moved":
            path.replace(rng.choice(files))
        case "text":
            manifest = run / "manifest.json"
            known, text = json.loads(manifest.read_text()), rng.choice(JSONS)
            if rng.random() < 0.5:
                (run / "config.yaml").write_text(rng.choice(YAMLS))
            elif text.startswith('{"') and len(text) < 1000 and rng.random() < 0.5:
                manifest.write_text(json.dumps({**known, **json.loads(text)}))
            else:
                manifest.write_text(text)


def listing(folder: Path) -> dict[str, bytes | None]:
    """What lies in a folder, without opening what is no file."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


def suffer(run: Path, folder: Path, cases: range) -> int:
    refusals = 0
    for case in cases:
        copy = folder / f"case{case}" / "run"
        shutil.copytree(run, copy)
        spoil(copy, random.Random(f"run {case}"))
        for words in (["show", str(copy)], ["runs", "--runs-dir", str(copy.parent)], ["resume", str(copy)]):
            before = listing(copy)
            if refused(answer(*words, lines=3)):
                refusals += words[0] == "resume"
                assert {name: raw for name, raw in listing(copy).items() if name != ".lock"} == {
                    name: raw for name, raw in before.items() if name != ".lock"
                }
        shutil.rmtree(copy.parent)
    return refusals


@pytest.mark.slow
def test_damaged_runs_are_shown_and_resumed_or_refused(run: Path, tmp_path: Path) -> None:
    assert 0 < suffer(run, tmp_path, range(50)) < 50


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_many_more_damaged_runs(run: Path, tmp_path: Path) -> None:
    suffer(run, tmp_path, range(50, int(os.environ.get("ARENA_FUZZ_CASES", "3000"))))


@pytest.mark.parametrize("number", range(len(YAMLS)))
def test_any_yaml_is_plain_values_or_one_line(number: int, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(YAMLS[number])
    try:
        read_yaml(path)
    except ValueError as error:
        said = str(error)
        assert said.splitlines() == [said]


@pytest.mark.parametrize("number", range(len(JSONS)))
def test_any_json_is_plain_values_or_one_line(number: int, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(JSONS[number])
    try:
        read_json(path)
    except ValueError as error:
        said = str(error)
        assert said.splitlines() == [said]
