"""Settings from plain mappings: no type is guessed, bounds hold, and every mistake names its dotted key."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.errors import UserError
from markets.settings import build, check, setting


@dataclasses.dataclass(frozen=True)
class Inner:
    """A group inside a group."""

    rate: float = setting(0.5, ge=0.0, le=1.0)
    steps: int = setting(3, gt=0, lt=10)


@dataclasses.dataclass(frozen=True)
class Outer:
    """Every kind of field."""

    name: str = setting()
    count: int = setting(1, ge=0)
    maybe: float | None = setting(None, gt=0)
    on: bool = setting(False)
    kind: Literal["a", "b"] = setting("a")
    chosen: str = setting("x", choices=("x", "y"))
    levels: tuple[float, ...] = setting((0.1,), gt=0)
    table: Mapping[str, int] = setting(factory=dict)
    either: int | str = setting(1)
    free: Any = setting(None)
    inner: Inner = setting(factory=Inner)
    nested: tuple[Inner, ...] = setting(())

    def problems(self, where: str) -> list[str]:
        """A rule over two keys."""
        return [f"{where}: on needs a count"] if self.on and not self.count else []


def refusal(values: object, where: str = "") -> str:
    with pytest.raises(UserError) as caught:
        build(Outer, values, where)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_fill_what_is_not_given() -> None:
    assert build(Outer, {"name": "n"}) == Outer(name="n")
    assert build(Inner, None) == Inner()


def test_values_are_taken_in_the_fields_own_types() -> None:
    made = build(
        Outer,
        {
            "name": "n",
            "count": 4.0,
            "maybe": 2,
            "on": True,
            "kind": "b",
            "levels": [1, 2.5],
            "table": {"a": 1},
            "either": "text",
            "free": [1, {"x": None}],
            "inner": {"rate": 1},
            "nested": [{"steps": 2}, {}],
        },
    )
    assert made.count == 4
    assert type(made.count) is int
    assert type(made.maybe) is float
    assert made.levels == (1.0, 2.5)
    assert made.table == {"a": 1}
    assert made.either == "text"
    assert made.free == [1, {"x": None}]
    assert made.inner == Inner(rate=1.0)
    assert made.nested == (Inner(steps=2), Inner())
    assert build(Outer, {"name": "n", "maybe": None}).maybe is None
    assert build(Outer, {"name": "n", "inner": Inner(steps=4)}).inner.steps == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "evolution.name: missing; it has no default"),
        ({"name": "n", "cuont": 1}, "evolution.cuont: unknown key; did you mean evolution.count?"),
        ({"name": "n", "inner": {"rat": 1}}, "evolution.inner.rat: unknown key; did you mean evolution.inner.rate?"),
        ({"name": "n", "inner": {"zzzz": 1}}, "evolution.inner.zzzz: unknown key; known keys: rate, steps"),
        ({"name": 3}, "evolution.name: expected text, got 3"),
        ({"name": "n", "count": "3"}, "evolution.count: expected a whole number, got '3'"),
        ({"name": "n", "count": 1.5}, "evolution.count: expected a whole number, got 1.5"),
        ({"name": "n", "count": True}, "evolution.count: expected a whole number, got True"),
        ({"name": "n", "count": float("inf")}, "evolution.count: expected a whole number, got inf"),
        ({"name": "n", "count": -1}, "evolution.count: -1 must be at least 0"),
        ({"name": "n", "maybe": 0}, "evolution.maybe: 0.0 must be above 0"),
        ({"name": "n", "maybe": True}, "evolution.maybe: expected a number, got True"),
        ({"name": "n", "maybe": float("nan")}, "evolution.maybe: expected a finite number, got nan"),
        ({"name": "n", "on": 1}, "evolution.on: expected true or false, got 1"),
        ({"name": "n", "kind": "c"}, "evolution.kind: 'c' is not one of a, b"),
        ({"name": "n", "chosen": "z"}, "evolution.chosen: 'z' is not one of x, y"),
        ({"name": "n", "levels": [1, -2]}, "evolution.levels: -2.0 must be above 0"),
        ({"name": "n", "levels": [1, "x"]}, "evolution.levels[1]: expected a number, got 'x'"),
        ({"name": "n", "levels": "12"}, "evolution.levels: expected a list, got '12'"),
        ({"name": "n", "table": [1]}, "evolution.table: expected a group of keys, got [1]"),
        ({"name": "n", "table": {"a": "b"}}, "evolution.table.a: expected a whole number, got 'b'"),
        ({"name": "n", "inner": 3}, "evolution.inner: expected a group of keys, got 3"),
        ({"name": "n", "inner": {"rate": 2}}, "evolution.inner.rate: 2.0 must be at most 1.0"),
        ({"name": "n", "inner": {"steps": 10}}, "evolution.inner.steps: 10 must be below 10"),
        ({"name": "n", "nested": [{}, {"steps": 0}]}, "evolution.nested[1].steps: 0 must be above 0"),
        ({"name": "n", "on": True, "count": 0}, "evolution: on needs a count"),
    ],
)
def test_a_mistake_names_its_dotted_key_and_what_would_be_right(values: dict[str, Any], message: str) -> None:
    assert refusal(values, "evolution") == message


def test_keys_at_the_top_have_no_dot() -> None:
    assert refusal({"nam": "n"}) == "nam: unknown key; did you mean name?"
    assert refusal([1]) == "settings: expected a group of keys, got [1]"


@pytest.mark.parametrize("unhashable", [[1], {"a": 1}])
def test_a_list_or_group_where_one_word_belongs_is_a_mistake_like_any_other(unhashable: object) -> None:
    assert refusal({"name": "n", "kind": unhashable}).startswith("kind: ")
    assert refusal({"name": "n", "chosen": unhashable}).startswith("chosen: ")


def test_settings_made_in_python_are_checked_by_the_same_rules() -> None:
    check(Outer(name="n"))
    with pytest.raises(UserError, match=r"^broker.count: -1 must be at least 0$"):
        check(Outer(name="n", count=-1), "broker")
    with pytest.raises(UserError, match="on needs a count"):
        check(Outer(name="n", on=True, count=0))


def test_bounds_of_a_group_inside_are_checked_too_where_it_was_made_in_python() -> None:
    with pytest.raises(UserError, match=r"^inner.rate: 7.0 must be at most 1.0$"):
        check(Outer(name="n", inner=Inner(rate=7.0)))


@given(st.fixed_dictionaries({"rate": st.floats(), "steps": st.integers()}))
def test_whatever_is_built_keeps_its_bounds_and_whatever_is_not_breaks_one(values: dict[str, Any]) -> None:
    fine = 0 <= values["rate"] <= 1 and 0 < values["steps"] < 10
    if fine:
        assert dataclasses.asdict(build(Inner, values)) == values
    else:
        with pytest.raises(UserError):
            build(Inner, values)
