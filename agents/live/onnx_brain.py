"""The champion's brain through onnxruntime, from the bundle's `model.onnx`, on one thread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.errors import UserError

__all__ = ["OnnxBrain"]

Array = NDArray[np.float32]


class OnnxBrain:
    """A model with one input [1, features and account view] and the actions' values as its first output."""

    def __init__(self, model: bytes, where: str, inputs: int, actions: int) -> None:
        """Load a model.

        Args:
            model: its bytes.
            where: what messages call it.
            inputs: market features and numbers of the account.
            actions: values it must give.

        Raises:
            UserError: no onnxruntime, or a model of another shape.
        """
        try:
            import onnxruntime
        except ImportError:
            raise UserError("backend: 'onnx' needs onnxruntime; install it or use backend='numpy'") from None
        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own, which share no base class but this
            raise UserError(f"{where}: not a model that onnxruntime takes: {error}") from None
        taken, given = self._session.get_inputs(), self._session.get_outputs()
        if len(taken) != 1 or list(taken[0].shape) != [1, inputs] or taken[0].type != "tensor(float)":
            raise UserError(f"{where}: expected one input of float32 [1, {inputs}]")
        if not given or list(given[0].shape) != [1, actions] or given[0].type != "tensor(float)":
            raise UserError(f"{where}: expected a first output of float32 [1, {actions}]")
        self._input, self._output = taken[0].name, [given[0].name]

    def values(self, features: Array, view: Array) -> Array:
        """What each action is worth, float32 [*rows, actions], of features [*rows, features] and views [*rows, 4]."""
        rows = np.concatenate([features, view], axis=-1, dtype=np.float32)
        flat = rows.reshape(-1, 1, rows.shape[-1])
        said = [self._session.run(self._output, {self._input: row})[0][0] for row in flat]
        return np.asarray(said, np.float32).reshape(*rows.shape[:-1], -1)
