"""Limits, with the rates of the settings, which a reload changes."""

from __future__ import annotations

from collections.abc import Callable

from whence_aggregator.callers.limits import ChallengeLimits, EnrolmentLimits, Limit, Rate
from whence_aggregator.settings.server import LimitSettings, Settings

_BYTES_AT_ONCE_MIN = 4.0 * 1024 * 1024
"""Enough for an outbox of a thousand statements, after an outage."""


class LiveLimits:
    """Limits by the setting of their rate; a reload changes them."""

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._made: list[tuple[str, Limit]] = []

    def of(self, setting: str, what: str) -> Limit:
        """Return a limit for each `what`, with the rate of a setting."""
        rate = _rate(setting, getattr(self._settings, setting))
        limit = Limit(what, rate, unit="bytes" if _is_in_bytes(setting) else "calls")
        self._made.append((setting, limit))
        return limit

    def of_challenges(self) -> ChallengeLimits:
        """Return the limits of challenges: a named key has as many as an address."""
        setting = "challenges_per_address"
        return ChallengeLimits(address=self.of(setting, "address"), key=self.of(setting, "key"))

    def of_enrolments(self) -> EnrolmentLimits:
        """Return the limits of enrolments."""
        return EnrolmentLimits(
            instance=self.of("enrolments_per_instance", "instance"),
            account=self.of("enrolments_per_account", "account"),
            address_attempts=self.of("enrolment_attempts_per_address", "address"),
            instance_attempts=self.of("enrolments_per_instance", "instance"),
            refusals=self.of("enrolments_per_instance", "instance"),
        )

    def prepare(self, settings: Settings) -> Callable[[], None]:
        def apply() -> None:
            for setting, limit in self._made:
                limit.change(_rate(setting, getattr(settings.limits, setting)))

        return apply


def _rate(setting: str, per_second: float) -> Rate:
    at_once_min = _BYTES_AT_ONCE_MIN if _is_in_bytes(setting) else 10.0
    return Rate(per_second=per_second, burst=max(at_once_min, per_second * 10))


def _is_in_bytes(setting: str) -> bool:
    return "_bytes_" in setting
