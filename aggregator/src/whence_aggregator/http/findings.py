"""Findings of scanners: recorded as their file arrives, and listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import get_args

from aiohttp import hdrs, web

from whence_aggregator.callers.limits import Limit
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.finding import FORMATS, FileRefused, Format
from whence_aggregator.findings.listing import CURSOR_CHARACTERS_MAX, Findings, WantedFindings
from whence_aggregator.findings.reading import FindingReader, FindingRefusal, Placed, ReadAs
from whence_aggregator.findings.recording import BATCH_FINDINGS_MAX, FindingRecording, RecordedFindings
from whence_aggregator.findings.scanners import FindingVerdict
from whence_aggregator.findings.splitting import JsonPart
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import BodyTooLarge, BodyTooSlow, BodyUnreadable, JsonResponse, respond_json
from whence_aggregator.http.pace import RequestPace, paced_chunks
from whence_aggregator.http.parameters import Query, account_id, check_image, instance_id
from whence_aggregator.http.slots import Slots
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Forbidden
from whence_aggregator.reports.coverage import AskedAbout
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.trace.moment import Moments
from whence_common.clock import Now, parse_instant
from whence_common.errors import InputError, one_line
from whence_common.identifiers import is_application_id

FILE_BYTES_MAX = 1024 * 1024 * 1024
FILE_SECONDS_MAX = 3600.0
FILES_AT_ONCE_MAX = 8
_PACE = RequestPace(grace_seconds=30.0, bytes_per_second_min=4096.0)
_THREAD_BYTES_MIN = 256 * 1024
"""A larger part is decoded in a thread, so that other requests do not wait."""
_LARGE_AT_ONCE_MAX = 2
"""Parts decoded in threads at once: one of them may take 500 MiB of memory."""
_KEY_CHARACTERS_MAX = 255
_YES_NO = ("true", "false")
_SHOWN_REASONS_MAX = 3
_FILTERS = (
    "verdict", "rule", "account", "product", "check", "severity", "region", "instance", "image", "application", "team",
    "suppressed", "since", "until",
)  # fmt: skip


_SPLIT = "split it by account, as each file with `complete` must have all findings of its accounts"


class FindingCalls:
    """`/v1/findings` and `/v1/scanners`."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        findings: Findings,
        scanners: ScannerCoverage,
        coverage: CoverageReader,
        moments: Moments,
        now: Now,
        on_change: Callable[[], None],
        caller_bytes: Limit,
    ) -> None:
        """`caller_bytes`: bytes of files by caller. A file is taken whole, and counts for the next ones."""
        self._caller_bytes = caller_bytes
        self._ledger = ledger
        self._findings = findings
        self._scanner_coverage = scanners
        self._coverage = coverage
        self._moments = moments
        self._now = now
        self._on_change = on_change
        self._slots = Slots("transfers", FILES_AT_ONCE_MAX)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/findings", self._record),
            web.get("/v1/findings", self._list),
            web.get("/v1/scanners", self._scanners),
        ]

    async def _record(self, request: web.Request) -> JsonResponse:
        """Record a file of findings; 201 if anything is new, 200 if nothing is, 400 if nothing could be taken."""
        caller = request[CALLER]
        if not caller.records_findings:
            raise Forbidden(
                "findings-forbidden", f"{caller.name} may not record findings",
                fix="use a token with the right findings: whence-aggregator token NAME --may findings --account ID",
            )  # fmt: skip
        query = Query(request, "format", "account", "application", "complete")
        read_as, complete = _read_as(query, self._now), query.choice("complete", _YES_NO) == "true"
        _check_headers(request)
        self._caller_bytes.check(caller.name)
        recording = FindingRecording(ledger=self._ledger, caller=caller, complete=complete, now=self._now)
        with self._slots.take(request, caller.name):
            recorded = await self._received(self._counted(request), FindingReader(read_as), recording)
        if not recorded.accepted and recorded.refused:
            raise _refusal(recorded)
        if changed := bool(recorded.new or recorded.updated or recorded.closed):
            self._on_change()
        return respond_json(recorded.to_wire(), status=201 if changed else 200)

    async def _received(
        self, chunks: AsyncIterator[bytes], reader: FindingReader, recording: FindingRecording
    ) -> RecordedFindings:
        """Record what arrives, in batches. What was recorded before the file breaks off stays."""
        batch: list[Placed | FindingRefusal] = []
        reason = ""
        try:
            async for part in _parts(chunks, reader):
                batch += await self._read(reader, part)
                while len(batch) >= BATCH_FINDINGS_MAX:
                    await recording.add(batch[:BATCH_FINDINGS_MAX])
                    del batch[:BATCH_FINDINGS_MAX]
            if not reader.ended:
                raise FileRefused(
                    "findings-truncated", "the file is empty, or was cut off within an array or a finding"
                )
        except FileRefused as exc:
            await recording.add(batch)
            batch = []
            if not recording.recorded.accepted:
                raise
            reason = exc.message
            recording.recorded.refuse(FindingRefusal.of(reader.read_so_far, exc))
        await recording.add(batch)
        return await recording.end(reason or ("a scanner states that it failed" if reader.failed else ""))

    async def _counted(self, request: web.Request) -> AsyncIterator[bytes]:
        """Yield the bytes of a body as they arrive; all of them count, also those of a file that is refused."""
        name = request[CALLER].name
        async for chunk in paced_chunks(request, _PACE, passed_on=True):
            self._caller_bytes.charge(name, len(chunk))
            yield chunk

    async def _read(self, reader: FindingReader, part: JsonPart) -> list[Placed | FindingRefusal]:
        if len(part.content) < _THREAD_BYTES_MIN:
            return list(reader.read(part))
        async with self._large:
            return await asyncio.to_thread(lambda: list(reader.read(part)))

    async def _list(self, request: web.Request) -> JsonResponse:
        query = Query(request, *_FILTERS, "at", "limit", "cursor")
        everything = request[CALLER].reads_everything
        wanted, limit = _wanted(query, as_written=not everything), query.limit()
        moment = await self._moments.since_the_log(query.instant("at"))
        after = query.text("cursor", characters_max=CURSOR_CHARACTERS_MAX) or ""
        page, following = await self._findings.page(
            wanted, after=after, limit=limit, now=parse_instant(moment.at), past=moment.past
        )
        if not page:
            await self._coverage.check_team(_about(wanted))
        covered = await self._coverage.of(_about(wanted), named=everything)
        shown = [one.to_wire() for one in page]
        return respond_json({"findings": shown, "next": following, "at": moment.at, "coverage": covered})

    async def _scanners(self, request: web.Request) -> JsonResponse:
        moment = await self._moments.since_the_log(Query(request, "at").instant("at"))
        states = await self._scanner_coverage.states(now=parse_instant(moment.at), past=moment.past)
        return respond_json({"scanners": [one.to_wire() for one in states], "at": moment.at})


async def _parts(chunks: AsyncIterator[bytes], reader: FindingReader) -> AsyncIterator[JsonPart]:
    """Yield the parts of a body as it arrives. Raises FileRefused, BodyTooLarge, BodyTooSlow or BodyUnreadable."""
    size = 0
    try:
        async with asyncio.timeout(FILE_SECONDS_MAX):
            async for chunk in chunks:
                size += len(chunk)
                if size > FILE_BYTES_MAX:
                    raise BodyTooLarge("body-too-large", f"the file is larger than {FILE_BYTES_MAX} bytes", fix=_SPLIT)
                for part in reader.parts(chunk):
                    yield part
    except TimeoutError as exc:
        raise BodyTooSlow("body-too-slow", "the body stopped, or arrived too slowly") from exc
    except web.RequestPayloadError as exc:
        raise BodyUnreadable("body-malformed", "the body does not match its headers") from exc


def _check_headers(request: web.Request) -> None:
    """Refuse an encoded body, one that is too large, and a malformed key. Raises InputError."""
    if hdrs.CONTENT_ENCODING in request.headers:
        raise BodyUnreadable("body-encoded", "encoded bodies are not accepted", fix="send no Content-Encoding")
    if (request.content_length or 0) > FILE_BYTES_MAX:
        raise BodyTooLarge("body-too-large", f"the file is larger than {FILE_BYTES_MAX} bytes", fix=_SPLIT)
    key = request.headers.get("Idempotency-Key", "-")
    if not 0 < len(key) <= _KEY_CHARACTERS_MAX or not key.isprintable():
        raise InputError("idempotency-key", f"Idempotency-Key must have 1 to {_KEY_CHARACTERS_MAX} characters")


def _read_as(query: Query, now: Now) -> ReadAs:
    stated: Format | None = next((one for one in FORMATS if one == query.choice("format", FORMATS)), None)
    account, application = query.text("account"), query.text("application")
    if application is not None and not is_application_id(application):
        raise InputError("parameter-malformed", "application must be an application id")
    return ReadAs(
        now=now(), format=stated, account_id=account_id(account) if account is not None else "",
        application_id=application or "",
    )  # fmt: skip


def _wanted(query: Query, *, as_written: bool) -> WantedFindings:
    account, instance = query.text("account"), query.text("instance")
    severity, suppressed = query.choice("severity", ("1", "2", "3", "4")), query.choice("suppressed", _YES_NO)
    verdict = query.choice("verdict", get_args(FindingVerdict))
    return WantedFindings(
        verdict=next((one for one in get_args(FindingVerdict) if one == verdict), None),
        rule=query.text("rule"),
        account=account_id(account) if account is not None else None,
        product=query.text("product"),
        check=query.text("check"),
        severity=int(severity) if severity is not None else None,
        region=query.text("region"),
        instance=instance_id(instance) if instance is not None else None,
        image=check_image(query.text("image")),
        application=query.text("application"),
        team=query.text("team"),
        team_as_written=as_written,
        suppressed=suppressed == "true" if suppressed is not None else None,
        since=query.instant("since"),
        until=query.instant("until"),
    )


def _about(wanted: WantedFindings) -> AskedAbout:
    return AskedAbout(
        account=wanted.account, team=wanted.team, team_as_written=wanted.team_as_written,
        application=wanted.application, scanner=wanted.product, findings_alone=True,
    )  # fmt: skip


def _refusal(recorded: RecordedFindings) -> InputError:
    """Return the error of a file of which nothing was taken: 403 if all of it is of products of other tokens."""
    if recorded.refused_products == recorded.refused:
        return Forbidden(
            "findings-product-forbidden", _all_refused(recorded),
            fix="use a token for the product: "
            "whence-aggregator token NAME --may findings --account ID --product PRODUCT",
        )  # fmt: skip
    return InputError("findings-refused", _all_refused(recorded), fix="GET /openapi.yaml describes the formats")


def _all_refused(recorded: RecordedFindings) -> str:
    """Return why no finding was taken: the reasons of the first ones, each once."""
    reasons = list(dict.fromkeys(one.reason for one in recorded.refusals))
    shown = "; ".join(reasons[:_SHOWN_REASONS_MAX])
    return one_line(f"none of {recorded.refused} findings was accepted: {shown}", 900)
