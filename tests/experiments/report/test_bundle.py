"""The page's modules become one script: dependencies first, names unique, and what cannot be joined is named."""

import re

import pytest

from experiments.report.bundle import BundleError, bundle, reached

MODULES = {
    "main.js": 'import { draw } from "./draw.js";\nimport {\n  WIDTH,\n  scale,\n} from "./scale.js";\n'
    "draw(scale(WIDTH));\n",
    "draw.js": 'import { scale } from "./scale.js";\n/** Draws. */\nexport function draw(x) { return scale(x); }\n',
    "scale.js": "export const WIDTH = 7;\nexport class Axis {}\nexport async function load() {}\nfunction own() {}\n"
    "export function* steps() {}\nexport function scale(x) {\n  const own = 2;\n  return x * own;\n}\n",
    "alone.js": "export const nobody = 1;\n",
}


def test_modules_are_joined_dependencies_first_and_without_their_words() -> None:
    script = bundle(MODULES)
    assert not re.search(r"^(import|export)\b", script, re.M)
    assert [script.index(f"// {name}\n") for name in ("scale.js", "draw.js", "main.js")] == sorted(
        script.index(f"// {name}\n") for name in ("scale.js", "draw.js", "main.js")
    )
    assert "\n/** Draws. */\nfunction draw(x) { return scale(x); }\n" in script
    assert "\nasync function load() {}\n" in script
    assert "\nfunction* steps() {}\n" in script
    assert "alone" not in script
    assert reached(MODULES) == ("scale.js", "draw.js", "main.js")


def test_modules_may_live_in_rooms() -> None:
    rooms = {
        "main.js": 'import { draw } from "./tree/draw.js";\ndraw();\n',
        "tree/draw.js": 'import { scale } from "../base/scale.js";\nexport function draw() { return scale(); }\n',
        "base/scale.js": "export function scale() {}\n",
    }
    assert reached(rooms) == ("base/scale.js", "tree/draw.js", "main.js")
    with pytest.raises(BundleError, match=r"tree/draw\.js: imports scale\.js, which does not exist"):
        bundle({**rooms, "tree/draw.js": rooms["tree/draw.js"].replace("../base", "..")})


def test_the_script_is_strict_and_leaves_no_names_behind() -> None:
    assert bundle(MODULES).startswith('(() => {\n"use strict";\n')
    assert bundle(MODULES).endswith("})();\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"main.js": 'import { a } from "./gone.js";'}, "main.js: imports gone.js, which does not exist"),
        ({"main.js": 'import { own } from "./scale.js";'}, "main.js: imports own of scale.js, which does not export"),
        (
            {"draw.js": "export function draw() {}\nlet own = 1;\nvoid own;"},
            "declares own, which draw.js declares too",
        ),
        (
            {"scale.js": "export const WIDTH = 1, scale = 2;"},
            "draw.js: imports scale of scale.js, which does not export it",
        ),
        (
            {"scale.js": 'import { draw } from "./draw.js";\nexport const WIDTH = 1;\nexport const scale = draw;'},
            "imports itself, through draw.js → scale.js → draw.js",
        ),
        ({"main.js": 'import { scale as s } from "./scale.js";'}, "main.js: imports 'scale as s'"),
        ({"main.js": 'import scale from "./scale.js";'}, "main.js: 'import scale"),
        ({"main.js": 'import { a } from "d3";'}, "main.js: 'import { a } from"),
        ({"main.js": "export default function f() {}"}, "main.js: 'export default"),
        ({"main.js": "export { a };"}, "main.js: 'export { a };'"),
        ({"main.js": "const { a } = window;"}, "main.js: 'const { a } = window;'"),
        ({"main.js": "await 1;"}, "main.js: 'await 1;'"),
    ],
)
def test_what_cannot_be_joined_is_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        bundle({**MODULES, **changes})


def test_the_entry_must_be_there() -> None:
    with pytest.raises(BundleError, match=r"first\.js: no such module"):
        bundle(MODULES, "first.js")
