"""What can be configured, as `--help` shows it: the options of each group, then every key with its value and meaning.

The configuration files are the only manual of their keys: the first comment of a file says what the option is, and the
comment beside or above a key what the key means.
"""

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from importlib.resources import files

import yaml

from experiments.configuration.compose import choices, compose, group_options
from experiments.configuration.keys import flatten

__all__ = ["describe", "key_comments"]


def describe(overrides: Sequence[str] = (), *, module: str = "conf", name: str = "config", width: int = 0) -> str:
    """Describe every group and key under the choices made by some overrides.

    Args:
        overrides: as for `configuration.compose`; what is given here is shown as the value.
        module: importable package that holds the configuration files.
        name: its primary file, without the ending.
        width: columns; 0 takes those of the terminal.

    Raises:
        UserError: a mistake in the overrides.
    """
    width = width or min(shutil.get_terminal_size().columns, 120)
    values = flatten(compose(overrides, module=module, name=name, partial=True))
    groups = group_options(module=module)
    comments = key_comments(f"{name}.yaml", "", module)
    chosen = choices(overrides, module=module, name=name)
    options, others = [], dict[str, tuple[str, str]]()
    for group, names in groups.items():
        for option in names:
            path = f"{group}/{option}.yaml"
            package = _package(path, group, module)
            # An option of a group of which several may be chosen has a place of its own, and no entry in the choices.
            holds = chosen[group] == option if group in chosen else any(key.startswith(f"{package}.") for key in values)
            options.append((f"{group}={option}{' *' if holds else ''}", _opening(path, module)))
            words = {key: text for key, text in key_comments(path, f"{package}.", module).items() if text}
            if holds:
                comments |= words
                continue
            for key, value in flatten(yaml.safe_load(_text(path, module)) or {}, f"{package}.").items():
                if key not in values and key not in others:
                    others[key] = (f"{key}={_plain(value)}", f"{words.get(key, '')} ({group}={option})".strip())
    first = sorted(values, key=lambda key: "." in key)
    shown = [(f"{key}={_plain(values[key])}", comments.get(key, "")) for key in first]
    parts = {
        "choices (* is what holds now):": options,
        "keys, with what they hold now (??? must be given):": shown,
        "keys that other choices bring, with what they would hold:": list(others.values()),
    }
    return "\n\n".join("\n".join([head, *_table(rows, width)]) for head, rows in parts.items() if rows)


def key_comments(path: str, prefix: str, module: str = "conf") -> dict[str, str]:
    """What the comments of a configuration file say about each of its keys.

    Args:
        path: the file inside the package, such as `market/synthetic.yaml`.
        prefix: what stands before its keys, such as `market.`.
        module: importable package that holds the configuration files.

    Returns:
        The comment beside each dotted key, else the comment lines right above it, else nothing.
    """
    text = _text(path, module)
    lines = text.splitlines()
    return {f"{prefix}{key}": _comment(lines, first, end) for key, first, end in _leaves(yaml.compose(text), "")}


_End = tuple[int, int]
"""Line and column right after something."""


def _leaves(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int, _End]]:
    """Dotted keys below a mapping, with the line of the key and the place where a comment beside it may begin."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        dotted = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _leaves(value, f"{dotted}.")
        else:
            in_block = isinstance(value, yaml.SequenceNode) and not value.flow_style
            end = key.end_mark if in_block else value.end_mark
            yield dotted, key.start_mark.line, (end.line, end.column)


def _comment(lines: Sequence[str], first: int, end: _End) -> str:
    """The comment beside a key, else the lines of comment above it."""
    line, column = end
    beside = lines[line][column:].partition(" #")[2] if column and line < len(lines) else ""
    if beside:
        return beside.strip(" #")
    start = first
    while start and lines[start - 1].strip().startswith("#"):
        start -= 1
    # What opens a file speaks of the file.
    return " ".join(text.strip(" #") for text in lines[start:first]) if start else ""


def _opening(path: str, module: str) -> str:
    """The comment that opens a file."""
    words = []
    for line in _text(path, module).splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @"):
            words.append(line.strip(" #"))
    return " ".join(words)


def _package(path: str, group: str, module: str) -> str:
    """Where the keys of an option stand in the configuration: its group, unless its header says otherwise."""
    found = re.match(r"# @package (\S+)", _text(path, module))
    return found[1] if found else group.replace("/", ".")


def _text(path: str, module: str) -> str:
    return files(module).joinpath(*path.split("/")).read_text(encoding="utf-8")


def _plain(value: object) -> str:
    """A value as an override writes it."""
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else " ".join(str(value).split())


def _table(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Two columns; a left cell too long for its column stands on a line of its own."""
    left = min(max((len(first) for first, _ in rows), default=0), 38) + 4
    lines = []
    for first, second in rows:
        wrapped = textwrap.wrap(second, max(width - left, 20)) or [""]
        if len(first) > left - 4:
            lines.append(f"  {first}")
            heads = [""] * len(wrapped)
        else:
            heads = [first, *[""] * (len(wrapped) - 1)]
        lines += [
            f"  {head:<{left - 2}}{tail}".rstrip() for head, tail in zip(heads, wrapped, strict=True) if head or tail
        ]
    return lines
