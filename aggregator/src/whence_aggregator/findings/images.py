"""What scanners state of the images that versions run, for the rules that rest on findings alone, with its entries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.findings.rows import (
    FindingOfImage,
    MovedFinding,
    findings_of_image,
    moved_findings,
    versions_by_digest,
)
from whence_aggregator.findings.scanners import BASE_IMAGE_OUTDATED, IMAGE_CVE, Scanners
from whence_aggregator.findings.violations import ImageOutcome, judge_image
from whence_aggregator.ports import Database
from whence_aggregator.queries.findings import (
    FINDINGS_MOVED_FROM_IMAGE,
    FINDINGS_OF_IMAGE,
    VERSIONS_OF_IMAGES,
    FindingsOfImageParameters,
)
from whence_aggregator.queries.query import EVERY_ENTRY, array, each

FINDINGS_OF_IMAGE_MAX = 5_000
"""Those beyond are not read, and the image is then unknown at best."""
MOVED_MAX = 100
_ROWS_AT_ONCE = 500
CountingAccounts = Callable[[Collection[str]], Awaitable[Collection[str]]]
"""Returns those of some accounts whose scanners count."""
_TOO_MANY = f"scanners state more than {FINDINGS_OF_IMAGE_MAX} findings about this image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScans:
    """The outcomes and reasons of both rules, and the entries that they rest on."""

    vulnerabilities: tuple[ImageOutcome, str]
    base_image: tuple[ImageOutcome, str]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What is stored about one digest."""

    findings: Sequence[FindingOfImage]
    moved: Sequence[MovedFinding]
    whole: bool
    """Whether all of its findings were read."""


class ScannedImages:
    """Reads findings about images, and judges them. `scanners` are those of the settings."""

    def __init__(self, *, database: Database, scanners: Scanners) -> None:
        self._database = database
        self.scanners = scanners

    async def of_versions(self, digests: Mapping[str, Collection[str]], *, now: datetime) -> Mapping[str, ImageScans]:
        """Return what scanners state of the digests of each version, APPLICATION@VERSION.

        A scanner of an account in which the version was never seen states nothing about it.
        """
        every = sorted({one for some in digests.values() for one in some})
        if not every:
            return {}
        about = await self._about(every)
        known = versions_by_digest(
            await self._database.fetch(VERSIONS_OF_IMAGES.bind({"digests": array(every), "past": EVERY_ENTRY}))
        )
        found = {}
        for name, some in digests.items():
            accounts = {
                one.account_id
                for digest in some
                for one in known.get(digest, ())
                if f"{one.application_id}@{one.version}" == name
            }
            found[name] = self._scans([about[one] for one in sorted(some)], accounts, now)
        return found

    async def of_digests(
        self, digests: Collection[str], *, now: datetime, counting: CountingAccounts | None = None
    ) -> ImageScans:
        """Return what the findings that are stored state of the digests of one image; without `counting`, all count."""
        found = await self._about(sorted(digests))
        about = [found[one] for one in sorted(digests)]
        named = {one.finding.account_id for some in about for one in some.findings}
        named |= {one.account_id for some in about for one in some.moved}
        return self._scans(about, await counting(named - {""}) if counting is not None else None, now)

    def _scans(self, about: Sequence[_About], accounts: Collection[str] | None, now: datetime) -> ImageScans:
        def speaks(account_id: str) -> bool:
            return accounts is None or not account_id or account_id in accounts

        counting = [one for some in about for one in some.findings if speaks(one.finding.account_id)]
        entries = {index for one in counting for index in one.entries}
        entries |= {one.ledger_index for some in about for one in some.moved if speaks(one.account_id)}
        whole = all(some.whole for some in about)
        return ImageScans(
            vulnerabilities=self._judged(IMAGE_CVE, counting, whole, now),
            base_image=self._judged(BASE_IMAGE_OUTDATED, counting, whole, now),
            entries=tuple(sorted(entries)),
        )

    def _judged(
        self, rule: str, counting: Sequence[FindingOfImage], whole: bool, now: datetime
    ) -> tuple[ImageOutcome, str]:
        outcome, reason = judge_image(rule, [one.finding for one in counting], self.scanners, now=now)
        return ("unknown", _TOO_MANY) if outcome == "pass" and not whole else (outcome, reason)

    async def _about(self, digests: Sequence[str]) -> dict[str, _About]:
        """Return what is stored about digests: the first pages of all of them in one round trip."""
        first = await self._database.fetch_all(each([FINDINGS_OF_IMAGE.bind(_page(one)) for one in digests]))
        moved = await self._database.fetch_all(
            each([FINDINGS_MOVED_FROM_IMAGE.bind({"image_digest": one, "limit": MOVED_MAX}) for one in digests])
        )
        found = {}
        for digest, rows, gone in zip(digests, first, moved, strict=True):
            some = findings_of_image(rows)
            more = len(rows) == _ROWS_AT_ONCE
            while more and len(some) < FINDINGS_OF_IMAGE_MAX:
                page = _page(digest, some[-1].finding.cursor)
                rows = await self._database.fetch(FINDINGS_OF_IMAGE.bind(page))
                some += findings_of_image(rows)
                more = len(rows) == _ROWS_AT_ONCE
            found[digest] = _About(findings=some, moved=moved_findings(gone), whole=not more)
        return found


def _page(digest: str, after: tuple[str, str, str] = ("", "", "")) -> FindingsOfImageParameters:
    return {
        "image_digest": digest, "after_account": after[0], "after_product": after[1], "after_uid": after[2],
        "limit": _ROWS_AT_ONCE,
    }  # fmt: skip
