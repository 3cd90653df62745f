"""One measured figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure, and what it was hoped to be."""

    what: str
    value: float
    unit: str
    reach: str = ""
    """The goal, in words; empty where there is none."""
    how: str = ""

    def cells(self) -> list[str]:
        digits = 0 if isinstance(self.value, int) else 1 if abs(self.value) >= 10 else 2
        return [self.what, f"{self.value:,.{digits}f} {self.unit}".strip(), self.reach, self.how]
