"""Typed settings: frozen dataclasses built from plain mappings, with one line for each mistake.

Every settings class of the project is a frozen dataclass whose fields carry their bounds as metadata, so that the
core can be built in Python without any configuration library and a file of keys is checked before anything is
compiled. A field is declared with `setting(default, ge=..., le=..., gt=..., lt=..., choices=...)`.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from markets.errors import UserError

__all__ = ["build", "check", "setting", "shown"]

T = TypeVar("T")

_WHOLE, _SIZE = 2**31 - 1, 1e30
"""The largest whole number and the largest number there may be in settings: what 32 bits on a device hold."""

_WIDTH = 120
"""Characters of a value that a message quotes."""

_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": ("at least", lambda value, bound: value >= bound),
    "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound),
    "lt": ("below", lambda value, bound: value < bound),
}


def setting(default: Any = dataclasses.MISSING, *, factory: Any = None, **bounds: Any) -> Any:
    """Declare a settings field.

    Args:
        default: value where the user gives none; a field without one is required.
        factory: makes the default where it is a settings class of its own or a mutable value.
        **bounds: `ge`, `gt`, `le`, `lt` (numbers, also applied to every item of a sequence) and `choices`.
    """
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=bounds)
    return dataclasses.field(default=default, metadata=bounds)


def build(cls: type[T], values: object, where: str = "") -> T:
    """Make a settings object from a mapping of plain values.

    Args:
        cls: a frozen dataclass declared with `setting`.
        values: its keys; a nested settings class takes a nested mapping, and None means all defaults.
        where: dotted key of this group, for messages (`evolution`, `market.broker`); empty at the top.

    Raises:
        UserError: an unknown or missing key, a wrong type or a value out of bounds, named by its dotted key.
    """
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise UserError(f"{where or 'settings'}: expected a group of keys, got {shown(values)}")
    fields = {f.name: f for f in dataclasses.fields(cast(Any, cls)) if f.init}
    for key in values:
        if key not in fields:
            close = difflib.get_close_matches(_dotted("", key), fields, n=1)
            hint = f"did you mean {_dotted(where, close[0])}?" if close else f"known keys: {', '.join(fields)}"
            raise UserError(f"{_dotted(where, key)}: unknown key; {hint}")
    hints = typing.get_type_hints(cls)
    made = {}
    for name, field in fields.items():
        key = _dotted(where, name)
        if name in values:
            made[name] = _coerce(values[name], hints[name], key)
            _within(made[name], field.metadata, key)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UserError(f"{key}: missing; it has no default")
    result = cls(**made)
    check(result, where)
    return result


def check(settings: Any, where: str = "") -> None:
    """Check bounds and, where the class has `problems(where)`, what its keys mean together.

    Args:
        settings: an object of a settings class, however it was made.
        where: dotted key of this group.

    Raises:
        UserError: the first value out of bounds or impossible combination.
    """
    for field in dataclasses.fields(settings):
        key, value = _dotted(where, field.name), getattr(settings, field.name)
        _within(value, field.metadata, key)
        if _is_settings(value):
            check(value, key)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if _is_settings(item):
                    check(item, f"{key}[{index}]")
    if hasattr(settings, "problems"):
        for problem in settings.problems(where):
            raise UserError(problem)


def _is_settings(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _dotted(where: str, key: Any) -> str:
    name = key if isinstance(key, str) else shown(key)
    return f"{where}.{name}" if where else name


def _coerce(value: Any, hint: Any, key: str) -> Any:
    """Turn a plain value into the field's type, without guessing."""
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        kinds = [option for option in options if option is not type(None)]
        for kind in kinds[:-1]:
            try:
                return _coerce(value, kind, key)
            except UserError:
                continue
        return _coerce(value, kinds[-1], key)
    if origin is typing.Literal:
        choices = typing.get_args(hint)
        if value in choices and not isinstance(value, bool):
            return value
        raise UserError(f"{key}: {shown(value)} is not one of {', '.join(map(str, choices))}")
    if origin is tuple:
        if isinstance(value, str | bytes) or not isinstance(value, typing.Sequence):
            raise UserError(f"{key}: expected a list, got {shown(value)}")
        kind = typing.get_args(hint)[0]
        return tuple(_coerce(item, kind, f"{key}[{index}]") for index, item in enumerate(value))
    if origin in (dict, Mapping) or hint is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{key}: expected a group of keys, got {shown(value)}")
        kind = typing.get_args(hint)[1] if typing.get_args(hint) else Any
        return {str(name): _coerce(item, kind, f"{key}.{name}") for name, item in value.items()}
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        group = cast(type[Any], hint)
        return value if isinstance(value, group) else build(group, value, key)
    return _scalar(value, hint, key)


def _scalar(value: Any, kind: type, key: str) -> Any:
    if kind is bool and isinstance(value, bool):
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int and number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if kind is float and number:
        if abs(value) <= _SIZE:
            return float(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key}: expected a finite number, got {shown(value)}")
        raise UserError(f"{key}: {shown(value)} is too large; numbers go up to {_SIZE:g}")
    if kind is str and isinstance(value, str):
        return value
    name = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
    raise UserError(f"{key}: expected {name.get(kind.__name__, kind.__name__)}, got {shown(value)}")


def shown(value: Any) -> str:
    """A value for people, cut short; Python itself refuses to write out numbers of thousands of digits."""
    try:
        text = repr(value)
    except ValueError:
        text = f"a {type(value).__name__} beyond writing"
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


def _within(value: Any, bounds: Mapping[str, Any], key: str) -> None:
    items = value if isinstance(value, tuple) else () if value is None else (value,)
    for item in items:
        if isinstance(item, int) and not {"le", "lt"} & bounds.keys() and abs(item) > _WHOLE:
            raise UserError(f"{key}: {shown(item)} is too large; whole numbers go up to {_WHOLE:,}")
        if "choices" in bounds and item not in bounds["choices"]:
            raise UserError(f"{key}: {shown(item)} is not one of {', '.join(map(str, bounds['choices']))}")
        for name, (words, holds) in _BOUNDS.items():
            if name in bounds and not holds(item, bounds[name]):
                raise UserError(f"{key}: {shown(item)} must be {words} {bounds[name]}")
