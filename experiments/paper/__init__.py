"""Paper trading: a champion's bundle on an account of the arena's own broker, bar by bar, as `arena paper` does it."""
