"""Ids of tickets that are numbered in a repository: `owner/name#7`. Pure."""

from __future__ import annotations

import re

from whence_common.errors import InputError, one_line

_NUMBERED = re.compile(r"(?P<path>[A-Za-z0-9_.~+-]+(?:/[A-Za-z0-9_.~+-]+){1,20})#(?P<number>[1-9][0-9]{0,11})\Z")


class TicketIdInvalid(InputError):
    """The text is not the id of a ticket in this tracker."""


def number_of(ticket_id: str) -> tuple[str, int]:
    """Return repository path and number of `owner/name#7`. Raises TicketIdInvalid."""
    found = _NUMBERED.match(ticket_id)
    if found is None or {".", ".."} & set(found["path"].split("/")):
        raise TicketIdInvalid("ticket-id", f"{one_line(ticket_id, 80)!r} is not an issue: write owner/name#7")
    return found["path"], int(found["number"])
