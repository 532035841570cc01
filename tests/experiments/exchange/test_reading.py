"""Models are told apart by their content, and whatever is none is one line that says what would be right."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.exchange import reading
from experiments.exchange.reading import FORMS, read_model
from markets.errors import UserError

_MODELS = Path(__file__).parent / "models"


def _refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_model(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_xgboost_is_known_by_its_content_whatever_the_name(form: str, tmp_path: Path) -> None:
    content = (_MODELS / f"xgboost-2.1-binary.{form}").read_bytes()
    for name in ("model.txt", "model.cbm", "model"):
        (path := tmp_path / name).write_bytes(content)
        assert read_model(path).library == "xgboost"


def test_the_order_and_spacing_of_keys_do_not_matter(tmp_path: Path) -> None:
    import json

    model = json.loads((_MODELS / "xgboost-2.1-binary.json").read_text("utf-8"))
    turned = {"version": model["version"], 'say \\"learner\\": {': [{"trees": "}"}], "learner": model["learner"]}
    (path := tmp_path / "model").write_text("﻿ \n" + json.dumps(turned, indent=1), encoding="utf-8")
    assert read_model(path).library == "xgboost"


@pytest.mark.parametrize("form", ["text", "json", "cbm"])
def test_lightgbm_and_catboost_are_known_by_their_content(form: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(100, 2))
    path = tmp_path / "model.ubj"
    if form == "text":
        lightgbm = pytest.importorskip("lightgbm")
        options = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
        lightgbm.train(options, lightgbm.Dataset(rows, rows[:, 0]), 2).save_model(path)
        assert read_model(path).library == "lightgbm"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        assert read_model(path).library == "lightgbm"
    else:
        catboost = pytest.importorskip("catboost")
        model = catboost.CatBoostRegressor(
            iterations=2, depth=2, thread_count=1, verbose=False, allow_writing_files=False
        )
        model.fit(rows, rows[:, 0]).save_model(str(path), format=form)
        assert read_model(path).library == "catboost"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"binf\x00\x00", "XGBoost's old binary form"),
        (b"\x80\x04\x95", "a pickle"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"\x08\x07\x12\x04", "is not a model that XGBoost saved"),
        (b"time,open\n1,2\n", "is not a model that XGBoost saved"),
        (b"[1, 2]", "is not a model that XGBoost saved"),
        (b"{}", "is JSON but no model"),
        (b'{"a": {"learner": 1}}', "is JSON but no model"),
        (b'{"a": ', "is no JSON to its end"),
        (b'{"a" 1}', "is no JSON to its end"),
        (b'{"a": 1 "learner": 2}', "is no JSON to its end"),
        (b"{1: 2}", "is no JSON to its end"),
        (b'{"a": \xff\xfe}', "is no JSON to its end"),
        (b'{"a": ' + b"[" * 100_000, "is no JSON to its end"),
        (b'{"learner": 1}', "learner"),
        (b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner", "damaged, or no model of XGBoost; as UBJSON: byte"),
        (b"{i\x01aT}", "learner is missing"),
    ],
)
def test_what_is_no_model_is_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    (path := tmp_path / "model.json").write_bytes(content)
    assert says in _refusal(path)


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    assert "no such file" in _refusal(tmp_path / "none.json")
    assert "is a folder" in _refusal(tmp_path)
    assert "cannot be read" in _refusal(tmp_path / ("n" * 300))
    (tmp_path / "file").write_bytes(b"{")
    assert "cannot be read (Not a directory)" in _refusal(tmp_path / "file" / "model.json")
    (loop := tmp_path / "loop").symlink_to(loop)
    assert "cannot be read" in _refusal(loop)
    assert FORMS in _refusal(tmp_path / "none.json")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    assert "a pipe or a device" in _refusal(pipe)
    assert "a pipe or a device" in _refusal(Path("/dev/zero"))


def test_a_file_larger_than_models_are_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LARGEST", 1 << 20)
    with (path := tmp_path / "model.json").open("wb") as file:
        file.truncate(1 << 20 | 1)
    assert "larger than 1 MiB" in _refusal(path)


def test_a_small_file_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        read_model(_MODELS / "xgboost-2.1-binary.ubj")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_telling_models_apart_loads_no_library_of_trees() -> None:
    code = (
        "import sys, pathlib; from experiments.exchange.reading import read_model\n"
        f"read_model(pathlib.Path({str(_MODELS / 'xgboost-2.1-binary.ubj')!r}))\n"
        "print(sorted({'xgboost', 'lightgbm', 'catboost', 'onnx', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


_BEGINNINGS = st.sampled_from([b"", b"{", b'{"learner":', b'{"trees":', b"tree\n", b"version=v4\n", b"CBM1", b"{L"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=_BEGINNINGS, rest=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes_are_one_line(start: bytes, rest: bytes, tmp_path: Path) -> None:
    if start == b"CBM1":
        pytest.importorskip("catboost")
    (path := tmp_path / "model").write_bytes(start + rest)
    _refusal(path)
