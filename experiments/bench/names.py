"""What `arena bench` can measure, by name; apart from what measures it, so that help loads no JAX."""

__all__ = ["NAMES", "OPTIONAL", "SCALED"]

NAMES = (
    "qnetwork_judging",
    "qnetwork_all_on",
    "generation_recorded",
    "qnetwork_judging_large",
    "qnetwork_all_on_large",
    "generation_recorded_large",
    "replay_float64",
    "vectorbt_from_signals",
    "forest_judging",
    "forest_all_on",
    "qnetwork_learning",
    "qnetwork_updates",
    "forest_learning",
    "forest_updates",
    "forest_rows_oblivious",
    "forest_rows_ordinary",
    "xgboost_rows",
    "lightgbm_rows",
    "lineage_metrics",
    "lineage_export",
    "qnetwork_latency_numpy",
    "qnetwork_latency_onnx",
    "forest_latency_numpy",
    "forest_latency_onnx",
)
"""Of the results, in order; docs/performance.md says what each measures."""

OPTIONAL = {
    "vectorbt_from_signals": ("vectorbt", "pip install vectorbt"),
    "xgboost_rows": ("xgboost", "pip install 'lineage-arena[trees]'"),
    "lightgbm_rows": ("lightgbm", "pip install 'lineage-arena[trees]'"),
    "qnetwork_latency_onnx": ("onnxruntime", "pip install 'lineage-arena[live]'"),
    "forest_latency_onnx": ("onnxruntime", "pip install 'lineage-arena[live]'"),
}
"""Results of libraries that need not be there: which, and how to get them."""

SCALED = (1_024, 4_096, 16_384, 65_536, 102_400)
"""Agents of the series that shows how cost grows, each a result named `scale_<agents>`."""
