"""The machine a run is on, and the processes that share it."""
