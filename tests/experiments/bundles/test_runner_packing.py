"""The runner in a bundle needs NumPy and safetensors alone, under any name, and holds what its imports name."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_bundles import small_bundle

from experiments.bundles.packing import pack_runner, relative_imports

ROOT = Path(__file__).resolve().parents[3]
OURS = {"agents", "arena", "conf", "experiments", "genomes", "markets"}


@pytest.mark.parametrize(
    ("module", "package", "line", "right"),
    [
        ("agents.live.champion", False, "from agents.live.bar import Bar", "from .bar import Bar"),
        ("agents.live", True, "from agents.live.bar import Bar", "from .bar import Bar"),
        ("agents.live.champion", False, "from agents.live import Bar", "from . import Bar"),
        ("agents.live.market", False, "from markets.bars import Bars", "from .markets.bars import Bars"),
        ("agents.live.market", False, "    from markets.features import (", "    from .markets.features import ("),
        ("markets.regimes", False, "from markets.features import rolling", "from .features import rolling"),
        ("markets.features", True, "from markets.features.clock import x", "from .clock import x"),
        ("markets.features.clock", False, "from markets.features import rolling", "from . import rolling"),
        ("markets.features.clock", False, "from markets.bars import Bars", "from ..bars import Bars"),
        ("markets.features.clock", False, "import numpy as np", "import numpy as np"),
    ],
)
def test_an_import_of_ours_becomes_relative_and_nothing_else_changes(
    module: str, package: bool, line: str, right: str
) -> None:
    inside = line.startswith(" ")
    source = f'"""Of from markets.bars import Bars."""\n{"if True:" if inside else "pass"}\n{{}}\n'
    source = source.format("{}" + ("\n        a, b\n    )" if line.endswith("(") else ""))
    assert relative_imports(source.format(line), module, package=package) == source.format(right)


@pytest.mark.parametrize(
    "line", ["import markets.bars", "from experiments.x import y", "from agents.memory import Memory"]
)
def test_what_does_not_travel_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"agents\.live\.champion: imports"):
        relative_imports(line, "agents.live.champion", package=False)


def test_the_pack_holds_what_its_imports_name_and_no_more() -> None:
    pack = pack_runner()
    reached, left = set(), [name for name in pack if "/" not in name and name.endswith(".py")]
    while left:
        name = left.pop()
        if name in reached:
            continue
        reached.add(name)
        for node in ast.walk(ast.parse(pack[name])):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = Path(name).parent
                for _ in range(node.level - 1):
                    base = base.parent
                parts = (node.module or "").split(".") if node.module else []
                spots = [base.joinpath(*parts[:count]) for count in range(1, len(parts) + 1)] or [base]
                spots += [spots[-1] / alias.name for alias in node.names]
                found = {f"{spot}.py" for spot in spots} | {(spot / "__init__.py").as_posix() for spot in spots}
                found &= set(pack)
                assert found, f"{name}: {ast.unparse(node)}"
                left += found
            else:
                named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not OURS & {own.partition(".")[0] for own in named}
    assert reached == {name for name in pack if name.endswith(".py")}
    assert "manifest.schema.json" in pack


def test_all_modules_of_the_runner_are_packed() -> None:
    live = ROOT / "agents" / "live"
    here = {path.name for path in live.glob("*.py") if path.stem.isidentifier()}
    assert here == {name for name in pack_runner() if "/" not in name and name.endswith(".py")}


def test_what_else_lies_in_the_folders_is_not_packed(tmp_path: Path) -> None:
    """Of editors, file managers, and half a module that nothing imports."""
    for name in ("agents", "markets"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = pack_runner(tmp_path)
    assert before == pack_runner()
    names = (
        "champion.py~",
        ".champion.py",
        "#champion.py#",
        "champion copy.py",
        ".manifest.schema.json.swp",
        "notes.md",
    )
    for folder in (tmp_path / "agents" / "live", tmp_path / "markets", tmp_path / "markets" / "features"):
        for name in (*names, "old_champion.py", ".DS_Store", "Champion.PY.orig"):
            (folder / name).write_text("import nothing of note", encoding="utf-8")
        (folder / ".#champion.py").symlink_to("somebody@somewhere.1")
    assert pack_runner(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("species", ["qnetwork", "forest"])
def test_it_decides_where_only_numpy_and_safetensors_are(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, species: str
) -> None:
    bundle = small_bundle(tmp_path_factory, "forest" if species == "forest" else "qnetwork")
    home = tmp_path / "bot"
    home.mkdir()
    for name in ("numpy", "safetensors"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        for folder in (package, package.with_name(f"{name}.libs")):
            if folder.exists():
                (home / folder.name).symlink_to(folder)
    (home / "vendored").symlink_to(bundle / "runner")
    program = (
        f"import json, sys; sys.path.append({str(home)!r})\n"
        f"from vendored.golden import repeat\n"
        f"import vendored\n"
        f"found = repeat({str(bundle)!r})\n"
        "top = {name.partition('.')[0] for name, own in sys.modules.items() if getattr(own, '__file__', None)}\n"
        "ours = sorted(top & {'agents', 'arena', 'experiments', 'genomes', 'markets', 'jax', 'polars'})\n"
        "print(json.dumps([found.right, found.decisions, ours, vendored.Champion.__module__]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    right, decisions, ours, module = json.loads(done.stdout)
    assert (right, ours, module) == (True, [], "vendored.champion")
    assert decisions >= 256
