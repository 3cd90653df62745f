"""A stranger's text made harmless, and numbers made short.

In: anything that a model, a server or a file said, and plain numbers. Out: one printable line. Whatever would move
a cursor, ring a bell, reorder a line or end it is shown as an escape such as `\\x1b`, never sent on.
"""

from __future__ import annotations

from distill.reporting.statistics import Interval

NOTHING = "-"
"""Stands where a column has no meaning, e.g. the latency of the reference."""
UNKNOWN = "n/a"
"""Stands where there is a value that nobody knows, e.g. the cost of an unpriced model."""


def clean(text: str, limit: int | None = None) -> str:
    """`text` on one line, without a character that a terminal or a browser acts on, cut at `limit` characters.

    Line ends become ` ⏎ ` and blank lines go; other white space becomes a blank; control, format and bidirectional
    characters become an escape.
    """
    text = text.strip()
    cut = limit is not None and len(text) > 4 * limit + 64
    if limit is not None and cut:
        text = text[: 4 * limit + 64]  # enough to fill the limit, so that a megabyte is not worked through
    text = " ⏎ ".join(line.strip() for line in text.splitlines() if line.strip())
    text = "".join(character if character.isprintable() else _escape(character) for character in text).strip()
    if limit is not None and (cut or len(text) > limit):
        return text[: limit - 1].rstrip() + "…"
    return text


def shorten_middle(text: str, width: int) -> str:
    """At most `width` characters, with the middle left out: names of models differ at both ends."""
    if len(text) <= width:
        return text
    if width < 3:
        return text[:width]
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def percent(share: float | None) -> str:
    """A share in whole percent. Only a true 0 and a true 1 read as 0 % and 100 %."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def rare(share: float | None) -> str:
    """A share that should be small, where every tenth of a percent counts: `2.5 %`."""
    if share is None or not 0 < share < 0.1:
        return percent(share)
    return "<0.1 %" if share < 0.001 else f"{share * 100:.1f} %"


def percent_interval(interval: Interval | None) -> str:
    """The interval of a share in whole percent: `[41, 63]`."""
    return "" if interval is None else f"[{interval.low * 100:.0f}, {interval.high * 100:.0f}]"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign: `+12.5`."""
    rounded = round(difference * 100, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def points_interval(interval: Interval) -> str:
    return f"[{points(interval.low)}, {points(interval.high)}]"


def p_value(p: float) -> str:
    """`p = 0.031`, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def seconds(value: float | None) -> str:
    """A duration in the unit that a person would choose."""
    if value is None:
        return UNKNOWN
    if value < 0.001:
        return "<1 ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def count(value: float | None) -> str:
    """A number of tokens: `980`, `12.3k`, `4.5M`."""
    if value is None:
        return UNKNOWN
    if value < 10_000:
        return f"{value:.0f}"
    return f"{value / 1000:.1f}k" if value < 999_950 else f"{value / 1_000_000:.1f}M"


def dollars(value: float | None) -> str:
    """US dollars, never rounded to nothing."""
    if value is None:
        return UNKNOWN
    if 0 < value < 0.0001:
        return "<$0.0001"
    return f"${value:.4f}" if 0 < value < 0.1 else f"${value:.2f}"


def gibibytes(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value / 2**30:.1f} GiB"


def _escape(character: str) -> str:
    if character.isspace():
        return " "
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
