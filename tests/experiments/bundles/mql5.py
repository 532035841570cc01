"""The expert adviser of a bundle compiled as C++ and driven from Python, for want of a MetaTrader.

MQL5 is close to C++: inputs become plain variables, dynamic arrays a class, and `metatrader.hpp` stands in for the
functions of the terminal. Everything else is compiled as it stands, without contraction to fused operations.
"""

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from markets.bars import Bars

__all__ = ["Expert", "as_cpp"]

_SHIM = Path(__file__).with_name("metatrader.hpp")

_DOORS = """
extern "C" {
void set_input(int which, double value) {
  if(which == 0) InpServerOffset = value; else if(which == 1) InpDaylight = (DAYLIGHT)(int)value;
  else if(which == 2) InpMaxDrawdown = value; else if(which == 3) InpMaxDailyLoss = value;
  else if(which == 4) InpVolume = value != 0; else if(which == 5) Peak = value; else InpMaxExposure = value;
}
void set_point(double point) { _Point = point; }
void set_number(int what, double value) { Numbers[what] = value; }
void push(long time, double o, double h, double l, double c, double volume, int spread) {
  Terminal.push_back({time, o, h, l, c, (long)volume, spread, 0});
}
void reset(long seconds, const char *symbol, Answer answer) {
  Terminal.clear(); Globals.clear(); Orders.clear(); Seconds = seconds; _Symbol = symbol; Ask = answer; Halted = false;
}
void hold(double units, double entry, long held) { Held = {units, entry, held, InpMagic, 0, 0}; }
void levels(double stop, double take) { Held.sl = stop; Held.tp = take; }
int init() { return OnInit(); }
int tick(double *orders) {
  Orders.clear(); Said = ""; OnTick();
  std::copy(Orders.begin(), Orders.end(), orders);
  return (int)Orders.size() / 4;
}
int halted() { return Halted; }
const char *said() { return Said.c_str(); }
long utc(long server) { return ToUtc(server); }
int load() { string reason; return LoadBars(reason); }
double feature(int index) { return Feature(index, WINDOW - 1); }
int regime() { return Regime(WINDOW - 1); }
double factor(const float *seen, int regime) {
  Array<float> row; row.items.assign(seen, seen + FEATURES); return Factor(row, regime);
}
}
"""

_ANSWER = ctypes.CFUNCTYPE(
    None, ctypes.POINTER(ctypes.c_float), ctypes.c_int, ctypes.POINTER(ctypes.c_float), ctypes.c_int
)


def as_cpp(source: str) -> str:
    """The expert's source in C++, with functions for ctypes behind it."""
    kinds = "double|float|long|int|MqlRates"
    source = re.sub(r"^#(property|include) .*\n", "", source, flags=re.M)
    source = re.sub(r"^#resource .* as uchar (\w+)\[\]$", r"static const uchar \1[1] = {0};", source, flags=re.M)
    source = re.sub(r"^input ", "static ", source, flags=re.M)
    source = re.sub(rf"const ({kinds}) &(\w+)\[\]", r"const Array<\1> &\2", source)
    source = re.sub(rf"\b({kinds}) &(\w+)\[\]", r"Array<\1> &\2", source)
    source = re.sub(
        rf"^( *)({kinds}) ( *\w+\[\](?:, \w+\[\])*)(?=;)",
        lambda found: f"{found[1]}Array<{found[2]}> {found[3].replace('[]', '')}",
        source,
        flags=re.M,
    )
    return f'#include "{_SHIM}"\n{source}\n{_DOORS}'


class Expert:
    """An expert adviser that runs."""

    def __init__(self, source: str, folder: Path, compiler: str) -> None:
        code, library = folder / "expert.cpp", folder / "expert.so"
        code.write_text(as_cpp(source), encoding="utf-8")
        # Without contraction: a fused multiply-add would change last bits.
        words = ["-std=c++17", "-O0", "-ffp-contract=off", "-Wall", "-Wno-unused", "-shared", "-fPIC"]
        done = subprocess.run([compiler, *words, "-o", str(library), str(code)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
        self.lib = ctypes.CDLL(str(library))
        self.lib.said.restype = ctypes.c_char_p
        for name in ("feature", "factor"):
            getattr(self.lib, name).restype = ctypes.c_double
        self.lib.utc.restype = ctypes.c_long
        self.lib.utc.argtypes = [ctypes.c_long]
        self.lib.set_input.argtypes = [ctypes.c_int, ctypes.c_double]
        self.lib.set_number.argtypes = [ctypes.c_int, ctypes.c_double]
        self.lib.set_point.argtypes = [ctypes.c_double]
        self.lib.push.argtypes = [ctypes.c_long, *[ctypes.c_double] * 5, ctypes.c_int]
        self.lib.hold.argtypes = [ctypes.c_double, ctypes.c_double, ctypes.c_long]
        self.lib.levels.argtypes = [ctypes.c_double, ctypes.c_double]
        self._orders = (ctypes.c_double * 16)()
        self.asked: NDArray[np.float32] = np.zeros(0, np.float32)

    def start(self, bars: Bars, *, seconds: int, symbol: str, answer: Callable[[], NDArray[np.float32]]) -> int:
        """A fresh terminal with these bars closed, whose model answers so; what `OnInit` gives.

        The clock is UTC, the guard never stops, and an account unit is a lot that is worth its price.
        """

        def reply(asked: "ctypes._Pointer[ctypes.c_float]", width: int, out: object, actions: int) -> None:
            self.asked = np.ctypeslib.as_array(asked, (width,)).copy()
            np.ctypeslib.as_array(out, (actions,))[:] = answer()

        self._reply = _ANSWER(reply)  # kept: the library holds no more than its address
        self.lib.reset(ctypes.c_long(seconds), symbol.encode(), self._reply)
        for which, value in enumerate((0.0, 0.0, 2.0, 1e9)):
            self.lib.set_input(which, value)
        self.lib.set_input(6, 1e9)
        # Equity, tick value and size, lot step, least and most lots, ask, bid, least distance of stops.
        for what, value in enumerate((1.0, 1e-8, 1e-8, 1e-9, 1e-9, 1e12, 1.0, 1.0, 0.0)):
            self.lib.set_number(what, value)
        self.push(bars)
        return int(self.lib.init())

    def push(self, bars: Bars) -> None:
        """These bars close; prices are on both sides the bid."""
        stamps = bars.time.astype("datetime64[s]").astype(np.int64)
        for stamp, prices, volume in zip(stamps, bars.bid, bars.volume, strict=True):
            self.lib.push(int(stamp), *map(float, prices), float(volume), 0)

    def number(self, name: str, value: float) -> None:
        """Set a number of the account or the symbol."""
        names = ("equity", "tick_value", "tick_size", "step", "least", "most", "ask", "bid", "stops_level")
        self.lib.set_number(names.index(name), value)

    def tick(self) -> list[tuple[float, ...]]:
        """The orders of the first tick of a bar: sign, lots, stop level, take-profit level; zeros are a close."""
        count = self.lib.tick(self._orders)
        return [tuple(self._orders[4 * i : 4 * i + 4]) for i in range(count)]

    @property
    def said(self) -> str:
        """What it last printed."""
        return bytes(self.lib.said()).decode()
