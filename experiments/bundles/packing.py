"""The runner that travels inside a bundle: the modules of `agents.live` and what they need of `markets`.

What is needed is found by following imports. Absolute imports of ours become relative ones, so that the folder works
under any name:

| module | file below `runner/` |
|---|---|
| `agents.live.x` | `x.py` |
| `markets.y.z` | `markets/y/z.py` |
"""

import ast
from collections.abc import Iterator
from pathlib import Path

__all__ = ["pack_runner", "relative_imports"]

_ROOT = Path(__file__).resolve().parents[2]
_LIVE, _MARKETS = "agents.live", "markets"
_OTHERS = ("arena", "conf", "experiments", "genomes")

_ENTRIES = (_LIVE, f"{_LIVE}.golden", f"{_LIVE}.nautilus", f"{_LIVE}.shadow")
"""What people import of a runner, or run; the rest travels because these need it."""

_BESIDE = ("manifest.schema.json",)
"""Files that are no modules, but that modules read."""


def pack_runner(root: Path = _ROOT) -> dict[str, bytes]:
    """The runner's files by name below `runner/`, in order of names.

    What people begin with travels, and what that imports; whatever else lies in the folders, such as an editor's
    copies, does not.

    Args:
        root: of the source tree, the folder of `agents` and `markets`.

    Raises:
        ValueError: a module imports ours in a way that cannot be made relative; the line names it.
    """
    live = root / "agents" / "live"
    found = {name: (live / name).read_bytes() for name in _BESIDE}
    left = list(_ENTRIES)
    seen = set(left)
    while left:
        module = left.pop()
        path = _file(root, module)
        source = path.read_text(encoding="utf-8")
        package = path.stem == "__init__"
        for needed in _needed(root, ast.parse(source), module):
            if needed not in seen:
                seen.add(needed)
                left.append(needed)
        found[_place(module, package)] = relative_imports(source, module, package=package).encode()
    return dict(sorted(found.items()))


def relative_imports(source: str, module: str, *, package: bool) -> str:
    """The source of a module with its imports of ours made relative, and nothing else changed.

    Args:
        source: of the module.
        module: its dotted name.
        package: whether it is a package's `__init__`.

    Raises:
        ValueError: an import of ours in another form than `from a.b import c`, or of a package that does not travel.
    """
    lines = source.splitlines(keepends=True)
    for node, name in _imports(ast.parse(source), module):
        line = lines[node.lineno - 1]
        head, tail = line[: node.col_offset], line[node.col_offset :]
        if not tail.startswith(f"from {name} import"):
            raise ValueError(f"{module}, line {node.lineno}: write it as from {name} import …, on one line")
        lines[node.lineno - 1] = f"{head}from {_relative(name, module, package)}{tail[len(f'from {name}') :]}"
    return "".join(lines)


def _imports(tree: ast.AST, module: str) -> Iterator[tuple[ast.ImportFrom, str]]:
    """Imports of our own modules, wherever they stand."""
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            top = name.partition(".")[0]
            travels = _below(name, _LIVE) or top == _MARKETS
            if top not in ("agents", _MARKETS, *_OTHERS):
                continue
            if not travels or not isinstance(node, ast.ImportFrom):
                raise ValueError(
                    f"{module}: imports {name}, which does not travel in a bundle, or not by from … import"
                )
            yield node, name


def _needed(root: Path, tree: ast.Module, module: str) -> Iterator[str]:
    """Modules that these imports load: those named, packages above them, and names that are modules themselves."""
    for node, name in _imports(tree, module):
        parts = name.split(".")
        yield from (".".join(parts[: count + 1]) for count in range(1 if parts[0] == "agents" else 0, len(parts)))
        for alias in node.names:
            if _is_module(root, f"{name}.{alias.name}"):
                yield f"{name}.{alias.name}"


def _place(module: str, package: bool) -> str:
    """The file below `runner/`."""
    own = module.removeprefix(_LIVE).removeprefix(".").replace(".", "/")
    if package:
        return f"{own}/__init__.py".removeprefix("/")
    return f"{own}.py"


def _relative(name: str, module: str, package: bool) -> str:
    """How a module of the runner names another one."""
    target, here = ([part for part in own.removeprefix(_LIVE).split(".") if part] for own in (name, module))
    if not package:
        here = here[:-1]
    shared = 0
    while shared < min(len(target), len(here)) and target[shared] == here[shared]:
        shared += 1
    return "." * (len(here) - shared + 1) + ".".join(target[shared:])


def _file(root: Path, module: str) -> Path:
    base = root.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _is_module(root: Path, name: str) -> bool:
    base = root.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")
