"""How each metric is computed, in words that are printed beside the numbers, and where its formula comes from."""

__all__ = ["CONVENTIONS", "SOURCES"]

CONVENTIONS = {
    "returns": "simple, E_t / E_(t-1) - 1, one a period; risk-free rate 0",
    "total_return": "last equity / first equity - 1",
    "cagr": "(last equity / first equity) ^ (1 / years) - 1; years = periods / periods_per_year unless given",
    "volatility": "standard deviation (n - 1) of returns, times the root of periods_per_year",
    "sharpe": "mean / standard deviation (n - 1) of returns, risk-free rate 0, times the root of periods_per_year",
    "sortino": "mean / downside deviation of returns (root of the sum of squared negative returns / (n - 1)), "
    "target 0, times the root of periods_per_year",
    "calmar": "cagr / max_drawdown, over the whole record",
    "max_drawdown": "largest fall of equity from its running peak, as a positive share of that peak; the peak includes "
    "the starting capital",
    "max_drawdown_days": "periods that equity stood below the peak of the largest fall, until it was back or the "
    "record ended; the first of equals",
    "win_rate": "share of closed trades with a profit above 0, after all costs and financing",
    "profit_factor": "sum of profits / sum of losses of closed trades",
    "expectancy": "mean profit of a closed trade, in the unit the trades are given in",
    "sqn": "root of the number of closed trades x mean / standard deviation (n - 1) of their profits; n is not capped",
    "exposure": "mean of |exposure|, the position over equity, at mid",
    "turnover": "traded notional / mean equity / years",
    "costs": "all costs paid / first equity",
    "value_at_risk": "5 % quantile of returns, interpolated linearly, sign turned: positive is a loss in one period",
    "conditional_value_at_risk": "mean of the floor(0.05 (n - 1)) + 1 lowest returns, sign turned: positive is a loss",
    "ulcer": "root of the sum over periods of squared falls from the running peak / (n - 1); the peak includes the "
    "starting capital",
    "omega": "sum of positive returns / sum of negative returns, sign turned; target 0",
    "tail_ratio": "|95 % quantile| / |5 % quantile| of returns, both interpolated linearly",
    "null": "undefined",
}
"""Names of `experiments.evidence.metrics.metrics`, what its returns are, and what null means."""

SOURCES = {
    "total_return": "definition",
    "cagr": "definition",
    "volatility": "definition",
    "sharpe": "Sharpe (1994), The Sharpe Ratio, Journal of Portfolio Management 21(1)",
    "sortino": "Sortino and Price (1994), Performance Measurement in a Downside Risk Framework, Journal of Investing "
    "3(3)",
    "calmar": "Young (1991), Calmar Ratio: A Smoother Tool, Futures 20(1)",
    "max_drawdown": "Magdon-Ismail and Atiya (2004), Maximum Drawdown, Risk 17(10)",
    "max_drawdown_days": "definition",
    "win_rate": "definition",
    "profit_factor": "Schwager (1984), A Complete Guide to the Futures Markets",
    "expectancy": "Tharp (1998), Trade Your Way to Financial Freedom",
    "sqn": "Tharp (2008), The Definitive Guide to Position Sizing",
    "exposure": "definition",
    "turnover": "definition",
    "costs": "definition",
    "value_at_risk": "historical simulation: Jorion (1997), Value at Risk",
    "conditional_value_at_risk": "Rockafellar and Uryasev (2000), Optimization of Conditional Value-at-Risk, "
    "Journal of Risk 2(3)",
    "ulcer": "Martin and McCann (1989), The Investor's Guide to Fidelity Funds",
    "omega": "Keating and Shadwick (2002), A Universal Performance Measure, Journal of Performance Measurement 6(3)",
    "tail_ratio": "empyrical, tail_ratio",
}
"""Where the formula of each metric was published; `definition` where it is what the name says."""
