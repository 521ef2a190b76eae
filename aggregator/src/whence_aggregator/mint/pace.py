"""How fast providers are asked: a minimum time between requests, and a pause for all applications after a 429."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

PAUSE_SECONDS = 60.0
"""After an answer 429 that states no time."""
PAUSE_SECONDS_MAX = 3_600.0
_TURN_SECONDS_MAX = 60.0


class ProviderPace:
    """Of this process. `seconds` is a monotonic clock; `between` maps a provider to the seconds between requests."""

    def __init__(
        self,
        *,
        seconds: Callable[[], float],
        pause: Callable[[float], Awaitable[object]],
        between: Mapping[str, float],
    ) -> None:
        self._seconds = seconds
        self._pause = pause
        self._between = between
        self._next: dict[str, float] = {}
        self._paused_until: dict[str, float] = {}

    def paused_seconds(self, provider: str) -> float:
        """Return how long a provider is not to be asked."""
        return max(0.0, self._paused_until.get(provider, 0.0) - self._seconds())

    def throttle(self, provider: str, retry_after_seconds: float | None) -> None:
        """Note that a provider answered 429."""
        seconds = min(retry_after_seconds or PAUSE_SECONDS, PAUSE_SECONDS_MAX)
        until = self._seconds() + seconds
        self._paused_until[provider] = max(until, self._paused_until.get(provider, until))

    async def turn(self, provider: str) -> None:
        """Wait until one more request may be sent."""
        between = self._between.get(provider, 0.0)
        if between <= 0.0:
            return
        now = self._seconds()
        at = max(now, self._next.get(provider, now))
        self._next[provider] = at + between
        if at > now:
            await self._pause(min(at - now, _TURN_SECONDS_MAX))
