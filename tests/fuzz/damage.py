"""What happens to files on their way: seeded damage to bytes and to text.

Everything is drawn from one `random.Random`, so a case is named by its seed and can be made again.
"""

import codecs
import gzip
import io
import random
import zipfile
from collections.abc import Callable

__all__ = ["CELLS", "bit_flips", "broken_bytes", "broken_text", "damaged"]

Rng = random.Random

CELLS = (
    *("", " ", "0", "-0", "-1", "1", "0.1", "1e-320", "1e308", "1e400", "-1e400", "nan", "-nan", "inf", "-Infinity"),
    *("0x1p3", "0x10", "1_000", "1,5", "1.2.3", "--1", "+1", "1e", "e5", "٣", "２", "½", "NULL", "None", "N/A", "-"),
    *("TRUE", '"', '"1', '""', "'", "\x00", "\x1f", "\x1a", "\ufeff", "\u2028", "\u202e", "🜁", "a" * 5000),
    *("9" * 19, "9" * 40, "9" * 6000, "18446744073709551616", "-9223372036854775808", "1577836800000", "99999999999"),
    *("2020-01-01", "2020-02-30", "2020-13-01", "0000-00-00", "9999-12-31 23:59:59", "0001-01-01", "1799-12-31"),
    *("2020-01-01 24:00:00", "2020-01-01 23:59:60", "2020-01-01T00:00:00+99:99", "2020-01-01 00:00:00 GMT-0500"),
    *("2020-01-01T00:00:00Z", "31.12.2020 00:00", "12/31/2020", "01/02/2020", "20200101 000000", "20200101", "00:00"),
    *("262143-12-31", "-2020-01-01", "2020-01-01 00:00:00.123456789012", "1970-01-01T00:00:00+0000", "NaT"),
)
"""Cells nobody asked for: numbers that are none or too large, stamps out of range, odd letters."""

_MARKS = (",", ";", "\t", "|", " ", "\x1f", ",,", "\0")
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp037", "utf-7")
_ENDS = ("\n", "\r\n", "\r", "\n\n", "\n\r", "\u2028", "\x0b", "\x85")
_INSERTS = (
    *(b"\x00", b"\x00" * 64, codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\xff", b'"', b"\n", b"\r"),
    *(b"\x1a", b"\xed\xa0\x80", b"\xf0\x9f\x9c\x81", b"\xc3", b"A" * 20000, b"," * 3000, b"PAR1", b"\x1f\x8b"),
    *(b"PK\x03\x04", "\u202e".encode(), b"1e400", b"-", b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xff" * 8),
)


def bit_flips(raw: bytes, rng: Rng, most: int = 24) -> bytes:
    """The same bytes with a few bits turned."""
    turned = bytearray(raw)
    for _ in range(rng.randint(1, most) if raw else 0):
        turned[rng.randrange(len(turned))] ^= 1 << rng.randrange(8)
    return bytes(turned)


def _truncate(raw: bytes, rng: Rng, other: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _behead(raw: bytes, rng: Rng, other: bytes) -> bytes:
    return raw[rng.randrange(len(raw) + 1) :]


def _hole(raw: bytes, rng: Rng, other: bytes) -> bytes:
    first, last = sorted((rng.randrange(len(raw) + 1), rng.randrange(len(raw) + 1)))
    return raw[:first] + raw[last:]


def _splice(raw: bytes, rng: Rng, other: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)] + other[rng.randrange(len(other) + 1) :]


def _insert(raw: bytes, rng: Rng, other: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        place = rng.choice((0, len(raw), rng.randrange(len(raw) + 1)))
        raw = raw[:place] + rng.choice(_INSERTS) + raw[place:]
    return raw


def _overwrite(raw: bytes, rng: Rng, other: bytes) -> bytes:
    """A run of bytes that all become the same, or the largest or smallest number there is."""
    place, count = rng.randrange(len(raw) + 1), rng.choice((1, 2, 4, 8, 64))
    with_ = rng.choice((b"\x00", b"\xff", b"\x7f", b"\x80", b"\n", b",")) * count
    return raw[:place] + with_ + raw[place + count :]


def _shuffle(raw: bytes, rng: Rng, other: bytes) -> bytes:
    size = rng.choice((1, 8, 64, 512))
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    first, second = rng.randrange(len(pieces) or 1), rng.randrange(len(pieces) or 1)
    if pieces:
        pieces[first], pieces[second] = pieces[second], pieces[first]
    return b"".join(pieces)


def _flip(raw: bytes, rng: Rng, other: bytes) -> bytes:
    return bit_flips(raw, rng)


def _pack(raw: bytes, rng: Rng, other: bytes) -> bytes:
    """Packed, perhaps twice, with a name that helps or does not, and then perhaps damaged."""
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.5:
            raw = gzip.compress(raw, mtime=0)
        else:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
                for name in rng.choice((("a.csv",), ("../../a.csv",), ("a.csv", "b.csv"), ("a",), (), ("a.csv/",))):
                    archive.writestr(name, raw)
            raw = buffer.getvalue()
    return bit_flips(raw, rng, 4) if rng.random() < 0.5 else raw


_ON_BYTES: tuple[Callable[[bytes, Rng, bytes], bytes], ...] = (
    *(_truncate, _behead, _hole, _splice, _insert, _overwrite, _shuffle, _flip, _flip, _pack),
)


def broken_bytes(raw: bytes, rng: Rng, other: bytes = b"") -> bytes:
    """The bytes after one to three misfortunes; `other` is a file that pieces may come from."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        raw = rng.choice(_ON_BYTES)(raw, rng, other)
    return raw


def _swap_lines(lines: list[str], rng: Rng) -> list[str]:
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def _double_lines(lines: list[str], rng: Rng) -> list[str]:
    first = rng.randrange(len(lines))
    last = rng.randrange(first, len(lines)) + 1
    place = rng.randrange(len(lines) + 1)
    return lines[:place] + lines[first:last] * rng.choice((1, 1, 3)) + lines[place:]


def _drop_lines(lines: list[str], rng: Rng) -> list[str]:
    first = rng.randrange(len(lines))
    return lines[:first] + lines[rng.randrange(first, len(lines)) + 1 :]


def _sort_lines(lines: list[str], rng: Rng) -> list[str]:
    kept, rest = lines[:1], lines[1:]
    rng.choice((rng.shuffle, list.sort, list.reverse))(rest)
    return kept + rest


def _columns(lines: list[str], rng: Rng) -> list[str]:
    """A column gone, twice, or in another's place, in every row or from some row on."""
    mark = max(",;\t", key=lines[len(lines) // 2].count)
    start, what = rng.choice((0, 0, rng.randrange(len(lines)))), rng.choice(("gone", "twice", "swapped"))
    first, second = rng.randrange(12), rng.randrange(12)
    changed = lines[:start]
    for line in lines[start:]:
        cells = line.split(mark)
        first, second = first % len(cells), second % len(cells)
        if what == "gone":
            del cells[first]
        elif what == "twice":
            cells.insert(second, cells[first])
        else:
            cells[first], cells[second] = cells[second], cells[first]
        changed.append(mark.join(cells))
    return changed


def _cells(lines: list[str], rng: Rng) -> list[str]:
    """Some cells, or a whole column, replaced by something nobody asked for."""
    mark = max(",;\t", key=lines[len(lines) // 2].count)
    what, column = rng.choice(CELLS), rng.randrange(12)
    rows = range(len(lines)) if rng.random() < 0.25 else [rng.randrange(len(lines)) for _ in range(rng.randint(1, 6))]
    for row in rows:
        cells = lines[row].split(mark)
        cells[column % len(cells)] = what if rng.random() < 0.8 else rng.choice(CELLS)
        lines[row] = mark.join(cells)
    return lines


def _mark(lines: list[str], rng: Rng) -> list[str]:
    old, new = max(",;\t", key=lines[len(lines) // 2].count), rng.choice(_MARKS)
    start = rng.choice((0, 0, 1, rng.randrange(len(lines))))
    return lines[:start] + [line.replace(old, new) for line in lines[start:]]


def _quotes(lines: list[str], rng: Rng) -> list[str]:
    quote = rng.choice(('"', "'", '""'))
    return [line.replace(",", f"{quote},{quote}") if rng.random() < 0.5 else quote + line for line in lines]


def _headings(lines: list[str], rng: Rng) -> list[str]:
    """Another header: none, two, other letters, or banners above it."""
    head = lines[0]
    return [
        *rng.choice(
            (
                (),
                (head, head),
                (head.upper(),),
                (head[::-1],),
                (head + ",extra",),
                ("#" * 9, head),
                ("x",) * rng.randint(1, 12) + (head,),
                (head.replace("close", "clse"),),
                (head.replace(",", ", "),),
            )
        ),
        *lines[1:],
    ]


_ON_LINES: tuple[Callable[[list[str], Rng], list[str]], ...] = (
    *(
        _swap_lines,
        _double_lines,
        _drop_lines,
        _sort_lines,
        _columns,
        _cells,
        _cells,
        _cells,
        _mark,
        _quotes,
        _headings,
    ),
)


def broken_text(raw: bytes, rng: Rng, encoding: str = "utf-8") -> bytes:
    """The text after one to three misfortunes that leave it text, perhaps in another encoding or with other ends."""
    lines = raw.decode(encoding, errors="replace").splitlines() or [""]
    for _ in range(rng.choice((1, 1, 2, 3))):
        lines = rng.choice(_ON_LINES)(lines, rng) or [""]
    end = rng.choice((*_ENDS, *("\n",) * 8))
    into = rng.choice((*_ENCODINGS, *("utf-8",) * 12))
    return (end.join(lines) + rng.choice(("", end, end * 3))).encode(into, errors="replace")


def damaged(raw: bytes, rng: Rng, other: bytes = b"") -> bytes:
    """A file after whatever may happen to it: as text where it is text, as bytes in any case."""
    packed = raw[:2] in (b"PA", b"PK", b"\x1f\x8b", codecs.BOM_UTF16_LE)
    if not packed and rng.random() < 0.65:
        raw = broken_text(raw, rng)
        return raw if rng.random() < 0.8 else broken_bytes(raw, rng, other)
    return broken_bytes(raw, rng, other)
