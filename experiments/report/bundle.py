"""Joins the page's ES modules into one script: dependencies first, without the words `import` and `export`.

A file that is opened from disk may load no modules, and the page's security policy names each script by its hash, so
there is one script in one scope. That wants a little order in the modules, which is checked here: imports are named,
from `./x.js` or `../room/x.js`, and stand at the start of a line; what is imported exists and is exported; names at the
top level are unique over all modules; nobody imports in a circle.
"""

import dataclasses
import posixpath
import re
from collections.abc import Mapping

__all__ = ["BundleError", "bundle", "reached"]

_NAME = r"[A-Za-z_$][\w$]*"
_IMPORT = re.compile(r'^import\s*\{([^{}]*)\}\s*from\s*"(\.\.?/[\w./-]+)";?[ \t]*\n?', re.MULTILINE)
_DECLARED = re.compile(
    rf"^(export\s+)?(?:(?:async\s+)?function\s*\*?\s*({_NAME})|class\s+({_NAME})|(?:const|let|var)\s+({_NAME})\b)",
    re.MULTILINE,
)
_UNREADABLE = re.compile(r"^(?:export|import|await|(?:const|let|var)\s*[\[{]).*", re.MULTILINE)


class BundleError(ValueError):
    """A module that cannot be joined to the others; one line says which and why."""


@dataclasses.dataclass(frozen=True)
class _Module:
    """What a module imports by path, what it declares and exports at its top level, and its text without both words."""

    imports: Mapping[str, tuple[str, ...]]
    declared: tuple[str, ...]
    exported: frozenset[str]
    body: str


def bundle(sources: Mapping[str, str], entry: str = "main.js") -> str:
    """One script of all modules that the entry reaches.

    Args:
        sources: the text of each module by its path, such as `main.js` or `tree/layout.js`.
        entry: where it begins.

    Returns:
        A script of one function that is called at once, so that it leaves no names behind.

    Raises:
        BundleError: an import of what does not exist or is not exported, a name declared twice, a circle, or a
            statement that cannot be joined.
    """
    modules = _reached(sources, entry)
    owners: dict[str, str] = {}
    for name, module in modules.items():
        for declared in module.declared:
            if declared in owners:
                raise BundleError(f"{name}: declares {declared}, which {owners[declared]} declares too; rename one")
            owners[declared] = name
    parts = [f"// {name}\n{module.body.strip()}\n" for name, module in modules.items()]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def reached(sources: Mapping[str, str], entry: str = "main.js") -> tuple[str, ...]:
    """Names of the modules that the entry reaches, dependencies first.

    Raises:
        BundleError: as in `bundle`.
    """
    return tuple(_reached(sources, entry))


def _reached(sources: Mapping[str, str], entry: str) -> dict[str, _Module]:
    modules = {name: _read(name, text) for name, text in sources.items()}
    if entry not in modules:
        raise BundleError(f"{entry}: no such module")
    done: dict[str, _Module] = {}
    _visit(entry, modules, done, ())
    return done


def _visit(name: str, modules: Mapping[str, _Module], done: dict[str, _Module], above: tuple[str, ...]) -> None:
    """Put a module after all that it imports."""
    if name in above:
        raise BundleError(f"{name}: imports itself, through {' → '.join([*above[above.index(name) :], name])}")
    if name in done:
        return
    module = modules[name]
    for other, names in module.imports.items():
        if other not in modules:
            raise BundleError(f"{name}: imports {other}, which does not exist")
        lacking = [wanted for wanted in names if wanted not in modules[other].exported]
        if lacking:
            raise BundleError(f"{name}: imports {', '.join(lacking)} of {other}, which does not export it")
        _visit(other, modules, done, (*above, name))
    done[name] = module


def _read(name: str, text: str) -> _Module:
    text = text.replace("\r\n", "\n")
    imports: dict[str, tuple[str, ...]] = {}
    for found in _IMPORT.finditer(text):
        names = tuple(word.strip() for word in found[1].split(",") if word.strip())
        for word in names:
            if not re.fullmatch(_NAME, word):
                raise BundleError(f"{name}: imports {word!r}; right is a name alone, which keeps its name")
        other = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[2]))
        imports[other] = (*imports.get(other, ()), *names)
    text = _IMPORT.sub("", text)
    declared, exported = [], set()
    for found in _DECLARED.finditer(text):
        word = found[2] or found[3] or found[4]
        declared.append(word)
        if found[1]:
            exported.add(word)
    body = _DECLARED.sub(lambda found: found[0].removeprefix(found[1] or ""), text)
    left = _UNREADABLE.search(body)
    if left:
        raise BundleError(
            f"{name}: {left[0].strip()!r} cannot be joined; right at the start of a line are "
            'import { a } from "./x.js" and export of one function, class or const'
        )
    return _Module(imports, tuple(declared), frozenset(exported), body)
