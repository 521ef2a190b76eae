"""All violations that match, as one CSV: read by pages while it is sent, up to a bound that its last line states."""

from __future__ import annotations

from collections.abc import AsyncIterator

from whence_aggregator.trace.moment import Moment
from whence_aggregator.violations.listing import GroupedViolations, WantedGroups
from whence_aggregator.violations.shown import to_csv

ROWS_MAX = 50_000
_PAGE_ROWS = 500


async def csv_pieces(
    grouped: GroupedViolations, wanted: WantedGroups, moment: Moment, *, rows_max: int = ROWS_MAX
) -> AsyncIterator[bytes]:
    """Yield the rows of all pages. What changes meanwhile is in the list as it is when its page is read."""
    after, rows = "", 0
    while True:
        page = await grouped.page(wanted, moment=moment, after=after, limit=min(_PAGE_ROWS, rows_max - rows))
        yield to_csv(page.violations, headed=not rows).encode()
        rows += len(page.violations)
        if page.following is None:
            return
        if rows >= rows_max:
            yield f'"Cut after {rows:,} rows: more match. Narrow the filters."\r\n'.encode()
            return
        after = page.following
