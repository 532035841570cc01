"""Real bars in the evidence study: what is bred on them, and the verdict on it, whatever it is."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.configuration.compose import compose
from experiments.configuration.study import make_study
from experiments.runs.directory import RunDirectory
from experiments.studies.seeds import go_or_describe, quiet_job, see_judgeable
from markets.errors import UserError

__all__ = ["HEAD", "breed", "real_configs", "verdict_line"]

HEAD = (
    "                                                  Sharpe ratio a year",
    "  bars                                     days     all  router  all at 3x  verdict",
)
"""Above the lines of the series."""


def real_configs(series: Sequence[str], overrides: Sequence[str]) -> list[dict[str, Any]]:
    """A configuration for each series.

    Args:
        series: overrides of each in one text, as a shell would take them: its files, its costs.
        overrides: of all of them.

    Raises:
        UserError: overrides that make no such study.
    """
    configs = []
    for own in series:
        try:
            words = shlex.split(own)
        except ValueError as error:
            raise UserError(f"--real {own}: {error}; write overrides as a shell would take them") from None
        config = compose(["market=bars", "record.fitness=archive", *overrides, *words])
        see_judgeable(make_study(config), "evidence", "baskets are certified by hand")
        configs.append(config)
    return configs


def breed(config: Mapping[str, Any]) -> tuple[RunDirectory, int]:
    """Run a study to its end, from wherever it stands.

    Returns:
        Its directory, and the exit code: 0 once it is finished, or described where `check` asks for no more.

    Raises:
        UserError: bars that cannot be read, or what stops a run.
    """
    job, directory = quiet_job(config)
    return directory, go_or_describe(job, directory)


def verdict_line(values: Mapping[str, Any]) -> str:
    """One series.

    Args:
        values: of its certificate.
    """
    holdout, family = values["holdout"], {own["member"]: own for own in values["family"]}
    symbols = ", ".join(holdout["symbols"][:2]) + (" …" if len(holdout["symbols"]) > 2 else "")
    name = f"{symbols} {holdout['first'][:10]} to {holdout['last'][:10]}"
    ratios = [family[member]["sharpe"]["year"] for member in ("all", "router")]
    ratios.append(family["all"]["metrics"]["3"]["sharpe"])
    shown = [
        f"{'–' if ratio is None else format(ratio, '+.2f'):>{width}}"
        for ratio, width in zip(ratios, (8, 8, 11), strict=True)
    ]
    return f"  {name:<38}{holdout['days']:>7,}{''.join(shown)}  {values['verdict']}: {values['reasons'][0]}"
