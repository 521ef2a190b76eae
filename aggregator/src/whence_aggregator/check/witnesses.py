"""Whether the witnesses answer, and have the keys in the settings. A start asks none of them: these are warnings."""

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
    """Ask each witness for its key."""
    timeout = aiohttp.ClientTimeout(total=_SECONDS_MAX)
    for number, witness in enumerate(witnesses):
        url = f"{witness.url.rstrip('/')}/key"
        try:
            async with session.get(url, timeout=timeout, allow_redirects=False) as answer:
                content = await read_answer(answer, _ANSWER_BYTES_MAX) or b""
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            message = f"witnesses[{number}].url: {url} does not answer ({type(exc).__name__})"
            findings.warn(
                message, fix="is the witness running, and is its port open to us?", code="witness-unreachable"
            )
            continue
        found = one_line(content.decode("utf-8", "replace"))
        if status == 200 and found != witness.key.strip():
            findings.warn(
                f"witnesses[{number}].key: the witness at {url} shows another key, {found}",
                fix="ask its team which key is right: checkpoints are cosigned by the key in the settings only",
                code="witness-key",
            )
