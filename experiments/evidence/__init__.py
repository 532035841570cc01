"""Statistics on arrays: metrics of a record, Sharpe ratios and luck, overfitting, superiority, purged splits."""
