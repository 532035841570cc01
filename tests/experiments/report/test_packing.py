"""Packed columns come back bit for bit, undone as the page undoes them, step by step in plain Python."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from report_columns import undone

from experiments.report.packing import coarse, narrow, pack, pack_all, quantise


def plain(values: np.ndarray[Any, Any]) -> list[bytes]:
    return [value.tobytes() for value in values]


@st.composite
def tables(draw: st.DrawFn) -> dict[str, np.ndarray[Any, Any]]:
    length = draw(st.integers(0, 40))
    kinds = draw(st.lists(st.sampled_from(["u1", "u2", "u4", "i4", "f4"]), min_size=1, max_size=4))
    return {f"c{place}": draw(hnp.arrays(f"<{kind}", length)) for place, kind in enumerate(kinds)}


@given(tables())
def test_columns_come_back_bit_for_bit(columns: dict[str, np.ndarray[Any, Any]]) -> None:
    found = undone(pack(columns))
    assert found == {name: plain(values) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        (np.arange(5000, dtype=np.uint32), {"delta"}),
        (np.random.default_rng(1).integers(0, 300, 5000).astype(np.uint32), {"planes"}),
        (np.cumsum(np.random.default_rng(1).integers(0, 2000, 5000)).astype(np.uint32), {"planes", "delta"}),
        (np.full(5000, 7, np.uint8), set()),
    ],
)
def test_the_coding_that_packs_smallest_is_chosen_and_undone(values: np.ndarray[Any, Any], steps: set[str]) -> None:
    packed = pack({"a": values, "b": values[::-1].copy()})
    assert set(packed.description["columns"]["a"]["steps"]) == steps
    assert undone(packed) == {"a": plain(values), "b": plain(values[::-1])}


def test_a_count_takes_next_to_no_room() -> None:
    assert len(pack({"id": np.arange(1_000_000, dtype=np.uint32)}).base64) < 12_000


def test_a_column_that_two_groups_have_is_packed_once() -> None:
    time, other = np.arange(50, dtype=np.uint32), np.arange(50, dtype=np.float32)
    made = pack_all({"a": {"time": time, "x": other}, "b": {"x": other + 1, "time": time}, "c": {"time": time}})
    assert made["a"] == pack({"time": time, "x": other})
    assert made["b"].base64 == pack({"x": other + 1}).base64
    assert list(made["b"].description["columns"].items())[1] == ("time", {"from": "a"})
    assert made["c"].description == {"length": 50, "columns": {"time": {"from": "a"}}}
    assert pack_all({"a": {"x": other}, "b": {"y": other}})["b"] == pack({"y": other})


@given(hnp.arrays(np.float32, st.integers(0, 20)))
def test_coarse_floats_are_near_and_have_fewer_bits(values: np.ndarray[Any, Any]) -> None:
    found = coarse(values, 16)
    large = np.isfinite(values) & (np.abs(values) < 1e38) & (np.abs(values) > 1e-37)
    np.testing.assert_allclose(found[large], values[large], rtol=2.0**-17 * 1.01)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    assert not (found.view(np.uint32)[large] & 0x7F).any()


def test_other_types_and_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="b: uint64"):
        pack({"a": np.zeros(2, np.uint8), "b": np.zeros(2, np.uint64)})
    with pytest.raises(ValueError, match=r"b: uint8 of shape \(3,\)"):
        pack({"a": np.zeros(2, np.uint8), "b": np.zeros(3, np.uint8)})


@given(
    hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(-1e6, 1e6) | st.just(np.nan) | st.just(np.inf)),
    st.sampled_from([8, 16]),
    st.sampled_from([0.0, 0.01, 5.0]),
)
def test_quantised_numbers_are_off_by_half_a_step_and_nothing_stays_nothing(
    values: np.ndarray[Any, Any], bits: int, finest: float
) -> None:
    codes, low, step = quantise(values, bits, finest=finest)
    top = 2**bits - 1
    assert step >= finest
    for value, code in zip(values.tolist(), codes.tolist(), strict=True):
        assert (code == top) == (not np.isfinite(value))
        if np.isfinite(value):
            assert abs(low + code * step - value) <= step * (0.5 + 1e-6)
    span = np.ptp(values[np.isfinite(values)]) if np.isfinite(values).any() else 0.0
    assert step <= max(span / (top - 1), finest) or span == 0


def test_whole_numbers_take_the_narrowest_type_with_codes_to_spare() -> None:
    assert narrow(np.array([0, 255])).dtype == np.uint8
    assert narrow(np.array([0, 255]), spare=1).dtype == np.uint16
    assert narrow(np.array([70_000])).dtype == np.uint32
    assert narrow(np.array([], np.int64)).dtype == np.uint8
    with pytest.raises(ValueError, match="too large"):
        narrow(np.array([2**33]))
