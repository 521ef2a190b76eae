"""A revision of an application as it is to be stored: Kio's fields, the further repositories, the trackers. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from whence_aggregator.applications import fields
from whence_aggregator.applications.fields import ApplicationInvalid
from whence_aggregator.trace.registered import Tracker, repositories_of, trackers_of
from whence_aggregator.trace.tickets import PATTERNS_MAX, check_pattern
from whence_common.errors import InputError, one_line
from whence_common.repositories import compare
from whence_common.scm_source import repository_of

REPOSITORIES_MAX = 20
_URL_CHARACTERS_MAX = 500
_STATES_MAX = 50
_STATE_CHARACTERS_MAX = 100
_TYPE = re.compile(r"[a-z][a-z0-9-]{0,29}\Z")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,99}\Z")
_CREDENTIALS = re.compile(r"//[^/@\s]*:[^/@\s]*@|\Ahttps?://[^/@\s]*@", re.IGNORECASE)
"""A password before the host, or any user name in a URL of HTTP. `ssh://git@` is not one."""
_MORE = ("repositories", "trackers")
"""What Whence stores in addition to Kio's fields."""


class TrackerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ticket tracker as a caller writes it."""

    pattern: str
    type: str | None = None
    project: str | None = None
    url: str | None = None
    approved_states: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One revision."""

    kio: Mapping[str, Any]
    further: tuple[str, ...] = ()
    """The repositories in addition to `scm_url`."""
    trackers: tuple[Tracker, ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Draft:
        """Return a stored revision, of any version."""
        return cls(kio=body["kio"], further=tuple(body.get("repositories") or ()), trackers=trackers_of(body))

    @classmethod
    def merged(cls, stored: Draft | None, written: Mapping[str, Any]) -> Draft:
        """Return the revision after a PUT of Kio. Raises ApplicationInvalid."""
        kio = fields.merge(stored.kio if stored is not None else None, written)
        return replace(stored, kio=kio)._tidy() if stored is not None else cls(kio=kio)

    @classmethod
    def replaced(cls, written: Mapping[str, Any]) -> Draft:
        """Return the revision that a document states as a whole. Raises InputError."""
        kio = fields.replace({name: value for name, value in written.items() if name not in _MORE})
        return cls(kio=kio)._with(written)

    def patched(self, written: Mapping[str, Any]) -> Draft:
        """Return the revision after a merge patch. Raises InputError."""
        kio = fields.patch(self.kio, {name: value for name, value in written.items() if name not in _MORE})
        return replace(self, kio=kio)._with(written)

    @property
    def team(self) -> str:
        return str(self.kio["team_id"])

    @property
    def repositories(self) -> tuple[str, ...]:
        """Return all repositories, `scm_url` first."""
        return repositories_of({"kio": self.kio, "repositories": self.further})

    def to_team(self, team_id: str) -> Draft:
        return replace(self, kio={**self.kio, "team_id": team_id})

    def to_body(self) -> dict[str, Any]:
        """Return the members of the entry and of the revision's row."""
        return {
            "kio": dict(self.kio),
            "repositories": list(self.further),
            "trackers": [one.to_wire() for one in self.trackers],
        }

    def _with(self, written: Mapping[str, Any]) -> Draft:
        changed = self
        if self.kio["scm_url"] and "scm_url" in written:
            _refuse_credentials(str(self.kio["scm_url"]))
        if "trackers" in written:
            changed = replace(changed, trackers=parse_trackers(written["trackers"] or []))
        if "repositories" in written:
            urls = _parse_repositories(written["repositories"] or [], known=self.repositories)
            if "scm_url" not in written:
                changed = replace(changed, kio={**self.kio, "scm_url": urls[0] if urls else None})
            elif self.kio["scm_url"] and urls and self.kio["scm_url"] not in urls:
                raise ApplicationInvalid(
                    "repositories-disagree", "repositories does not contain scm_url",
                    fix="omit scm_url: the first repository takes its place",
                )  # fmt: skip
            changed = replace(changed, further=urls)
        return changed._tidy()

    def _tidy(self) -> Draft:
        """Return it without `scm_url` among the further repositories."""
        return replace(self, further=tuple(one for one in self.further if one != self.kio["scm_url"]))


def parse_trackers(written: object) -> tuple[Tracker, ...]:
    """Return trackers as a caller writes them. Raises InputError."""
    try:
        found = msgspec.convert(written, list[TrackerSettings])
    except msgspec.ValidationError as exc:
        fix = 'write [{"pattern": "{project}-{number}", "type": "jira", "project": "PAY", "url": "https://…/{ticket}"}]'
        raise InputError("trackers-malformed", f"trackers: {exc}", fix=fix) from exc
    if len(found) > PATTERNS_MAX:
        raise InputError("trackers-too-many", f"trackers has {len(found)} entries, at most {PATTERNS_MAX} are allowed")
    trackers = tuple(_tracker(one) for one in found)
    for one in trackers:
        _check_tracker(one)
    patterns = [one.effective for one in trackers]
    if len(set(patterns)) < len(patterns):
        raise InputError("trackers-repeated", "two trackers have the same pattern")
    return trackers


def _tracker(written: TrackerSettings) -> Tracker:
    return Tracker(
        pattern=written.pattern, type=written.type, project=written.project, url=written.url,
        approved_states=tuple(written.approved_states),
    )  # fmt: skip


def _check_tracker(tracker: Tracker) -> None:
    if tracker.type is not None and not _TYPE.match(tracker.type):
        raise InputError("tracker-type", "type must be a word in lower case, as in jira or github")
    if tracker.project is not None and not _PROJECT.match(tracker.project):
        raise InputError("tracker-project", "project must be letters, digits and _ . / -")
    states = tracker.approved_states
    if len(states) > _STATES_MAX or any(not one.strip() or len(one) > _STATE_CHARACTERS_MAX for one in states):
        raise InputError(
            "tracker-states", f"approved_states must have at most {_STATES_MAX} names of 1 to {_STATE_CHARACTERS_MAX}"
            " characters",
        )  # fmt: skip
    check_pattern(tracker.pattern)
    check_pattern(tracker.effective)
    if tracker.url is not None and not is_url_template(tracker.url):
        raise InputError("ticket-url", "url must be an http or https URL with {ticket} in it")


def is_url_template(text: str) -> bool:
    web = text.startswith(("http://", "https://")) and text.isprintable()
    return web and "{ticket}" in text and len(text) <= _URL_CHARACTERS_MAX


def _parse_repositories(written: object, *, known: Sequence[str]) -> tuple[str, ...]:
    """Return distinct repositories. A `scm_url` that names none is accepted where it is stored already."""
    if not isinstance(written, list) or not all(isinstance(one, str) for one in written):
        raise InputError("repositories-malformed", "repositories must be a list of URLs")
    if len(written) > REPOSITORIES_MAX:
        raise InputError("repositories-too-many", f"repositories has more than {REPOSITORIES_MAX} entries")
    found: list[str] = []
    for url in written:
        if url not in known:
            _check_repository(url)
        if any(one == url or compare(one, url) == "same" for one in found):
            raise InputError("repositories-repeated", f"{one_line(url, 200)!r} names a repository a second time")
        found.append(url)
    return tuple(found)


def _check_repository(url: str) -> None:
    _refuse_credentials(url)
    fix = "write it like https://git.example.org/team/name"
    if len(url) > _URL_CHARACTERS_MAX or not url.isprintable() or repository_of(url) is None:
        raise InputError("repository-malformed", f"{one_line(url, 80)!r} is not a repository's URL", fix=fix)


def _refuse_credentials(url: str) -> None:
    """Raise InputError for a URL with a password, which the log would keep and show to every reader."""
    if _CREDENTIALS.search(url):
        fix = "write it like https://git.example.org/team/name"
        raise InputError("repository-credentials", "a repository's URL contains credentials", fix=fix)
