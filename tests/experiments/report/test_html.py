"""The one file: its policy holds for its own blocks alone, and nothing that a run says can break out of its place."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.report import html
from experiments.report.bundle import reached
from experiments.report.html import SECTIONS, document, script_json, vendored

NASTY = "</script><script>alert(1)</script><!--<script>&amp;\u2028'\"\x00é🜁"


class Blocks(HTMLParser):
    """What a browser finds: blocks of scripts and styles with their attributes, and all tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.blocks: list[tuple[str, dict[str, str | None], str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.blocks.append((tag, dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.blocks and self.cdata_elem:
            tag, attributes, text = self.blocks[-1]
            self.blocks[-1] = (tag, attributes, text + data)
        else:
            self.text += data


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> str:
    """A page with nasty words everywhere, and little of its own."""
    monkeypatch.setattr(html, "page_script", lambda: "(() => { document.title; })();\n")
    monkeypatch.setattr(html, "page_style", lambda: "h1 { color: red }\n/* ☃ */")
    return document({"run": {"id": NASTY}}, {"tree": "QUJD", NASTY: "RUZH"}, title=NASTY)


def test_the_policy_names_each_block_that_may_run_and_nothing_else(page: str) -> None:
    parsed = Blocks(page)
    (policy,) = (about["content"] for tag, about in parsed.tags if tag == "meta" and "http-equiv" in about)
    rules = dict(rule.strip().partition(" ")[::2] for rule in str(policy).split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    running = [text for tag, about, text in parsed.blocks if tag == "script" and "type" not in about]
    styles = [text for tag, _, text in parsed.blocks if tag == "style"]
    assert len(running) == 2
    assert len(styles) == 1
    for texts, rule in ((running, "script-src"), (styles, "style-src")):
        wanted = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]
        assert rules[rule].split() == wanted


def test_the_policy_comes_before_everything_it_is_about(page: str) -> None:
    tags = [tag for tag, about in Blocks(page).tags if tag in ("script", "style", "link") or "http-equiv" in about]
    assert tags[0] == "meta"
    assert page.encode().index(b"charset") < 200


def test_nothing_that_a_run_says_breaks_out_of_its_block(page: str) -> None:
    parsed = Blocks(page)
    (facts,) = (text for _, about, text in parsed.blocks if about.get("id") == "facts")
    assert json.loads(facts) == {"run": {"id": NASTY}}
    assert "alert" not in "".join(text for tag, about, text in parsed.blocks if "type" not in about)
    assert [about["id"] for _, about, _ in parsed.blocks if about.get("class")] == ["columns-tree", f"columns-{NASTY}"]
    assert not any(key.startswith("on") or key == "style" for _, about in parsed.tags for key in about)
    assert sum(tag == "script" for tag, _ in parsed.tags) == 5


def test_nothing_in_the_page_points_anywhere_else(page: str) -> None:
    for tag, about in Blocks(page).tags:
        for key in ("src", "href", "srcset", "action", "data"):
            assert str(about.get(key, "data:")).startswith(("data:", "#")), tag


def test_sections_have_their_headings(page: str) -> None:
    parsed = Blocks(page)
    found = {about["id"]: about for tag, about in parsed.tags if tag == "section"}
    assert list(found) == list(SECTIONS)
    titles = {about["id"] for tag, about in parsed.tags if tag == "h2"}
    assert {about["aria-labelledby"] for about in found.values()} == titles


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_json_for_a_script_keeps_every_value_and_ends_no_block(content: object) -> None:
    text = script_json(content)
    assert not set("<>&") & set(text)
    assert text.isascii()
    assert json.loads(text) == content


def test_json_for_a_script_knows_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


@pytest.mark.parametrize("text", ["a = '</SCRIPT>'", "<!-- x", "a\rb"])
def test_a_script_that_would_end_its_own_block_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "page_script", lambda: text)
    with pytest.raises(ValueError, match="ends it too early"):
        document({}, {}, title="x")


VENDOR = Path(html.__file__).parent / "vendor"


def test_the_drawing_library_is_the_file_that_its_authors_published() -> None:
    about = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
    raw = (VENDOR / about["file"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == about["sha256"]
    assert f'version="{about["version"]}"' in raw.decode()
    assert re.fullmatch(r"sha512-[\w+/]{86}==", about["integrity"])
    assert vendored() == raw.decode()
    licence = (VENDOR / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Apache ECharts" in (VENDOR / "NOTICE").read_text(encoding="utf-8")
    assert (VENDOR / "licenses" / "LICENSE-d3").is_file()


def test_a_drawing_library_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vendor").mkdir()
    for name in ("vendor.json", "echarts.min.js"):
        (tmp_path / "vendor" / name).write_bytes((VENDOR / name).read_bytes() + b" ")
    monkeypatch.setattr(html, "_HERE", tmp_path)
    vendored.cache_clear()
    with pytest.raises(ValueError, match="make vendor brings it back"):
        vendored()
    vendored.cache_clear()


def test_every_module_of_the_page_is_joined() -> None:
    folder = Path(html.__file__).parent / "page"
    sources = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.js")}
    assert set(reached(sources)) == set(sources)
    html.page_script()
    assert not re.search(r"@import|url\((?!['\"]?data:)", html.page_style())


def test_files_of_the_page_are_narrow_and_short() -> None:
    folder = Path(html.__file__).parent / "page"
    files = [path for path in folder.rglob("*") if path.suffix in (".js", ".css")]
    assert len(files) > 30
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8").splitlines() for path in files}
    assert [f"{name}:{i}" for name, lines in texts.items() for i, line in enumerate(lines, 1) if len(line) > 120] == []
    assert [name for name, lines in texts.items() if len(lines) >= 320] == []
