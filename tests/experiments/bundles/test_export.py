"""A bundle holds a champion of a run, whole, hashed, and equal for equal runs."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_bundles import small_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["qnetwork", "forest"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory, request.param)


@pytest.fixture
def manifest(bundle: Path) -> dict[str, Any]:
    return dict(json.loads((bundle / "manifest.json").read_text(encoding="utf-8")))


def test_every_file_is_named_with_its_hash(bundle: Path, manifest: dict[str, Any]) -> None:
    there = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()} - {"manifest.json"}
    assert there == set(manifest["files"])
    for name, told in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert told == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_leaves_are_those_that_the_species_needs(bundle: Path, manifest: dict[str, Any]) -> None:
    leaves = load_file(bundle / "champion.safetensors")
    assert leaves["memory.features"].shape[1] == len(manifest["features"]["list"])
    assert all(np.isfinite(leaf).all() for leaf in leaves.values())
