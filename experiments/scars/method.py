"""How the experiment was done, in words a trader understands, with the numbers of the very study."""

from collections.abc import Iterator

from experiments.scars.outcomes import BUDGETS, dose, onsets, unmatched
from experiments.scars.results import Findings
from experiments.scars.worlds import expected

__all__ = ["how", "one_line"]


def one_line(text: str) -> str:
    """A paragraph on one line, however it was wrapped in the source."""
    return " ".join(text.split())


def how(findings: Findings) -> Iterator[str]:
    """A paragraph each on market, sign, strength, agents, arms, measure and choices."""
    for paragraph in (_market, _sign, _strength, _agents, _arms, _measure, _choices):
        yield one_line(paragraph(findings))


def _market(findings: Findings) -> str:
    plan, figures = findings.plan, expected()
    schedule = """There are four kinds of crash, one in every generation. None comes back sooner than after four
    generations, so the kinds take turns, in an order of each seed's own."""
    if plan.rare:
        schedule = """There are four kinds of crash, at most one in a generation; each comes back after 4 to 12
        generations, drawn, and in about half of the generations there is none."""
    return f"""
    **The market** is made up. A bar returns 0.1 % on average, with a deviation of 0.4 %, so it pays to be long; but in
    {plan.crashes} of a generation's {plan.episodes} windows of {plan.bars} bars the price once opens 30 % lower than it
    closed, and whoever is long then loses the account, which is closed at 85 % of its start. {schedule}
    Who is always long makes {figures["long"]:+.3f} log return a window of a generation with a crash, and is ruined in
    every one; who stands aside while the sign stands makes {figures["heeding"]:+.3f} and never is; who goes short on it
    would make {figures["shorting"]:+.3f}.
    """


def _sign(findings: Findings) -> str:
    del findings
    return """
    **The sign.** In world P each kind of crash announces itself: on the bars 8 to 2 before the gap, eight features of
    noise lean in a direction of its own. In world N prices are the same, but the signs stand in other windows, or at
    least 24 bars from any gap: there is nothing to heed, and nothing that scars could teach.
    """


def _strength(findings: Findings) -> str:
    strength = findings.plan.strength
    if not findings.pilot.height:
        return f"**How clear the sign is**, a = {strength:g} deviations of the noise, was given."
    tried = "; ".join(
        f"{row['strength']:g}: {100 * row['ruined_second']:.0f} %, {100 * row['ruined']:.0f} %"
        for row in findings.pilot.to_dicts()
    )
    return f"""
    **How clear the sign is**, a = {strength:g} deviations of the noise, was set on 8 seeds that are used for nothing
    else, so that agents without scars are ruined 30 to 70 % of the time when a kind comes for the second time, and R,
    told below, is nearest to one half (by a, ruined at the second time, and R: {tried}).
    """


def _agents(findings: Findings) -> str:
    plan = findings.plan
    learning = """
    Each generation they play all windows twice: first greedily, which is judged and measured, then with random actions
    now and then, from which they learn (double Q-learning, an update every 16 bars); children inherit what was learned.
    """
    return f"""
    **The agents** are {plan.agents} networks with {" and ".join(map(str, plan.hidden))} hidden units, over
    {plan.generations} generations; an account begins anew with each window. {learning if plan.learning else ""} Each
    generation the {plan.births} last by rank are replaced by children. After a birth, and after a scar that was or
    would have been made, rank does not kill for {plan.grace} generations. Exposure is all or nothing:
    long, short or flat. Stops, sizes and trust are off, and a scar does not touch ε.
    """


def _arms(findings: Findings) -> str:
    plan = findings.plan
    given, begun = dose(findings.events, findings.runs, plan.generations), onsets(findings.events)
    remembered = ""
    if begun is not None:
        remembered = f"""The drawdowns that it remembered in world P began {begun.median:g} bars before their bottoms in
        the median, {100 * begun.on_sign:.0f} % of them on one of the bars on which the sign stands."""
    drawdown, way = f"{100 * plan.drawdown:.0f} %", f"{100 - 100 * plan.shrink:.0f} %"
    return f"""
    **The arms.** Up to {plan.scars} agents a generation can be scarred: those worst hit by a ruin or a drawdown of more
    than {drawdown}. *Scars* wipe the units that spoke most during it; severity sets how many: in world P it was
    {given.severity:.2f} on average, which hit {given.units:.1f} of {sum(plan.hidden)} units of {given.agents:.1f}
    agents a generation. The *sham* does the same to others, as many units in the same layers: for each event of the
    paired run, to the agent nearest in return of calm windows that no window of the generation ruined; where none is
    left, to the nearest that the event's own window spared. How many were of which kind is not recorded. *Random units*
    and *quietest units* wipe as many in the same layers of the worst hit. *Dormant-unit reset* draws anew whatever has
    fallen silent, and *shrink and perturb* pulls all weights {way} of the way to a new network, both every {plan.every}
    generations. *Memory only* keeps what the market looked like when the drawdown began, and holds less when it looks
    so again. {remembered} *Culling only* lets the worst hit die in place of those last by rank.
    """


def _measure(findings: Findings) -> str:
    row = findings.runs.row(0, named=True)
    acted, updates, births = (f"{row[key]:,.0f}" for key in BUDGETS)
    return f"""
    **The measure**, R, is the share of accounts ruined, over every agent, scarred or not, in every window with a gap,
    wherever a kind of crash is there for the second time or later. *Selectivity* is 1 less the ratio of the net
    exposure that meets a gap to that at the same bars of windows without one. Mere caution has none, standing aside on
    the sign makes 1, and it exceeds 1 where enough agents go short on the sign. Each of
    {findings.plan.seeds} seeds is played in both worlds under all arms, on the same bars with the same founders.
    Numbers are interquartile means over seeds, differences are paired by seed, intervals are 95 % from 10,000 joint
    resamplings of seeds. Every run had the same to spend: {acted} agent-bars and {updates} updates, which follow from
    the plan and are the same by construction, and {births} births, which are counted in each run. For
    {100 * unmatched(findings.runs):.1f} % of its pair's events the sham found nobody left whom that window had spared.
    """


def _choices(findings: Findings) -> str:
    plan = findings.plan
    seen = "The first two seeds were seen in a try-out of the finished program before the full run."
    turns = "" if plan.rare else "`--rare` draws when kinds come back, 4 to 12 generations apart. "
    return f"""
    **Choices** that could have been others, made before the results were seen: a ruined account stays closed until its
    window ends. {turns}The exposure that meets a gap is that of the order decided two bars before, the last one filled
    in time. The would-be scarred have the grace of the scarred in all arms, else scars would only be culling by another
    name; in the sham those chosen have it too, so up to twice as many agents as elsewhere. Criteria take the ends of
    two-sided 95 % intervals, equivalence too. Selectivity rises when the interval of its difference lies above 0; the
    calm return is kept when the ratio of interquartile means is at least 0.9. Rewards are added up over eight bars, as
    long as a sign stands: on the bar before a gap nothing tells it from any other. Memory reaches {plan.reach:g}, for
    unrelated bars of this market lie √2 apart. {seen if plan.seed == 0 and plan.learning and not plan.rare else ""}
    """
