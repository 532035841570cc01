"""What `arena bench` can measure, by name; apart from what measures it, so that help loads no JAX."""

__all__ = ["NAMES", "SCALED"]

NAMES = (
    "qnetwork_judging",
    "qnetwork_all_on",
    "generation_recorded",
    "qnetwork_judging_large",
    "qnetwork_all_on_large",
    "generation_recorded_large",
    "replay_float64",
    "vectorbt_from_signals",
)
"""Of the results, in order; docs/performance.md says what each measures."""

SCALED = (1_024, 4_096, 16_384, 65_536, 102_400)
"""Agents of the series that shows how cost grows, each a result named `scale_<agents>`."""
