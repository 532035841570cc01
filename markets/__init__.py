"""The world and its rules: bars, calendars, features, regimes, splits, tape, made-up markets, account and broker."""
