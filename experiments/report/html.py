"""The one file: a head with a strict security policy, a skeleton of sections, the facts, the columns and two scripts.

The policy allows nothing but the scripts and the style of the file itself, which it names by their SHA-256, and images
that the page makes of its own canvas: no request leaves it. What a run has to say (names of symbols, of files, of
columns) reaches the page as JSON in which `<`, `>` and `&` are escapes, so that nothing in it can end the block it
stands in.
"""

import base64
import functools
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.report.bundle import bundle

__all__ = ["SECTIONS", "document", "page_script", "page_style", "script_json", "vendored"]

_HERE = Path(__file__).parent
_ENDS = re.compile(r"<!--|</script|</style|[\r\0]", re.IGNORECASE)

SECTIONS = {
    "summary": "The run",
    "certificate": "Certificate",
    "champions": "Champions",
    "grid": "Decision rules",
    "curves": "Learning curves",
    "tree": "Lineage tree",
    "clades": "Founder clades",
    "heat": "Agents by regime",
    "missing": "What is missing",
}
"""The page's sections in order: id and heading."""


def document(facts: Mapping[str, Any], columns: Mapping[str, str], *, title: str) -> str:
    """The whole page.

    Args:
        facts: what `docs/report.md` describes; plain values, no NaN.
        columns: base64 of each packed group of columns, by name.
        title: of the window and the page.

    Raises:
        ValueError: a script or a style that would end its own block, or a number that JSON does not have.
    """
    scripts = [vendored(), page_script()]
    style = page_style()
    for text in (*scripts, style):
        found = _ENDS.search(text)
        if found:
            raise ValueError(f"{found[0]!r} in a script or a style of the page ends it too early; write it otherwise")
    sections = "\n".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{heading}</h2></section>'
        for name, heading in SECTIONS.items()
    )
    blocks = "\n".join(
        f'<script type="text/plain" class="columns" id="columns-{html.escape(name)}">{packed}</script>'
        for name, packed in columns.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header id="top"><h1>{html.escape(title)}</h1></header>
<noscript><p>This report draws itself: it needs JavaScript, and nothing from any network.</p></noscript>
<main id="main">
{sections}
</main>
<script type="application/json" id="facts">{script_json(facts)}</script>
{blocks}
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def script_json(content: object) -> str:
    """Compact JSON that may stand inside a `<script>`, in ASCII.

    Raises:
        ValueError: it holds NaN or an infinity.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def vendored() -> str:
    """The drawing library, as its authors publish it.

    Raises:
        ValueError: it is not the file that `vendor.json` names.
    """
    about: dict[str, str] = json.loads((_HERE / "vendor" / "vendor.json").read_text(encoding="utf-8"))
    path = _HERE / "vendor" / about["file"]
    raw: bytes = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != about["sha256"]:
        raise ValueError(f"{path}: is not the file of {about['name']} {about['version']}; make vendor brings it back")
    return raw.decode("utf-8")


def page_script() -> str:
    """The page's own script, of all modules in `page/`."""
    return bundle(_texts("*.js"))


def page_style() -> str:
    """The page's style, of all sheets in `page/` in the order of their paths."""
    return "\n".join(_texts("*.css").values()).replace("\r\n", "\n")


def _texts(pattern: str) -> dict[str, str]:
    """The page's files of a kind by their path below `page/`, in order."""
    page = _HERE / "page"
    texts = {path.relative_to(page).as_posix(): path.read_text(encoding="utf-8") for path in page.rglob(pattern)}
    return dict(sorted(texts.items()))


def _policy(scripts: list[str], style: str) -> str:
    """The Content-Security-Policy of a page with these scripts and this style."""
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    """A source of the policy: the SHA-256 of an inline block, in base64."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
