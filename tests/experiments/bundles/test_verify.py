"""`arena verify` passes a bundle as it was written, and says of any other what is wrong with it."""

import hashlib
import importlib.util
import io
import json
import py_compile
import shutil
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_bundles import a_copy, small_bundle
from small_runs import arena

from agents.live.bundle import canonical_hash
from experiments.bundles import verify as module
from experiments.bundles.golden import packed
from experiments.bundles.verify import verify

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["qnetwork", "forest"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory, request.param)


@pytest.fixture
def network(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A bundle to change."""
    return a_copy(small_bundle(tmp_path_factory, "qnetwork"), tmp_path)


EMPTY = SimpleNamespace(told=[])
"""Decisions repeated, where that is not what is looked at."""


def hashed_anew(folder: Path) -> None:
    """As whoever changes a file knowingly would leave it: with hashes that are right."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps({**manifest, "hash": canonical_hash(manifest)}), encoding="utf-8")


def test_a_bundle_as_it_was_written_passes_by_every_runner(bundle: Path) -> None:
    code, said, complaint = arena("verify", str(bundle))
    assert (code, complaint) == (0, "")
    assert said.splitlines()[-1] == "The bundle is whole, and decides here as in the arena."
    checks = verify(bundle)
    parts = {check.part for check in checks}
    assert {"bundle", "installed runner", "own runner", "onnxruntime"} == parts
    assert all(check.ok for check in checks if check.part != "onnxruntime")
    assert not any(check.ok is False for check in checks)
    assert not list((bundle / "runner").rglob("__pycache__")), "verifying leaves nothing behind"


def test_a_changed_byte_of_any_file_is_found(bundle: Path, tmp_path: Path) -> None:
    copy = a_copy(bundle, tmp_path)
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.suffix != ".py")
    for path in [*files, copy / "runner" / "champion.py"]:
        content = path.read_bytes()
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        path.write_bytes(changed)
        checks = verify(copy)
        assert [check.ok for check in checks] == [False], path
        path.write_bytes(content)
    assert all(check.ok for check in verify(copy)[:2])


def _golden(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        with np.load(io.BytesIO((folder / "golden.npz").read_bytes())) as file:
            arrays = {key: file[key] for key in file.files}
        arrays[name] = change(arrays[name])
        (folder / "golden.npz").write_bytes(packed(arrays))

    return tamper


def _next_up(row: int) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array = array.copy()
        array[row] = np.nextafter(array[row], np.float32(9.0), dtype=array.dtype)
        return array

    return change


def _other_action(array: Any) -> Any:
    return np.where(np.arange(len(array)) == 7, (array + 1) % 3, array).astype(array.dtype)


def _other_model(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / "model.onnx")
    model.opset_import[0].version = 18
    onnx.save(model, folder / "model.onnx")


def _broken_runner(folder: Path) -> None:
    path = folder / "runner" / "account.py"
    path.write_text(path.read_text(encoding="utf-8").replace("_PROFIT, _DRAWDOWN", "_DRAWDOWN, _PROFIT", 1), "utf-8")


def _other_line(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["ancestry"][-1]["id"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_decisions_that_are_not_the_champion_s_are_found_by_every_runner(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    copy = a_copy(small_bundle(tmp_path_factory, "forest"), tmp_path)
    _golden("regime", lambda array: np.where(np.arange(len(array)) == 5, 1 - array, array).astype(array.dtype))(copy)
    _golden("atr", _next_up(3))(copy)
    _golden("leaf", lambda array: np.where(np.arange(len(array))[:, None] == 9, 3 - array, array))(copy)
    _golden("values", lambda array: array * np.float32(1.001))(copy)
    _golden("action", _other_action)(copy)
    _golden("target", lambda array: array * np.float32(1.001))(copy)
    hashed_anew(copy)
    names = {"regimes", "atr", "leaves", "values", "actions", "orders"}
    checks = verify(copy)
    runners = {check.part for check in checks} - {"bundle"}
    wrong = {(check.part, check.name) for check in checks if check.ok is False}
    assert wrong == {(runner, name) for runner in runners for name in names}
    assert {"installed runner", "own runner"} <= runners


def test_what_else_was_changed_knowingly_is_found(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    copy = a_copy(small_bundle(tmp_path_factory, "qnetwork"), tmp_path)
    _golden("features", _next_up(3))(copy)
    for change in (_other_model, _broken_runner, _other_line):
        change(copy)
    hashed_anew(copy)
    wrong = {(check.part, check.name) for check in verify(copy) if check.ok is False}
    assert wrong >= {("bundle", "model"), ("bundle", "manifest"), ("own runner", "values")}
    assert ("installed runner", "features") in wrong
    assert ("installed runner", "values") not in wrong


@pytest.mark.parametrize(
    "name",
    [
        "runner/sitecustomize.py",
        "runner/golden.pyc",
        f"runner/golden{EXTENSION_SUFFIXES[0]}",
        "runner/golden/__init__.py",
        "runner/markets/features/notes.txt",
        "runner/__pycache__/golden.py",
        "numpy.py",
        "numpy/__init__.py",
    ],
)
def test_a_file_without_a_hash_is_named_and_the_runner_not_run(
    network: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "repeat", lambda *args, **options: EMPTY)
    monkeypatch.setattr(module, "repeat_by_own_runner", lambda *args: pytest.fail("it ran"))
    path = network / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    (files,) = (check for check in verify(network) if check.name == "files")
    assert (files.ok, files.detail) == (False, f"{name} is not in the manifest; somebody put it there")


def test_a_link_below_the_runner_is_named(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "repeat", lambda *args, **options: EMPTY)
    (network / "runner" / "golden").symlink_to(tmp_path, target_is_directory=True)
    (files,) = (check for check in verify(network) if check.name == "files")
    assert files.detail.startswith("runner/golden is not in the manifest")


def test_compiled_modules_are_tolerated_and_never_run(network: Path, tmp_path: Path) -> None:
    """Python would run them in place of the sources whose hashes were checked, if it was told not to compare."""
    source = network / "runner" / "golden.py"
    place = Path(importlib.util.cache_from_source(str(source)))
    place.parent.mkdir()
    liar = tmp_path / "liar.py"
    liar.write_text("class repeat:\n    def __init__(self, _): self.told = [('lies', True, '')]\n", encoding="utf-8")
    py_compile.compile(str(liar), str(place), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    before = place.read_bytes()
    checks = verify(network)
    assert not any(check.ok is False for check in checks)
    assert "lies" not in {check.name for check in checks}
    assert {"features", "orders"} <= {check.name for check in checks if check.part == "own runner"}
    assert [path.read_bytes() for path in place.parent.iterdir()] == [before], "nor are others put beside them"


def test_what_is_no_bundle_is_the_user_s_mistake(tmp_path: Path) -> None:
    code, _, complaint = arena("verify", str(tmp_path))
    assert (code, complaint.count("\n")) == (2, 1)
    assert "no bundle" in complaint


def test_a_failing_bundle_ends_with_one(bundle: Path, tmp_path: Path) -> None:
    copy = a_copy(bundle, tmp_path)
    shutil.copy(copy / "README.md", copy / "model.onnx")
    code, said, _ = arena("verify", str(copy))
    assert code == 1
    assert said.splitlines()[-1] == "1 of 1 checks failed"


def test_golden_decisions_are_many_and_behind_one_warm_up(bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as golden:
        count = len(golden["action"])
        assert count >= 256
        assert len(golden["time"]) == count + json.loads((bundle / "manifest.json").read_text("utf-8"))["warm_up"] - 1
        assert golden["features"].dtype == golden["values"].dtype == np.float32
        assert (golden["peak"] >= golden["equity"]).all()
        assert np.isfinite(golden["target"]).sum() > 0
