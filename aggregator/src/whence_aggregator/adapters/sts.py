"""AWS STS, called on behalf of an instance: one constant request to a host of a fixed list."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.ports import SourceUnavailable
from whence_common.aws_errors import AwsError
from whence_common.clock import utc_now
from whence_common.loose_json import loose
from whence_common.sts_proof import BODY, StsProof, StsProofInvalid, caller_arn, sts_host

_SECONDS_MAX = 10.0
_ANSWER_BYTES_MAX = 8 * 1024


class StsCallers:
    """Finds out by STS who signed. `endpoints` replace AWS's own by region, in tests and private networks."""

    def __init__(
        self, *, session: aiohttp.ClientSession, regions: frozenset[str], endpoints: Mapping[str, str] | None = None
    ) -> None:
        self._session = session
        self._urls = {region: f"https://{sts_host(region)}" for region in regions} | dict(endpoints or {})

    async def caller(self, proof: StsProof, signed: Mapping[str, str]) -> tuple[str, str, str]:
        """Return account, ARN and host. Raises StsProofInvalid or SourceUnavailable."""
        url = self._urls.get(proof.region)
        if url is None:
            raise StsProofInvalid("sts-region", f"no STS endpoint is known for region {proof.region}")
        host = url.partition("://")[2]
        try:
            async with self._session.post(
                url + "/",
                data=BODY,
                headers=proof.headers(host=host, signed=signed),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_SECONDS_MAX),
            ) as answer:
                status, kind, date = answer.status, answer.content_type, answer.headers.get("Date", "")
                content = await read_answer(answer, _ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise SourceUnavailable("sts-unreachable", f"STS at {host} does not answer ({type(exc).__name__})") from exc
        if status >= 500 or status == 429:
            raise SourceUnavailable("sts-unavailable", f"STS at {host} answers HTTP {status}")
        error = _refusal(status, content, date) if status != 200 else None
        if error is not None and error.code and error.kind in ("throttled", "transient"):
            raise SourceUnavailable("sts-unavailable", f"STS at {host}: {error}")
        if status != 200:
            raise StsProofInvalid("sts-refused", f"STS does not accept the signature (HTTP {status})")
        if kind != "application/json" or content is None:
            raise StsProofInvalid("sts-answer-malformed", "STS answered something else than a JSON document")
        return *caller_arn(content), host


def _refusal(status: int, content: bytes | None, date: str) -> AwsError:
    """Parse `{"Error": {"Code": …, "Message": …}}`, which STS sends to clients that accept JSON."""
    found = loose(content or b"").get("Error")
    error = found if isinstance(found, dict) else {}
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    return AwsError.of(status=status, code=code, message=message, date=date, retry_after="", now=utc_now())
