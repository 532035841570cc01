"""What came out, in words and tables: for the terminal and for the page."""

import math
from collections.abc import Iterator

from experiments.scars.plan import ARMS
from experiments.scars.results import Findings
from experiments.scars.statistics import AGAINST, CALM, EQUIVALENT, Comparison, Estimate

__all__ = ["NAMES", "conclusion", "criteria", "markdown_table", "table_lines"]

NAMES = {
    "none": "nothing done",
    "scars": "scars",
    "sham": "sham",
    "permuted": "random units",
    "inverted": "quietest units",
    "dormant": "dormant-unit reset",
    "shrink": "shrink and perturb",
    "memory": "memory only",
    "culling": "culling only",
}
"""Arms as the page calls them."""

_WORLD = {"P": "P, where the sign announces the crash", "N": "N, where it announces nothing"}


def criteria(findings: Findings) -> Iterator[tuple[str, str, bool]]:
    """Each criterion: what it asks, what was found, and whether it is met."""
    verdict = findings.verdict
    own, control = findings.compared["P", "scars"], findings.compared["N", "scars"]
    for name, met in verdict.less_ruin.items():
        yield f"P: ruined less often than {_against(name)}", _points(own.over[name]), met
    yield "P: selectivity rises over nothing done", _number(own.selectivity_over_none), verdict.selective
    yield f"P: at least {100 * CALM:.0f} % of the calm return of nothing done", _share(own.calm_share), verdict.calm
    for name, met in verdict.nothing_in_n.items():
        yield f"N: equal to {_against(name)} within ±{100 * EQUIVALENT:.0f} points", _points(control.over[name]), met


def conclusion(findings: Findings) -> Iterator[str]:
    """The answer, in sentences a trader understands."""
    verdict, own = findings.verdict, findings.compared["P", "scars"]
    none = findings.compared["P", "none"]
    count = findings.plan.seeds
    yield (
        f"**Scars {'help' if verdict.scars_help else 'do not help'}**, by the criteria fixed beforehand, over {count} "
        f"paired seeds{'' if findings.plan.learning else ' in which nobody learns and evolution alone acts'}."
    )
    yield (
        f"When a kind of crash that had been there before came again, {_percent(own.ruined)} of the accounts of "
        f"scarred populations were ruined, and {_percent(none.ruined)} where nothing was done."
    )
    told = [f"{_points(own.over[ARMS[arm]])} against {_against(ARMS[arm])}" for arm in AGAINST]
    yield f"The difference that scars make, in percentage points with its 95 % interval: {'; '.join(told)}."
    if verdict.scars_help:
        yield "Less ruin, by heeding the sign and not by standing aside: selectivity rose and the calm return stayed."
    else:
        yield f"What is missing: {'; '.join(_missing(findings))}."
    if verdict.nothing:
        yield (
            "In world N, where no sign announces anything, scars change ruin by less than "
            f"{100 * EQUIVALENT:.0f} points either way, as it should be."
        )
    else:
        yield (
            f"In world N the intervals do not all lie within ±{100 * EQUIVALENT:.0f} points, so it is not shown that "
            "scars do nothing where there is nothing to heed."
        )


def _missing(findings: Findings) -> Iterator[str]:
    verdict, own = findings.verdict, findings.compared["P", "scars"]
    for name, met in verdict.less_ruin.items():
        if not met:
            worse = own.over[name].above(0.0)
            yield f"ruin is {'higher' if worse else 'not shown to be lower'} than with {_against(name)}"
    if not verdict.selective:
        less = own.selectivity_over_none.below(0.0)
        yield f"selectivity {'falls' if less else 'is not shown to rise'}"
    if not verdict.calm:
        yield "too much of the return of calm windows is lost"


def table_lines(findings: Findings) -> Iterator[str]:
    """The table for the terminal, at most 80 columns."""
    for world in _WORLD:
        yield ""
        yield f"world {_WORLD[world]}"
        yield f"{'':<20}{'ruined':>8}{'less nothing, in points':>26}{'selective':>11}{'calm':>8}{'share':>7}"
        for arm in ARMS:
            row = findings.compared[world, arm]
            over = "" if arm == "none" else _points(row.over["none"])
            yield (
                f"{NAMES[arm]:<20}{_percent(row.ruined):>8}{over:>26}{_bare(row.selectivity, 2):>11}"
                f"{_bare(row.calm, 3):>8}{_whole(row.calm_share):>7}"
            )


def markdown_table(findings: Findings, world: str) -> Iterator[str]:
    """All arms in one world."""
    heads = ["", "R, ruined", *(f"R less {NAMES[ARMS[arm]]}" for arm in AGAINST)]
    heads += ["selectivity", "less nothing done", "calm return", "of nothing done's"]
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for arm in ARMS:
        row: Comparison = findings.compared[world, arm]
        over = ["–" if ARMS[other] == arm else _points(row.over[ARMS[other]]) for other in AGAINST]
        rises = "–" if arm == "none" else _number(row.selectivity_over_none)
        cells = [f"{_percent(row.ruined)}", *over, _bare(row.selectivity, 2), rises]
        cells += [_bare(row.calm, 4), _whole(row.calm_share)]
        name = NAMES[arm]
        yield f"| {f'**{name}**' if arm == 'scars' else name} | {' | '.join(cells)} |"


def _against(name: str) -> str:
    return {"sham": "the sham", "permuted": "random units", "none": "nothing done"}[name]


def _percent(value: Estimate) -> str:
    return f"{100 * value.value:.1f} %"


def _whole(value: Estimate) -> str:
    return "–" if math.isnan(value.value) else f"{100 * value.value:.0f} %"


def _share(value: Estimate) -> str:
    if math.isnan(value.value):
        return "–"
    return f"{100 * value.value:.0f} % ({100 * value.low:.0f} to {100 * value.high:.0f})"


def _points(value: Estimate) -> str:
    if math.isnan(value.value):
        return "–"
    return _signs(f"{100 * value.value:+.1f} ({100 * value.low:+.1f} to {100 * value.high:+.1f})")


def _number(value: Estimate) -> str:
    if math.isnan(value.value):
        return "–"
    return _signs(f"{value.value:+.3f} ({value.low:+.3f} to {value.high:+.3f})")


def _bare(value: Estimate, digits: int) -> str:
    return "–" if math.isnan(value.value) else _signs(f"{value.value:.{digits}f}")


def _signs(text: str) -> str:
    return text.replace("-", "−")
