"""Service quotas of an account, with their use where AWS states it. They are reported, and change no plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimit:
    """One quota, as it is applied to the account."""

    service: str
    """Code of the service in Service Quotas: `vpc`."""
    code: str
    """Code of the quota: `L-F678F1CE`."""
    name: str
    region: str | None
    """None for quotas of the whole account."""
    value: float
    unit: str
    """Empty for quotas without unit, which count things."""
    is_adjustable: bool
    used: int | None = None
    """How much of it is used; None where no single call states it."""
    problem: str = ""
    """Why the use could not be read."""

    @property
    def share(self) -> float | None:
        """The used part, 1.0 for all of it; None where it is not known or the quota is 0."""
        return self.used / self.value if self.used is not None and self.value else None
