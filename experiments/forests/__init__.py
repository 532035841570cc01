"""Forests to look at and to hand on: a run's champions, what their trees ask for, and files other programs read."""
