"""Backstage's Components as applications in Kio's fields. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from whence_aggregator.whence.importing.entities import CatalogEntity
from whence_aggregator.whence.importing.fields import application_of
from whence_aggregator.whence.importing.references import EntityReference, parse_reference
from whence_aggregator.whence.importing.teams import CatalogTeams, catalog_teams, team_members
from whence_aggregator.whence.importing.values import SourceReading, Unmapped, refuse_duplicates
from whence_common.repositories import compare

SOURCE, TECHDOCS = "backstage.io/source-location", "backstage.io/techdocs-ref"
MANAGED_BY = "backstage.io/managed-by-location"
GITHUB, GITLAB, GITLAB_HOST = "github.com/project-slug", "gitlab.com/project-slug", "gitlab.com/instance"
JIRA = "jira/project-key"
LINKS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "documentation_url": (frozenset({"documentation", "docs", "runbook"}), frozenset({"docs"})),
    "service_url": (frozenset({"service", "website", "homepage"}), frozenset({"web"})),
    "support_url": (frozenset({"support", "help"}), frozenset({"help"})),
}
"""The titles and icons of links, in lower case, that fill a field; the first link that fits does."""
LEFT_OUT_KINDS_MAX = 200
_MAPPED_KEYS = frozenset(
    {
        "metadata.name", "metadata.namespace", "metadata.title", "metadata.description", "metadata.links",
        "metadata.labels", "metadata.annotations", "spec.owner",
    }
)  # fmt: skip
_MAPPED_ANNOTATIONS = frozenset({SOURCE, MANAGED_BY, GITHUB, GITLAB, GITLAB_HOST})
_SLUG = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+\Z")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?\Z")
_JIRA_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,30}\Z")
_TIER = re.compile(r"(?:tier[- ]?)?([1-4])\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogOptions:
    """How a catalog is mapped. `namespaces` empty means all."""

    jira_url: str = ""
    tier_key: str = "tier"
    namespaces: frozenset[str] = frozenset()


def map_catalog(entities: Sequence[CatalogEntity], options: CatalogOptions, reading: SourceReading) -> None:
    """Add a catalog's applications and teams, and what could not be mapped, to a reading."""
    chosen: dict[str, list[CatalogEntity]] = defaultdict(list)
    for entity in entities:
        if options.namespaces and entity.namespace not in options.namespaces:
            reading.skipped[f"{entity.kind} in namespace {entity.namespace}"] += 1
            if entity.kind == "Component":
                reading.filtered.add(entity.reference.name)
        else:
            chosen[entity.kind].append(entity)
    components = _without_collisions(chosen["Component"], reading)
    owners = {
        id(one): parse_reference(one.texts["spec.owner"], kind="group", namespace=one.namespace) for one in components
    }
    teams = catalog_teams(chosen["Group"], [one for one in owners.values() if one is not None])
    for component in components:
        _Mapping(component, owners[id(component)], teams, options, reading).add()
    refuse_duplicates(reading)
    reading.teams += team_members(teams, chosen["User"])
    reading.unmapped += teams.unmapped
    reading.notes += teams.notes


def _without_collisions(components: Sequence[CatalogEntity], reading: SourceReading) -> list[CatalogEntity]:
    """Refuse Components that differ in their namespace only: an application's id has none."""
    namespaces = defaultdict(set)
    for one in components:
        namespaces[one.reference.name].add(one.namespace)
    kept = []
    for one in components:
        used = sorted(namespaces[one.reference.name])
        if len(used) == 1:
            kept.append(one)
            continue
        reason = f"component {one.name} is in several namespaces ({', '.join(used)}), and an application's id has none"
        fix = "rename one, or import one namespace: --namespace"
        reading.unmapped.append(
            Unmapped(
                origin=one.at("metadata.name"), code="import-namespaces", reason=reason, fix=fix,
                application_id=one.reference.name,
            )
        )  # fmt: skip
    return kept


class _Mapping:
    """The mapping of one Component."""

    def __init__(
        self,
        component: CatalogEntity,
        owner: EntityReference | None,
        teams: CatalogTeams,
        options: CatalogOptions,
        reading: SourceReading,
    ) -> None:
        self._component = component
        self._owner = owner
        self._teams = teams
        self._options = options
        self._reading = reading
        self._used = set(_MAPPED_ANNOTATIONS)

    def add(self) -> None:
        """Add the application, or what is wrong with the Component: all of it."""
        one = self._component
        wrong = self._wrong_owner()
        if wrong is not None:
            self._reading.unmapped.append(self._unmapped("spec.owner", *wrong))
        group = self._teams.groups.get(self._owner.key) if self._owner is not None else None
        tracker_type, tracker_url = self._tracker()
        record = {
            "id": one.reference.name,
            "name": one.texts["metadata.title"] or one.name,
            "team_id": self._owner.name if self._owner is not None else "-",
            "description": one.texts["metadata.description"] or None,
            "scm_url": self._repository(),
            "documentation_url": self._documentation(),
            "service_url": self._link("service_url"),
            "support_url": self._link("support_url"),
            "specification_type": tracker_type,
            "specification_url": tracker_url,
            "incident_contact": (group.texts.get("spec.profile.email") or None) if group is not None else None,
            "criticality_level": self._tier(),
        }
        lines = {name: one.at(path).line for name, path in _PLACES.items()}
        found, problems = application_of(record, one.origin, lines)
        self._reading.unmapped += [replace(problem, application_id=one.reference.name) for problem in problems]
        if found is not None and wrong is None:
            self._reading.applications.append(found)
            self._count_left_out()

    def _wrong_owner(self) -> tuple[str, str] | None:
        owner = self._owner
        if owner is None:
            return "spec.owner does not refer to a Group", "write [group:][namespace/]name"
        if owner.kind != "group":
            return f"the owner is a {owner.kind}, and only a team can own an application", "name a Group as owner"
        if owner.name in self._teams.shared:
            used = ", ".join(self._teams.shared[owner.name])
            reason = f"the owner's name {owner.name} is in several namespaces ({used}), and a team's id has none"
            return reason, "rename one of the groups, or import one namespace: --namespace"
        return None

    def _repository(self) -> str | None:
        """Return the first repository that is named; the place of the catalog file itself is the last resort."""
        found = list(self._repositories())
        if any(compare(found[0], other) == "other" for other in found[1:]):
            reason = "another repository is named too, and only the first is imported"
            self._note("metadata.annotations", reason, "add it in Whence: an application can have several")
        found += [*self._located(MANAGED_BY), *filter(None, [self._component.repository])]
        return found[0] if found else None

    def _repositories(self) -> Iterator[str]:
        annotations = self._component.annotations
        yield from self._located(SOURCE)
        host = annotations.get(GITLAB_HOST, "gitlab.com").lower()
        for key, at in ((GITHUB, "github.com"), (GITLAB, host)):
            slug = annotations.get(key)
            if slug is None:
                continue
            if not _SLUG.match(slug) or not _HOST.match(at) or ".." in slug:
                self._note(f"metadata.annotations.{key}", f"{key} does not name a repository", "write owner/repository")
            else:
                yield f"https://{at}/{slug}"

    def _located(self, key: str) -> Iterator[str]:
        kind, _, target = self._component.annotations.get(key, "").partition(":")
        if kind == "url" and target:
            yield target
        elif kind:
            self._reading.left_out[f"annotation {key} without url:"] += 1

    def _documentation(self) -> str | None:
        kind, _, target = self._component.annotations.get(TECHDOCS, "").partition(":")
        if kind == "url" and target:
            self._used.add(TECHDOCS)
            return target
        return self._link("documentation_url")

    def _link(self, name: str) -> str | None:
        titles, icons = LINKS[name]
        for by_icon in (False, True):
            for link in self._component.links:
                if (link.icon.lower() in icons) if by_icon else (link.title.strip().lower() in titles):
                    return link.url
        return None

    def _tracker(self) -> tuple[str | None, str | None]:
        key = self._component.annotations.get(JIRA)
        if key is None:
            return None, None
        if not _JIRA_KEY.match(key):
            self._note(f"metadata.annotations.{JIRA}", f"{JIRA} is not a project's key", "write a key, as in PAY")
        elif self._options.jira_url:
            self._used.add(JIRA)
            return "JIRA", f"{self._options.jira_url.rstrip('/')}/browse/{key}"
        return None, None

    def _tier(self) -> int | None:
        key, one = self._options.tier_key, self._component
        stated = one.labels.get(key, one.annotations.get(key))
        if stated is None:
            return None
        self._used.add(key)
        match = _TIER.match(stated)
        if match is None:
            path = f"metadata.{'labels' if key in one.labels else 'annotations'}.{key}"
            self._note(path, f"{key} is not a tier from 1 to 4", 'write a tier from 1 to 4, as in "2"')
            return None
        return int(match[1])

    def _count_left_out(self) -> None:
        one = self._component
        keys = [key for key in one.keys if key not in _MAPPED_KEYS]
        keys += [f"annotation {key}" for key in one.annotations if key not in self._used]
        keys += [f"label {key}" for key in one.labels if key not in self._used]
        counted = self._reading.left_out
        for key in keys:
            known = key in counted or len(counted) < LEFT_OUT_KINDS_MAX
            counted[key if known else "other keys"] += 1

    def _unmapped(self, path: str, reason: str, fix: str) -> Unmapped:
        name = self._component.reference.name
        return Unmapped(
            origin=self._component.at(path), code="import-owner", reason=reason, fix=fix, application_id=name
        )

    def _note(self, path: str, reason: str, fix: str) -> None:
        name = self._component.reference.name
        self._reading.notes.append(
            Unmapped(
                origin=self._component.at(path), code="import-left-out", reason=reason, fix=fix, application_id=name
            )
        )


_PLACES = {
    "id": "metadata.name", "name": "metadata.title", "team_id": "spec.owner", "description": "metadata.description",
    "scm_url": "metadata.annotations", "documentation_url": "metadata.links", "service_url": "metadata.links",
    "support_url": "metadata.links", "incident_contact": "spec.owner",
}  # fmt: skip
"""The key of a Component that each field comes from."""
