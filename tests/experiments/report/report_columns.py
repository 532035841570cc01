"""The report's packed columns undone in plain Python, apart from what packed them."""

import base64
import struct
import zlib

import numpy as np

from experiments.report.packing import Packed

__all__ = ["numbers", "undone"]

LETTERS = {"u1": "B", "u2": "H", "u4": "I", "i4": "i", "f4": "f"}


def undone(packed: Packed) -> dict[str, list[bytes]]:
    """The bytes of every number of every column."""
    blob = zlib.decompress(base64.b64decode(packed.base64), wbits=-15)
    found = {}
    for name, where in packed.description["columns"].items():
        raw = blob[where["offset"] : where["offset"] + where["bytes"]]
        width = struct.calcsize(LETTERS[where["type"]])
        rows = len(raw) // width
        assert rows == packed.description["length"]
        for step in where["steps"]:
            if step == "planes":
                raw = b"".join(bytes(raw[plane * rows + row] for plane in range(width)) for row in range(rows))
            else:
                assert step == "delta"
                total, out = 0, b""
                for row in range(rows):
                    total = (total + int.from_bytes(raw[row * width : (row + 1) * width], "little")) % 256**width
                    out += total.to_bytes(width, "little")
                raw = out
        found[name] = [raw[at : at + width] for at in range(0, len(raw), width)]
    return found


def numbers(packed: Packed) -> dict[str, list[int]]:
    """The numbers of every column."""
    about = packed.description["columns"]
    return {
        name: [np.frombuffer(value, f"<{about[name]['type']}")[0].item() for value in values]
        for name, values in undone(packed).items()
    }
