"""UBJSON: what was written comes back, however its containers are told; anything else is one line and little memory."""

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.exchange import ubjson

_MODELS = Path(__file__).parent / "models"
_PACKED = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}


def _whole(kind: str, value: int) -> bytes:
    return kind.encode() + struct.pack(_PACKED[kind], value)


def _text(value: str) -> bytes:
    raw = value.encode()
    return (_whole("U", len(raw)) if len(raw) < 256 else _whole("L", len(raw))) + raw


@st.composite
def _written(draw: st.DrawFn, depth: int = 0) -> tuple[Any, bytes]:
    """A value and bytes that mean it: containers ended, counted or typed, at the whim of the draw."""
    kind = draw(st.sampled_from("ZTFiUIlLdDSC" + "[{a" * (2 if depth < 3 else 0)))
    if kind in "ZTF":
        return {"Z": None, "T": True, "F": False}[kind], kind.encode()
    if kind in "dD":
        value = draw(st.floats(width=32 if kind == "d" else 64, allow_nan=False))
        return value, kind.encode() + struct.pack(_PACKED[kind], value)
    if kind in _PACKED:
        bits = 8 * struct.calcsize(_PACKED[kind])
        low, high = (0, 255) if kind == "U" else (-(1 << bits - 1), (1 << bits - 1) - 1)
        value = draw(st.integers(low, high))
        return value, _whole(kind, value)
    if kind == "C":
        letter = draw(st.characters(min_codepoint=32, max_codepoint=126))
        return letter, b"C" + letter.encode()
    if kind == "S":
        text = draw(st.text(max_size=300))
        return text, b"S" + _text(text)
    if kind == "a":  # numbers of one type
        of = draw(st.sampled_from(list(_PACKED)))
        numbers = draw(st.lists(st.integers(0, 100), max_size=5))
        packed = b"".join(struct.pack(_PACKED[of], number) for number in numbers)
        return numbers, b"[$" + of.encode() + b"#" + _whole("L", len(numbers)) + packed
    parts = draw(st.lists(_written(depth=depth + 1), max_size=4))
    counted = draw(st.booleans())
    head, tail = (b"#" + _whole("i", len(parts)), b"") if counted else (b"", b"]" if kind == "[" else b"}")
    blank = b"" if counted and not parts else draw(st.sampled_from([b"", b"N"]))
    if kind == "[":
        return [value for value, _ in parts], b"[" + head + blank + b"".join(raw for _, raw in parts) + tail
    keyed = [(f"{index}é", value, raw) for index, (value, raw) in enumerate(parts)]
    inside = b"".join(_text(key) + raw for key, _, raw in keyed)
    return {key: value for key, value, _ in keyed}, b"{" + head + inside + tail


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


@given(_written())
def test_what_was_written_comes_back(written: tuple[Any, bytes]) -> None:
    value, raw = written
    assert _plain(ubjson.loads(raw)) == value
    assert _plain(ubjson.loads(raw + b"NN")) == value


@given(_written(), st.data())
def test_bytes_that_are_missing_or_left_over_are_an_error(written: tuple[Any, bytes], data: st.DataObject) -> None:
    raw = written[1]
    with pytest.raises(ValueError, match=r"^byte \d+: "):
        ubjson.loads(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(ValueError, match="1 bytes too many"):
        ubjson.loads(raw + b"Z")


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_one_line_that_names_the_byte(raw: bytes) -> None:
    try:
        ubjson.loads(b"{" + raw)
    except ValueError as error:
        line = str(error)
    else:
        line = "byte 0: a value"
    assert line.startswith("byte ")
    assert "\n" not in line


@pytest.mark.parametrize("path", sorted(_MODELS.glob("xgboost-*.ubj")), ids=lambda path: path.stem)
def test_both_forms_of_a_saved_model_say_the_same(path: Path) -> None:
    binary, text = _plain(ubjson.loads(path.read_bytes())), json.loads(path.with_suffix(".json").read_text("utf-8"))

    def same(own: Any, other: Any) -> bool:
        if isinstance(own, dict):
            return own.keys() == other.keys() and all(same(own[key], other[key]) for key in own)
        if isinstance(own, list):
            return len(own) == len(other) and all(map(same, own, other))
        return own == other or (isinstance(own, float) and own == np.float32(other))

    assert same(binary, text)


def test_numbers_of_one_type_become_an_array_of_it() -> None:
    for kind, stored in {"i": "i1", "U": "u1", "I": "i2", "l": "i4", "L": "i8", "d": "f4", "D": "f8"}.items():
        array = ubjson.loads(b"[$" + kind.encode() + b"#i\x02" + 2 * struct.pack(_PACKED[kind], 7))
        assert (array.dtype, array.tolist()) == (np.dtype(stored), [7, 7])
    assert ubjson.loads(b"[$C#i\x02ab") == ["a", "b"]
    assert ubjson.loads(b"{$U#i\x02i\x01a\x05i\x01b\x06") == {"a": 5, "b": 6}
    assert _plain(ubjson.loads(b"[$[#i\x02$U#i\x01\x05]")) == [[5], []]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "ends 1 bytes early"),
        (b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", "a container of 9,223,372,036,854,775,807 values, and 0 bytes"),
        (b"[$d#l\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00", "ends 27 bytes early"),
        (b"[$T#l\x7f\xff\xff\xff", "a container of 'T' alone"),
        (b"[$N#l\x7f\xff\xff\xff", "a container of 'N' alone"),
        (b"[#i\xff", "a length of -1"),
        (b"[#d\x00\x00\x00\x00", "'d' where a length is due"),
        (b"[$Ui\x01\x01", "a type but no count"),
        (b"SL\x00\x00\x01\x00\x00\x00\x00\x00", "ends 1,099,511,627,776 bytes early"),
        (b"Si\x02\xff\xfe", "not UTF-8"),
        (b"{i\x01aTi\x01aF}", "a second 'a'"),
        (b"Hi\x011", "'H' begins no value"),
        (b"[" * 100_000, "more than 64 containers"),
        (b"[$[#i\x01" * 100_000, "more than 64 containers"),
    ],
)
def test_damage_is_told_at_its_byte_and_takes_no_memory(raw: bytes, says: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=says.replace("(", r"\(")) as caught:
            ubjson.loads(raw)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith("byte ")
