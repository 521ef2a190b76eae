"""Forms of the console: fields, each once, within bounds."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from whence_aggregator.http.bodies import read_body
from whence_common.errors import InputError
from whence_common.storable import check_texts

_BODY_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 1100
"""A list of violations has a box for each of at most a thousand."""
_FORM = "application/x-www-form-urlencoded"


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the fields of a form. Raises InputError, whose message contains no value of the form."""
    if request.content_type != _FORM:
        raise InputError("body-not-form", f"the body must be {_FORM}")
    content = await read_body(request, _BODY_BYTES_MAX)
    try:
        pairs = parse_qsl(
            content.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict",
            strict_parsing=bool(content),
        )  # fmt: skip
    except ValueError as exc:
        raise InputError("body-not-form", "the body is not a form") from exc
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InputError("field-repeated", "the form contains a field more than once", fix="send it once")
    check_texts([text for pair in pairs for text in pair], "the form")
    return found
