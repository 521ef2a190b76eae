"""Service quotas as lines of text and as JSON. Pure.

`!` is a quota of which at least 80 % is used. Quotas whose use is not known are in the JSON form only, unless the use
could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from whence_aggregator.accounts.limits import ServiceLimit
from whence_aggregator.accounts.resources import Json
from whence_common.visible import printable

MARKED_SHARE = 0.8


def limit_lines(account: str, account_id: str, limits: Sequence[ServiceLimit]) -> Iterator[str]:
    """Yield an account's quotas, the most used first in each region; those of the whole account come first."""
    yield f"{printable(account)} ({account_id})"
    shown = [one for one in limits if one.used is not None or one.problem]
    for region in sorted({one.region or "" for one in shown}):
        yield f"  {region or 'the whole account'}"
        here = [one for one in shown if (one.region or "") == region]
        yield from (f"    {_line(one)}" for one in sorted(here, key=_rank))
    unknown = len(limits) - len(shown)
    if unknown:
        yield f"  {unknown} more quota{'s' if unknown != 1 else ''}, whose use AWS does not state; --json shows all"


def limits_json(account: str, account_id: str, limits: Sequence[ServiceLimit], error: str = "") -> Mapping[str, Json]:
    """Return an account's quotas; `share` is 1.0 where all of one is used, and null where its use is not known."""
    return {
        "account": account, "account_id": account_id, "error": error,
        "limits": [
            {
                "service": one.service, "code": one.code, "name": one.name, "region": one.region, "quota": one.value,
                "unit": one.unit, "adjustable": one.is_adjustable, "used": one.used, "share": one.share,
                "marked": is_marked(one), "problem": one.problem,
            }
            for one in limits
        ],
    }  # fmt: skip


def is_marked(one: ServiceLimit) -> bool:
    """Return whether a quota is nearly used up; a quota of 0 is where anything is used."""
    return one.share >= MARKED_SHARE if one.share is not None else bool(one.used)


def _rank(one: ServiceLimit) -> tuple[float, str, str]:
    return -(one.share or 0), one.service, one.name


def _line(one: ServiceLimit) -> str:
    sign = "!" if is_marked(one) else " "
    what = f"{one.service} {printable(one.name)} ({one.code})"
    if one.problem:
        return f"{sign}    ? {what}: the use is not known: {printable(one.problem)}"
    share = f"{one.share:4.0%}" if one.share is not None else "   –"
    fixed = "" if one.is_adjustable else ", which AWS does not raise"
    return (
        f"{sign} {share} {what}: {one.used} of {one.value:.12g}{f' {printable(one.unit)}' if one.unit else ''}{fixed}"
    )
