"""Check that the witnesses respond and have the keys in the settings. A start does not need them: only warnings."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.server import WitnessSettings
from whence_common.errors import one_line

_SECONDS_MAX = 5.0
_ANSWER_BYTES_MAX = 4 * 1024


async def check_witnesses(
    findings: SettingsProblems, witnesses: Sequence[WitnessSettings], session: aiohttp.ClientSession
) -> None:
    """Read each witness's key, and report a witness that is unreachable or has another key."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS_MAX)
    for number, witness in enumerate(witnesses):
        url = f"{witness.url.rstrip('/')}/key"
        try:
            async with session.get(url, timeout=timeout, allow_redirects=False) as answer:
                content = await read_answer(answer, _ANSWER_BYTES_MAX) or b""
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            message = f"witnesses[{number}].url: {url} is unreachable ({type(exc).__name__})"
            fix = "check that the witness runs, and that its port can be reached from here"
            findings.warn(message, fix=fix, code="witness-unreachable")
            continue
        found = one_line(content.decode("utf-8", "replace"))
        if status == 200 and found != witness.key.strip():
            findings.warn(
                f"witnesses[{number}].key: the witness at {url} has another key, {found}",
                fix="ask its team for the right key: only cosignatures by the key in the settings are accepted",
                code="witness-key",
            )
