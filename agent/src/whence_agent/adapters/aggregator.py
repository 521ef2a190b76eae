"""The agent's client of the aggregator's HTTP API."""

from __future__ import annotations

import logging
import re
import ssl
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import msgspec

from whence_agent.adapters.bodies import ResponseTooLarge, read_bounded
from whence_agent.adapters.by_proxy import reason
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, PullToken, StatementReceipt
from whence_common import strict_base64
from whence_common.backoff import retry_after_seconds
from whence_common.clock import utc_now
from whence_common.counting import NUMBER_MAX
from whence_common.enrolment_proof import KEY_HEADER
from whence_common.errors import one_line
from whence_common.merkle import PROOF_HASHES_MAX
from whence_common.runtime.logs import fields
from whence_common.sts_proof import StsProof

log = logging.getLogger(__name__)

_ANSWER_BYTES_MAX = 64 * 1024
_REQUEST_SECONDS_MAX = 20.0
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}\Z")
"""A bearer token's syntax (RFC 6750, 2.1)."""
_PROBLEM_TYPE = re.compile(r"urn:whence:problem:([a-z0-9-]{1,60})\Z")


class HttpAggregator:
    """A client of `/v1`. Every error has the problem's code, so that callers need not know HTTP.

    Codes come only from the aggregator's problem documents (RFC 9457). A response of anything else, such as a proxy, a
    load balancer or a captive portal, is a transient error.

    `log_size` returns the last known size of the log; the aggregator proves that receipts extend it. `key_id` returns
    the id of this agent's key: challenges are limited by key, so that other agents behind the same address cannot use
    up this agent's limit.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        url: str,
        ca_file: str | None,
        log_size: Callable[[], int | None] = lambda: None,
        key_id: Callable[[], str] = lambda: "",
    ) -> None:
        self._session = session
        self._log_size = log_size
        self._key_id = key_id
        self._url = url.rstrip("/")
        self._ssl: ssl.SSLContext | bool = True
        if ca_file is not None:
            self._ssl = ssl.create_default_context()
            self._ssl.load_verify_locations(cafile=ca_file)
        self._timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)

    async def challenge(self) -> Challenge:
        named = self._key_id()
        answer = await self._post("/v1/challenges", b"{}", {KEY_HEADER: named} if named else None)
        return Challenge(nonce=_text(answer, "challenge"), audience=_text(answer, "audience"))

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        stated = {"identity": identity, "public_key": public_key, "challenge": nonce, "proof": proof}
        body = msgspec.json.encode({**stated, "sts": sts} if sts is not None else stated)
        answer = await self._post("/v1/enrolments", body)
        try:
            key = strict_base64.decode(_text(answer, "heartbeat_key"))
        except ValueError as exc:
            raise _malformed() from exc
        named = answer.get("log_keys")
        return Enrolled(
            number=_number(answer, "enrolment"),
            heartbeat_key=key,
            level=one_line(str(answer.get("level", "")), 40),
            log_keys=tuple(str(one)[:500] for one in named[:16]) if isinstance(named, list) else (),
        )

    async def submit(self, envelope: bytes) -> StatementReceipt:
        seen = self._log_size()
        headers = {"Whence-Log-Size": str(seen)} if seen is not None else None
        answer = await self._post("/v1/statements", envelope, headers)
        return StatementReceipt(
            digest=_text(answer, "digest"),
            ledger_index=_number(answer, "ledger_index"),
            proof=str(answer.get("receipt", "")),
            consistency=_hashes(answer.get("consistency")),
        )

    async def heartbeat(self, body: bytes, mac: str) -> None:
        answer = await self._post("/v1/heartbeats", body, {"Whence-MAC": mac})
        if answer.get("accepted") is not True:
            raise _malformed()

    async def pull_token(
        self, *, instance_id: str, public_key: str, nonce: str, proof: str, repository: str, sts: StsProof | None
    ) -> PullToken:
        """Request a token. A registry front serves this call, and those of enrolment, below `/v2/_whence`."""
        stated = {
            "instance_id": instance_id, "public_key": public_key, "challenge": nonce, "proof": proof,
            "repository": repository,
        }  # fmt: skip
        body = msgspec.json.encode({**stated, "sts": sts} if sts is not None else stated)
        answer = await self._post("/v1/tokens", body)
        given = PullToken(token=_token(answer, "token"), expires_seconds=float(_number(answer, "expires_in")))
        if "refresh_token" not in answer:  # an earlier version of the front
            return given
        return replace(
            given,
            refresh_token=_token(answer, "refresh_token"),
            refresh_expires_seconds=float(_number(answer, "refresh_expires_in")),
        )

    async def _post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        request_id = uuid.uuid4().hex
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id, **(headers or {})}
        log.debug("request", extra=fields(path=path, request_id=request_id))
        try:
            async with self._session.post(
                self._url + path,
                data=body,
                headers=headers,
                timeout=self._timeout,
                ssl=self._ssl,
                allow_redirects=False,
            ) as answer:
                content = await read_bounded(answer, _ANSWER_BYTES_MAX)
                status, kind, retry_after = answer.status, answer.content_type, answer.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ResponseTooLarge) as exc:
            message = f"the aggregator at {self._url} is unreachable ({reason(exc)})"
            raise AggregatorUnavailable("aggregator-unreachable", message) from exc
        document = _object(content)
        if status not in (200, 201):
            log.warning("request refused", extra=fields(path=path, status=status, request_id=request_id))
            code = _own_code(status, kind, document)
            if document is None or code is None:
                raise self._closed(status, retry_after)
            raise _problem(status, code, document, retry_after)
        if path != "/v1/heartbeats":
            log.info("request answered", extra=fields(path=path, status=status, request_id=request_id))
        if document is None:
            raise _malformed()
        return document

    def _closed(self, status: int, retry_after: str) -> AggregatorUnavailable:
        return AggregatorUnavailable(
            f"http-{status}",
            f"HTTP {status} for {self._url} is not a response of the aggregator, but of something before it",
            fix="check aggregator_url, and the proxies, load balancers and firewalls before the aggregator",
            retry_after_seconds=retry_after_seconds(retry_after, now=utc_now()),
        )


def _own_code(status: int, kind: str, document: dict[str, Any] | None) -> str | None:
    """Return the code of the aggregator's problem document; None if something else sent the response."""
    if kind != "application/problem+json" or document is None or document.get("status") != status:
        return None
    match = _PROBLEM_TYPE.match(str(document.get("type")))
    return match[1] if match is not None and document.get("code") == match[1] else None


def _problem(status: int, code: str, document: dict[str, Any], retry_after: str) -> AggregatorUnavailable:
    detail = one_line(str(document.get("detail") or document.get("title") or f"HTTP {status}"))
    refusal = AggregatorUnavailable(
        code,
        f"the aggregator returned HTTP {status}: {detail}",
        retryable=status == 429 or status >= 500,
        retry_after_seconds=retry_after_seconds(retry_after, now=utc_now()),
    )
    last_taken = document.get("last_taken")
    if isinstance(last_taken, int) and not isinstance(last_taken, bool) and 0 <= last_taken <= NUMBER_MAX:
        refusal.last_taken = last_taken
    return refusal


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise _malformed()
    return value


def _token(answer: dict[str, Any], name: str) -> str:
    value = _text(answer, name)
    if not _TOKEN.match(value):
        raise _malformed()
    return value


def _number(answer: dict[str, Any], name: str) -> int:
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _malformed()
    return value


def _hashes(value: object) -> tuple[bytes, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > PROOF_HASHES_MAX or not all(isinstance(one, str) for one in value):
        raise _malformed()
    try:
        return tuple(strict_base64.decode(one) for one in value)
    except ValueError as exc:
        raise _malformed() from exc


def _malformed() -> AggregatorUnavailable:
    return AggregatorUnavailable("answer-malformed", "the aggregator's response is malformed")
