"""How long a source is not asked, from the headers of the hosts that limit requests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whence_aggregator.trackers.limits import pause_seconds

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IN_A_MINUTE = str(int(NOW.timestamp()) + 60)


@pytest.mark.parametrize(
    ("status", "headers", "body", "times", "seconds"),
    [
        (200, {}, "", 0, None),
        (200, {"x-ratelimit-remaining": "17"}, "", 0, None),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": IN_A_MINUTE}, "", 0, 60.0),
        (304, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": IN_A_MINUTE}, "", 0, 60.0),
        (404, {}, "", 0, None),
        (403, {}, "Resource not accessible by integration", 0, None),
        (403, {"retry-after": "30"}, "", 0, 30.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": IN_A_MINUTE}, "", 0, 60.0),
        (403, {}, "You have exceeded a secondary rate limit", 0, 60.0),
        (403, {}, "You have exceeded a secondary rate limit", 2, 240.0),
        (403, {}, "You have triggered an abuse detection mechanism", 99, 3_600.0),
        (429, {}, "", 0, 60.0),
        (429, {"retry-after": "Sun, 22 Nov 2026 12:02:00 GMT"}, "", 0, 120.0),
        (429, {"retry-after": "Sun, 22 Nov 2020 12:02:00 GMT"}, "", 0, 1.0),
        (429, {"retry-after": "99999999999999999999"}, "", 0, 3_600.0),
        (429, {"retry-after": "soon"}, "", 0, 60.0),
        (429, {"retry-after": "-5"}, "", 0, 60.0),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": "45"}, "", 0, 45.0),
        (429, {"ratelimit-remaining": "0", "ratelimit-reset": IN_A_MINUTE}, "", 0, 60.0),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-11-22T12:01Z"}, "", 0, 60.0),
        (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"}, "", 0, 3_600.0),
        (503, {"retry-after": "7"}, "", 0, 7.0),
        (503, {}, "", 0, None),
    ],
)  # fmt: skip
def test_the_pause_is_what_the_host_names_within_bounds(
    status: int, headers: dict[str, str], body: str, times: int, seconds: float | None
) -> None:
    assert pause_seconds(status, headers, body, now=NOW, times=times) == seconds
