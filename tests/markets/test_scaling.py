"""Scalers read training rows alone, map them to the unit they promise, and treat a window like the whole history."""

import numpy as np
import pytest
from causality import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.errors import UserError
from markets.scaling import Scaler, ScalingSettings, fit_scaler
from markets.settings import build

RNG = np.random.default_rng(0)
MATRIX = RNG.normal([3.0, -1e-4, 50.0], [2.0, 1e-5, 9.0], (4_000, 3))
NAMES = ("a", "b", "c")
TRAIN = np.arange(4_000) < 2_500


def fit(matrix: np.ndarray = MATRIX, rows: np.ndarray = TRAIN, **options) -> Scaler:
    return fit_scaler(matrix, rows, names=NAMES, **options)


@pytest.mark.parametrize("method", ["standard", "robust"])
def test_training_rows_come_out_standardised(method: str) -> None:
    out = fit(settings=ScalingSettings(method=method, clip=100.0)).apply(MATRIX)[TRAIN]
    assert out.dtype == np.float32
    exact = method == "standard"
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5 if exact else 0.1)
    np.testing.assert_allclose(out.std(0), 1, atol=1e-5 if exact else 0.1)
    if not exact:
        low, middle, high = np.quantile(out, (0.25, 0.5, 0.75), axis=0)
        np.testing.assert_allclose(middle, 0, atol=1e-5)
        np.testing.assert_allclose(high - low, 1.34898, atol=1e-4)


@pytest.mark.parametrize("method", ["standard", "robust"])
@pytest.mark.parametrize("later", [np.nan, np.inf, 1e12])
def test_rows_outside_training_change_nothing(method: str, later: float) -> None:
    other = MATRIX.copy()
    other[~TRAIN] = later
    rules = ScalingSettings(method=method)
    clean, spoilt = fit(settings=rules), fit(other, settings=rules)
    assert same_bits(clean.centre, spoilt.centre)
    assert same_bits(clean.scale, spoilt.scale)
    assert same_bits(clean.apply(MATRIX[TRAIN]), spoilt.apply(other[TRAIN]))


def test_a_scaler_fitted_on_all_rows_is_another_one() -> None:
    moved = MATRIX.copy()
    moved[~TRAIN] += 5
    assert not same_bits(fit(moved).centre, fit(moved, np.ones(4_000, bool)).centre)


def test_missing_values_are_passed_over_and_become_the_centre() -> None:
    holes = MATRIX.copy()
    holes[::3, 0] = np.nan
    kept = MATRIX[TRAIN & (np.arange(4_000) % 3 != 0), 0]
    scaler = fit(holes)
    assert scaler.centre[0] == pytest.approx(kept.mean())
    assert scaler.scale[0] == pytest.approx(kept.std())
    out = scaler.apply(holes)
    assert not out[::3, 0].any()
    assert np.isfinite(out).all()


def test_infinite_values_are_clipped_and_not_fitted() -> None:
    wild = MATRIX.copy()
    wild[5, 1], wild[6, 1] = np.inf, -np.inf
    scaler = fit(wild)
    assert np.isfinite(scaler.scale).all()
    np.testing.assert_array_equal(scaler.apply(wild)[5:7, 1], [5.0, -5.0])


@pytest.mark.parametrize("method", ["standard", "robust"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 1e-30])
def test_constant_columns_have_scale_one_and_come_out_zero(method: str, value: float) -> None:
    constant = MATRIX.copy()
    constant[:, 2] = value
    scaler = fit(constant, settings=ScalingSettings(method=method))
    assert scaler.scale[2] == 1.0
    np.testing.assert_allclose(scaler.apply(constant)[:, 2], 0, atol=1e-6)


def test_a_column_that_is_mostly_one_value_falls_back_on_its_deviation() -> None:
    gaps = MATRIX.copy()
    gaps[:, 0] = np.where(np.arange(4_000) % 100 == 0, 3.9, 0.0)
    scaler = fit(gaps, settings=ScalingSettings(method="robust"))
    assert scaler.centre[0] == 0.0
    assert scaler.scale[0] == pytest.approx(gaps[TRAIN, 0].std())


def test_unscaled_columns_pass() -> None:
    scaler = fit(scaled=(True, False, True))
    assert (scaler.centre[1], scaler.scale[1]) == (0.0, 1.0)
    assert same_bits(np.ascontiguousarray(scaler.apply(MATRIX)[:, 1]), MATRIX[:, 1].astype(np.float32))
    none = fit(settings=ScalingSettings(method="none", clip=1e9))
    assert same_bits(none.apply(MATRIX), MATRIX.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, 3_999), rows=st.integers(1, 70), clip=st.floats(0.1, 10))
def test_a_window_has_the_bits_of_the_whole_and_is_clipped(start: int, rows: int, clip: float) -> None:
    scaler = fit(settings=ScalingSettings(clip=clip))
    whole = scaler.apply(MATRIX)
    assert np.abs(whole).max() <= np.float32(clip)
    piece = slice(start, start + rows)
    assert same_bits(scaler.apply(MATRIX[piece]), whole[piece])
    assert same_bits(scaler.apply(np.asfortranarray(MATRIX)[piece]), whole[piece])
    assert same_bits(scaler.apply(MATRIX[start]), whole[start])


def test_what_cannot_be_fitted_is_refused() -> None:
    empty = MATRIX.copy()
    empty[TRAIN, 1] = np.nan
    with pytest.raises(UserError, match="'b' has no value in the training rows"):
        fit(empty)
    assert fit(empty, scaled=(True, False, True)).scale[1] == 1.0
    with pytest.raises(UserError, match=r"scaling\.clip: 0\.0 must be above 0"):
        build(ScalingSettings, {"clip": 0}, "scaling")
    with pytest.raises(ValueError, match="expected 3 columns, got 2"):
        fit().apply(MATRIX[:, :2])
    with pytest.raises(ValueError, match="expected"):
        fit(MATRIX[:, :2])
