"""The page on the experiment, written from its results: what was asked, how, and what came out, whichever way."""

from collections.abc import Iterator
from pathlib import Path

from experiments.runs.files import make_folder, write_whole
from experiments.scars.method import how, one_line
from experiments.scars.plan import ScarPlan
from experiments.scars.plots import CURVES, DIFFERENCES, available, draw
from experiments.scars.results import Findings
from experiments.scars.words import conclusion, criteria, markdown_table

__all__ = ["write_page"]

PAGE, IMAGES = "scars.md", "images"


def write_page(findings: Findings, folder: Path, beside: Findings | None = None) -> Path:
    """Write `scars.md` and its pictures.

    Args:
        findings: of the main study.
        folder: of the page; pictures go into `images` in it.
        beside: of the same study in which nobody learns.

    Returns:
        The page.
    """
    make_folder(folder / IMAGES)
    drawn = available()
    if drawn:
        draw(findings, folder / IMAGES)
    text = "\n".join(_page(findings, beside, drawn=drawn)) + "\n"
    path = folder / PAGE
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


def _page(findings: Findings, beside: Findings | None, *, drawn: bool) -> Iterator[str]:
    yield "# Do scars help?"
    yield ""
    yield from conclusion(findings)
    yield ""
    yield (
        f"Made by `{_command(findings)}` (options that name folders left out), which writes this page, tables and "
        "pictures, from the results."
    )
    yield ""
    yield "## What was asked"
    yield ""
    yield _ASKED
    yield ""
    yield "## How"
    yield ""
    for paragraph in how(findings):
        yield paragraph
        yield ""
    yield "## What came out"
    yield ""
    yield "| what scars have to do | found | met |"
    yield "|---|---:|---|"
    for asked, found, met in criteria(findings):
        yield f"| {asked} | {found} | {'yes' if met else 'no'} |"
    yield ""
    yield "R and differences in R are in percentage points, each with its 95 % interval."
    yield ""
    yield from _tables(findings)
    if drawn:
        yield f"![Differences in the share of accounts ruined, all arms, both worlds]({IMAGES}/{DIFFERENCES})"
        yield ""
        yield "The band is ±5 points, within which a difference counts as none."
        yield ""
        yield f"![Share of accounts ruined by how often the kind of crash has been there]({IMAGES}/{CURVES})"
        yield ""
    if beside is not None:
        yield "## Where nobody learns"
        yield ""
        yield (
            "The same with learning switched off, so that evolution alone acts; its own pilot set a = "
            f"{beside.plan.strength:g}."
        )
        yield ""
        yield from conclusion(beside)
        yield ""
        yield from _tables(beside)
    yield "## Again"
    yield ""
    yield "```"
    if beside is not None:
        yield f"{_command(beside)} --out runs/scars-evolution"
    shown = "" if beside is None else " --beside runs/scars-evolution"
    yield f"{_command(findings)} --out runs/scars{shown} --page docs"
    yield "```"
    yield ""
    yield _AGAIN


def _command(findings: Findings) -> str:
    """The command, with all options that shape what is computed and are not the default."""
    plan, usual = findings.plan, ScarPlan()
    options = [f"--seeds {plan.seeds}"]
    options += [] if findings.pilot.height else [f"--strength {plan.strength:g}"]
    options += [] if plan.learning else ["--without-learning"]
    options += ["--rare"] if plan.rare else []
    for name in ("agents", "generations"):
        if getattr(plan, name) != getattr(usual, name):
            options.append(f"--{name} {getattr(plan, name)}")
    return " ".join(["arena scars", *options])


def _tables(findings: Findings) -> Iterator[str]:
    for world, title in (("P", "where the sign announces the crash"), ("N", "where it announces nothing")):
        yield f"World {world}, {title}:"
        yield ""
        yield from markdown_table(findings, world)
        yield ""
    yield "The calm return is log return a window without a gap, over all generations."
    yield ""


_ASKED = one_line(
    """
    A trader who was ruined is said to be wiser for it. This arena was built on that thought: an agent whose account is
    ruined is scarred, which means that the units of its brain that spoke most on the way down are wiped and drawn anew.
    Does that make it less likely to be ruined when the same kind of crash comes again? Or would wiping any units, or
    those of anyone, do as much, or nothing at all?
    """
)

_AGAIN = one_line(
    """
    It can be stopped at any moment; started again it goes on. The folder then holds `results.parquet` (one row a run),
    `generations.parquet`, `events.parquet` (every scar), `pilot.parquet` and `summary.json`. More `--seeds` go on from
    those that are there.
    """
)
