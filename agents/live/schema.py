"""A manifest held against `manifest.schema.json`, the schema that everybody else can hold it against too.

Of JSON Schema 2020-12 it knows what that file says, and no more: a keyword that it does not know is a mistake of ours.
It is stricter in numbers alone: whole ones are written without a point and below 2⁶³, others are at most 1e30.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from markets.errors import UserError
from markets.settings import shown

__all__ = ["KEYWORDS", "manifest_schema", "mistakes"]

_WHOLE, _SIZE = 2**63 - 1, 1e30

_TYPES = {
    "object": "a group of keys",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "integer": "a whole number",
    "number": "a number",
}

_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("above", lambda value, bound: value > bound),
    "exclusiveMaximum": ("below", lambda value, bound: value < bound),
}

_INNER = ("$ref", "properties", "additionalProperties", "propertyNames", "required", "items")
_OWN = ("type", "const", "enum", "pattern", "format", "minLength", "minItems", "maxItems", "uniqueItems")
_TOLD = ("$schema", "$id", "$defs", "title", "description")

KEYWORDS = frozenset((*_INNER, *_OWN, *_BOUNDS, *_TOLD))
"""All that a schema may say."""


@functools.cache
def manifest_schema() -> Mapping[str, Any]:
    """The schema of a manifest.

    Raises:
        UserError: it does not lie beside this module.
    """
    path = Path(__file__).with_name("manifest.schema.json")
    try:
        schema: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path}: missing or damaged; a runner is moved as a whole") from None
    return schema


def mistakes(
    value: Any, schema: Mapping[str, Any], where: str = "", root: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What in a value is not as a schema says, a line each that begins with the key.

    Args:
        value: as JSON was read, every number finite.
        schema: that it is held against.
        where: dotted key of the value.
        root: the schema that has the definitions; the same at the top.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    wrong = _own(value, schema)
    if wrong:
        yield f"{where or 'manifest'}: expected {wrong}, got {shown(value)}"
        return
    if isinstance(value, Mapping):
        yield from _inside(value, schema, where, root)
    elif isinstance(value, list) and "items" in schema:
        for place, item in enumerate(value):
            yield from mistakes(item, schema["items"], f"{where}[{place}]", root)


def _inside(value: Mapping[str, Any], schema: Mapping[str, Any], where: str, root: Mapping[str, Any]) -> Iterator[str]:
    """Of a group of keys."""
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{_dotted(where, key)}: missing"
    known = schema.get("properties", {})
    for key, item in value.items():
        if "propertyNames" in schema and _own(key, schema["propertyNames"]):
            yield f"{where}: {shown(key)} cannot be a key of it"
        further = known.get(key, schema.get("additionalProperties"))
        if further is not None:
            yield from mistakes(item, further, _dotted(where, key), root)


def _own(value: Any, schema: Mapping[str, Any]) -> str:
    """What a value should be instead, its parts not looked at; empty where nothing is wrong."""
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return " or ".join(_TYPES[kind] for kind in kinds)
    if "const" in schema and value != schema["const"]:
        return str(json.dumps(schema["const"]))
    if "enum" in schema and value not in schema["enum"]:
        return " or ".join(map(str, schema["enum"]))
    if isinstance(value, str):
        return _text(value, schema)
    if isinstance(value, list):
        return _length(value, schema)
    if isinstance(value, int | float):
        for name, (words, holds) in _BOUNDS.items():
            if name in schema and not holds(value, schema[name]):
                return f"{_TYPES[kinds[0]]} {words} {schema[name]:,}"
    return ""


def _is(value: Any, kind: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "integer":
        return number and isinstance(value, int) and abs(value) <= _WHOLE
    if kind == "number":
        return number and abs(value) <= _SIZE
    types = {"object": Mapping, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, types[kind])


def _text(value: str, schema: Mapping[str, Any]) -> str:
    if len(value) < schema.get("minLength", 0):
        return "text"
    if "pattern" in schema and not re.search(schema["pattern"], value, re.ASCII):
        return f"text of the form {schema['pattern']}"
    if schema.get("format") == "date-time":
        try:
            np.datetime64(value.removesuffix("Z"), "us")
        except ValueError:
            return "a time in UTC"
    return ""


def _length(value: Sequence[Any], schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not least <= len(value) <= most:
        return f"a list of {least}" + (" items" if "maxItems" in schema else " or more items")
    if schema.get("uniqueItems") and any(item in value[:place] for place, item in enumerate(value)):
        return "a list without repetition"
    return ""


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
