"""The forms in which commit messages name tickets and reviews, for applications without their own patterns. Pure.

A form counts only at its place: `UTF-8` in a sentence is not a ticket, and `(#345)` at a subject's end is the number of
a squash merge, so it is a review.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

TicketPlace = Literal["subject", "body", "trailer", "branch", "review-title", "review-text", "review-link"]
_LINES_MAX = 2_000
_LINE_CHARACTERS_MAX = 1_000
"""Longer lines are read up to here: each expression below needs at most linear time."""
_STANDARDS = """
ACM ADR AES AGPL ALPHA AMD ANSI APACHE ARC ARGON ARM ASCII BASE BCP BETA BIG BIP BLAKE BOM BSD BUILD CAPEC CC CCITT
CHACHA CIE COVID CP CPE CPU CRC CSS CVE CWE DAY DDR DES DIN DRAFT DSA EBCDIC ECDSA ECMA ED EIP EN EPL ERC ES ETSI EUC
FAQ FIPS FLOAT FP GB GCM GHSA GMT GPL GPT GPU GSM H1 H2 HEX HMAC HTML HTTP HTTPS IE IEC IEEE IETF INT IP IPV ISBN ISO
ISSN ITU JEP JESD JIS JPEG JSR KB KOI LATIN LGPL LTS LZ MD MDN MIPS MIT MP MPEG MPL MS NIST OID OSI OWASP PART PBKDF
PCI PEP PGP PHASE PKCS PM POC POSIX PPC PR PSR PULL Q1 Q2 Q3 Q4 RAID RC RELEASE REV RFC RIPEMD RISCV ROT RSA SEMVER
SHA SHAKE SOC SPDX SPRINT SQL SSL STAGE STD STEP TAKE TIER TLS TOP TR TZ UCS UINT UPSTREAM USB UTC UTF VER VERSION VOL
VT WCAG WEEK WIN WIP WPA X86 XHTML XML
"""
_NOT_PROJECTS = frozenset(_STANDARDS.split())
"""Prefixes of standards, algorithms, formats and counts: with a hyphen and a number, they are not tickets."""
_ID_CHARACTERS_MAX = 150
_NUMBER = "[1-9][0-9]{0,11}"
_KEY = rf"(?<![A-Za-z0-9_])[A-Z][A-Z0-9_]{{1,15}}-{_NUMBER}(?![A-Za-z0-9_+-]|\.[0-9])"
_HASH = rf"(?<![A-Za-z0-9_/#-])(?:AB|(?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_.-]+)?#{_NUMBER}(?![A-Za-z0-9_-])"
_URL = (
    rf"https?://(?P<url_host>[A-Za-z0-9.:-]+)/(?:(?:[A-Za-z0-9_.~-]+/)*browse/(?P<url_key>[A-Z][A-Z0-9_]{{1,15}}-{_NUMBER})"
    rf"|(?P<url_path>[A-Za-z0-9_.~-]+(?:/[A-Za-z0-9_.~-]+){{1,8}}?)(?:/-)?/(?:issues|work_items)/(?P<url_number>{_NUMBER}))"
    r"(?![A-Za-z0-9_])"
)
_REFERENCE = re.compile(rf"(?P<key>{_KEY})|(?P<hash>{_HASH})|{_URL}")
_BARE = re.compile(rf"#?({_NUMBER})(?=[\s,;.]|\Z)")
_BETWEEN = re.compile(r"\s*(?:,|;|&|/|\band\b)\s*")
_BETWEEN_OR_BLANK = re.compile(_BETWEEN.pattern + r"|\s+")
_NAMED = r"tickets?|issues?|bugs?|tasks?|story|stories|jira|work-?items?"
_TRAILER = re.compile(
    rf"(?i:\s*(?:[*-]\s+)?(?:[a-z]+[- ])?(?P<word>{_NAMED}|refs?|references?|fix(?:es|ed)?|close[sd]?|resolve[sd]?"
    r"|implements?|related|relates[- ]to|part[- ]of|addresses|see(?:[- ]also)?)"
    r"(?:-(?:ids?|url|link|key|number))?\s*[:=]\s*)"
)
_WORDED = re.compile(
    rf"(?i:(?<![A-Za-z0-9_-])(?P<word>fix(?:es|ed|ing)?(?: for)?|clos(?:e|es|ed|ing)|resolv(?:e|es|ed|ing)"
    r"|implement(?:s|ed|ing)?"
    rf"|address(?:es|ed|ing)?|finish(?:es|ed)?|delivers|refs?\.?|references?|relate[sd] to|part of"
    rf"|contributes to|see|{_NAMED}):?\s+)"
)
_VERBS = ("fix", "fix for", "fixes for", "close", "resolve", "implement", "address")
"""Plain English too: `fix MYSQL-8` does not name a ticket, `fix #8` does."""
_POINTERS = ("see",)
"""`see #8` may point to a review as well, `see PAY-8` does not."""
_PREFIX = re.compile(
    rf"\s*(?:Pull request #{_NUMBER}: "  # Bitbucket Server's merges
    r"|(?i:revert(?:s|ed|ing)?|reapply|backport) \"?|(?:fixup|squash|amend)! |\[[^\]\n]{1,40}\]"
    r"|[A-Za-z][A-Za-z0-9_/. -]{0,30}(?:\([^)\n]{1,60}\))?!?:(?=\s))\s*"
)
_PREFIXES_MAX = 3
_SCOPE = re.compile(r"\A[A-Za-z]{1,20}\((?P<inside>[^)\n]{1,60})\)!?:")
_BRACKETS = re.compile(r"\[(?P<square>[^\[\]\n]{1,80})\]|\((?P<round>[^()\n]{1,80})\)")
_BODY_START = re.compile(rf"\s*(?:[*•-]\s+)?(?P<key>{_KEY})(?=\s*:|\s+-\s|\s*\Z)")
_OWN_NUMBER = re.compile(rf"\((?:#|GH-|!){_NUMBER}\)")
_MERGES = (
    (rf"Merge pull request (?P<id>(?:[A-Za-z0-9_./~-]*)#{_NUMBER})\b", "Merge pull request #{number}"),
    (rf"Merged in .{{1,300}} \(pull request (?P<id>#{_NUMBER})\)", "Merged in … (pull request #{number})"),
    (rf"Pull request (?P<id>#{_NUMBER}): ", "Pull request #{number}:"),
    (rf"Merged PR (?P<id>{_NUMBER})\b", "Merged PR {number}"),
    (rf"Closes (?P<id>#{_NUMBER}) from [A-Za-z0-9_.-]+/", "Closes #{number} from"),
    (rf"See merge request (?P<id>[A-Za-z0-9_./~-]*!{_NUMBER})\b", "See merge request !{number}"),
)
_MERGE_FORMS = tuple((re.compile(expression), name) for expression, name in _MERGES)
_MERGE_BEGINS = re.compile(r"Merge|Pull request|Closes|See merge")
DIGIT = re.compile(r"[0-9]")
"""Every ticket has a number, so most lines need no further look."""
_MAY_REFER = re.compile(r"[#-][1-9]|://")
"""What every match of `_REFERENCE` and `_BRANCH` has: other lines can name a ticket in a trailer only."""
_REVIEW_TRAILER = re.compile(
    r"(?i:\s*(?:pr-url|pull[- ]request(?:-url)?|merge[- ]request(?:-url)?|pr|mr|reviewed-on|differential revision):\s*)"
    r"(?P<id>\S{1,200})"
)
_BRANCH = re.compile(rf"(?<=[/'\"\s])(?:[A-Z][A-Z0-9_]{{1,15}}-|(?<=[/'\"])#){_NUMBER}(?=[-_/'\"\s]|\Z)")
_MERGE_START = re.compile(r"Merge (?:(?:remote-tracking )?branch|pull request) |Merged in ")
_MERGED_START = re.compile(r"Merge (?:(?:remote-tracking )?branch(?:es)?|pull request) |Merged in ")
_MERGED = re.compile(r"'(?P<quoted>[^']{1,300})'|\bfrom (?P<head>\S{1,300})|^Merged in (?P<source>\S{1,300})")
_TRAILER_LINE = re.compile(r"[A-Za-z][A-Za-z0-9-]*\s?[:=]|\(cherry picked from commit ")
"""`git cherry-pick -x` adds its line to the trailers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A ticket or review that a message names: by which pattern, and where. `line` counts from 1."""

    id: str
    pattern: str
    place: TicketPlace
    line: int
    host: str = ""
    """The host of the URL that names it; empty where no URL does."""


@functools.lru_cache(maxsize=2)
def lines_of(message: str) -> tuple[tuple[int, TicketPlace, str], ...]:
    """Return a message's lines with their numbers and places; the last paragraph has trailers if all of it does."""
    lines = [line[:_LINE_CHARACTERS_MAX] for line in message.split("\n")[:_LINES_MAX]]
    last = len(lines)
    while last > 0 and not lines[last - 1].strip():
        last -= 1
    first = last
    while first > 1 and lines[first - 1].strip():
        first -= 1
    trailers = first >= 1 and all(_TRAILER_LINE.match(line) or line[:1].isspace() for line in lines[first:last])
    return tuple(
        (number, "subject" if number == 1 else "trailer" if trailers and number > first else "body", line)
        for number, line in enumerate(lines[:last], start=1)
    )


def reviews_by_form(message: str) -> Iterator[Mention]:
    """Yield the reviews in subjects of merges and squash merges, and in trailers with a review's URL."""
    for number, place, line in lines_of(message):
        for expression, name in _MERGE_FORMS if _MERGE_BEGINS.match(line) else ():
            if (match := expression.match(line)) is not None:
                yield Mention(id=match["id"], pattern=name, place=place, line=number)
        if place == "subject":
            for match in _OWN_NUMBER.finditer(line):
                yield Mention(id=match[0][1:-1], pattern="subject (#{number})", place=place, line=number)
        elif (match := _REVIEW_TRAILER.match(line)) is not None:
            yield Mention(id=match["id"], pattern="{review}: {url}", place=place, line=number)


def tickets_by_form(message: str, reviews: Iterable[Mention]) -> Iterator[Mention]:
    """Yield the tickets that a message names in well-known forms at their places; its reviews are left out."""
    own = {one.id for one in reviews}
    titles = _titles(message)
    for number, place, line in lines_of(message):
        if DIGIT.search(line) is None:
            continue
        found = [*_trailer(line, place)]
        if _MAY_REFER.search(line) is not None:
            found += (*_worded(line), *(_subject(line) if number in titles else _body(line)))
        hosts = dict(_linked(line)) if "://" in line else {}
        for name, pattern in found:
            if name not in own and len(name) <= _ID_CHARACTERS_MAX:
                yield Mention(id=name, pattern=pattern, place=place, line=number, host=hosts.get(name, ""))


def tickets_by_link(text: str) -> Iterator[Mention]:
    """Yield the tickets whose pages a text links to, wherever the link is."""
    for number, _, line in lines_of(text):
        for name, host in _linked(line):
            yield Mention(id=name, pattern="{url}", place="review-link", line=number, host=host)


def branch_ticket(branch: str) -> Iterator[Mention]:
    """Yield the tickets in the name of a branch: `feature/PAY-7-pay`, `fix/#7`."""
    for match in _BRANCH.finditer(f"/{branch[:_ID_CHARACTERS_MAX]}"):
        if _is_project(match[0]):
            yield Mention(id=match[0], pattern=f"branch {_shape(match[0])}", place="branch", line=1)


def merged_branches(subject: str) -> tuple[str, ...]:
    """Return the branches that a merge's subject names, without the one that they were merged into."""
    if not _MERGED_START.match(subject):
        return ()
    named = subject[:_LINE_CHARACTERS_MAX].partition(" into ")[0]
    return tuple(match[match.lastgroup or 0] for match in _MERGED.finditer(named))


def _linked(line: str) -> Iterator[tuple[str, str]]:
    """Yield the tickets that a line's URLs name, with the host of each."""
    for match in _REFERENCE.finditer(line):
        if match["url_host"] is not None:
            name = match["url_key"] or f"{match['url_path']}#{match['url_number']}"
            if len(name) <= _ID_CHARACTERS_MAX:
                yield name, match["url_host"].lower()


def _titles(message: str) -> set[int]:
    """Return the lines that are titles: the subject, and after a merge's subject the title of the merged branch."""
    if not _MERGE_START.match(message):
        return {1}
    return {1, next((number for number, _, line in lines_of(message) if number > 1 and line.strip()), 1)}


def _trailer(line: str, place: TicketPlace) -> Iterator[tuple[str, str]]:
    """Yield tickets of trailers: `Ticket: PAY-7`, `Closes-Bug: #7`, `Bug: 7`."""
    match = _TRAILER.match(line) if place != "subject" else None
    if match is None:
        return
    word = line[: match.end()].strip(" \t*-:=")
    bare = re.fullmatch(_NAMED, match["word"], re.IGNORECASE) is not None
    for name in _list(line, match.end(), bare=bare, blanks=True):
        yield name, f"{word}: {_shape(name)}"


def _worded(line: str) -> Iterator[tuple[str, str]]:
    """Yield tickets after verbs: `fixes #7`, `Closes PAY-7, PAY-8`, `part of #7`."""
    for match in _WORDED.finditer(line):
        word = match["word"]
        for name in _list(line, match.end()):
            if word.lower() not in (_POINTERS if "#" in name else _VERBS):
                yield name, f"{word} {_shape(name)}"


def _subject(line: str) -> Iterator[tuple[str, str]]:
    """Yield tickets of a subject: `PAY-7: pay`, `#7 pay`, `feat(PAY-7): pay`, `pay [PAY-7]`, and a merge's branch."""
    start = len(line) - len(line.lstrip())
    for _ in range(_PREFIXES_MAX + 1):
        for name in _list(line, start):
            yield name, f"{_shape(name)} at the subject's start"
        if (prefix := _PREFIX.match(line, start)) is None:
            break
        start = prefix.end()
    if (scope := _SCOPE.match(line)) is not None:
        for name in _list(scope["inside"], 0):
            yield name, f"type({_shape(name)}):"
    for match in _BRACKETS.finditer(line):
        inside = match["square"] or match["round"]
        for name in _list(inside, 0):
            if match["square"] or "#" not in name:
                yield name, f"[{_shape(name)}]" if match["square"] else f"({_shape(name)})"
    if _MERGE_START.match(line):
        for match in _BRANCH.finditer(line):
            if _is_project(match[0]):
                yield match[0], f"branch {_shape(match[0])}"


def _body(line: str) -> Iterator[tuple[str, str]]:
    """Yield tickets at a line's start: `PAY-7: pay`, `[PAY-7] pay`, as squash merges list their commits."""
    if (match := _BODY_START.match(line)) is not None and _is_project(match["key"]):
        yield match["key"], "{project}-{number} at a line's start"
    text = line.lstrip(" \t*•-")
    if (brackets := _BRACKETS.match(text)) is not None and brackets["square"]:
        for name in _list(brackets["square"], 0):
            yield name, f"[{_shape(name)}]"


def _list(line: str, start: int, *, bare: bool = False, blanks: bool = False) -> Iterator[str]:
    """Yield the consecutive references from a position on."""
    while (match := _REFERENCE.match(line, start)) or (bare and (match := _BARE.match(line, start))):
        if match.re is _BARE:
            yield match[0]
        elif match["key"]:
            if not _is_project(match["key"]):
                return
            yield match["key"]
        else:
            yield match["hash"] or match["url_key"] or f"{match['url_path']}#{match['url_number']}"
        between = (_BETWEEN_OR_BLANK if blanks else _BETWEEN).match(line, match.end())
        if between is None:
            return
        start = between.end()


def _is_project(key: str) -> bool:
    return is_project(key.rpartition("-")[0])


def is_project(text: str) -> bool:
    """Return whether a text in capital letters can be a project: `UTF` and `SHA` are not."""
    return text not in _NOT_PROJECTS


def _shape(name: str) -> str:
    """Return the pattern of a ticket."""
    if "#" in name:
        place = name.partition("#")[0]
        return ("{repository}" if "/" in place else place) + "#{number}"
    return "{project}-{number}" if "-" in name else "{number}"
