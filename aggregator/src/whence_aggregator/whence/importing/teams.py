"""Backstage's Groups and Users as teams with their direct members. Pure; an operator reviews the result.

NOTE: a team's members may write its applications, so an entity that could be meant in two ways is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from whence_aggregator.whence.importing.entities import CatalogEntity
from whence_aggregator.whence.importing.references import EntityReference, parse_reference
from whence_aggregator.whence.importing.values import StatedMembers, Unmapped

_Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class CatalogTeams:
    """The groups of a catalog by namespace and name, and the names that more than one namespace has."""

    groups: Mapping[_Key, CatalogEntity]
    shared: Mapping[str, tuple[str, ...]]
    """Names of groups, with the namespaces that use them, if there is more than one."""
    unmapped: list[Unmapped] = field(default_factory=list)
    notes: list[Unmapped] = field(default_factory=list)


def catalog_teams(groups: Sequence[CatalogEntity], owners: Iterable[EntityReference]) -> CatalogTeams:
    """Return the groups, and whose names two namespaces share; references count too: their targets may not exist."""
    found, wrong = once(groups)
    namespaces = defaultdict(set)
    for namespace, name in [*found, *(one.key for one in owners if one.kind == "group")]:
        namespaces[name].add(namespace)
    shared = {name: tuple(sorted(used)) for name, used in namespaces.items() if len(used) > 1}
    return CatalogTeams(groups=found, shared=shared, unmapped=wrong)


def team_members(teams: CatalogTeams, users: Sequence[CatalogEntity]) -> list[StatedMembers]:
    """Return the teams with their members, sorted by id; what is left out is added to `teams.unmapped` and `.notes`."""
    known, wrong = once(users)
    teams.unmapped += wrong
    members: dict[_Key, set[EntityReference]] = {key: set() for key in teams.groups}
    for user in known.values():
        for group in _references(teams, user, "spec.memberOf", kind="group"):
            if group.key in members:
                members[group.key].add(user.reference)
            else:
                _note(
                    teams, user, "spec.memberOf", f"{group} is not in this catalog", "import the file that defines it"
                )
    for key, group_entity in teams.groups.items():
        for named in _references(teams, group_entity, "spec.members", kind="user"):
            user_entity = known.get(named.key)
            members[key].add(user_entity.reference if user_entity is not None else named)
    return sorted(_stated(teams, members, known), key=lambda one: one.team_id)


def _stated(
    teams: CatalogTeams, members: Mapping[_Key, set[EntityReference]], known: Mapping[_Key, CatalogEntity]
) -> Iterable[StatedMembers]:
    namespaces = defaultdict(set)
    for one in {*(user.reference for user in known.values()), *(one for some in members.values() for one in some)}:
        namespaces[one.name].add(one.namespace)
    ambiguous = {name for name, used in namespaces.items() if len(used) > 1}
    for user in known.values():
        if user.reference.name in ambiguous:
            used = ", ".join(sorted(namespaces[user.reference.name]))
            reason = f"user {user.reference.name} is in several namespaces ({used}), so it is a member of no team"
            _add(teams, user, "metadata.name", reason, "rename one, or import one namespace: --namespace")
    for key, group in teams.groups.items():
        team_id = group.reference.name
        if team_id in teams.shared:
            used = ", ".join(teams.shared[team_id])
            reason = f"group {team_id} is in several namespaces ({used}), and a team's id has none"
            _add(teams, group, "metadata.name", reason, "rename one, or import one namespace: --namespace")
        elif ".." in team_id:
            _add(teams, group, "metadata.name", f"{team_id!r} cannot be a team's id: it has '..'", "rename it")
        else:
            shown = group.texts.get("spec.profile.displayName") or group.texts["metadata.title"] or group.name
            uids = sorted({one.written for one in members[key] if one.name not in ambiguous})
            yield StatedMembers(team_id=team_id, name=shown, members=tuple(uids))


def _references(teams: CatalogTeams, entity: CatalogEntity, path: str, *, kind: str) -> Iterable[EntityReference]:
    for text in entity.lists[path]:
        found = parse_reference(text, kind=kind, namespace=entity.namespace)
        if found is None or found.kind != kind:
            _note(teams, entity, path, f"an entry does not refer to a {kind}", f"write [{kind}:][namespace/]name")
        else:
            yield found


def once(entities: Iterable[CatalogEntity]) -> tuple[dict[_Key, CatalogEntity], list[Unmapped]]:
    """Return entities by namespace and name; those whose reference another has too, ignoring case, are refused."""
    places: dict[_Key, list[CatalogEntity]] = {}
    for one in entities:
        places.setdefault(one.reference.key, []).append(one)
    wrong = []
    for some in places.values():
        for one in some if len(some) > 1 else ():
            others = ", ".join(str(other.origin) for other in some if other is not one)
            reason = f"{one.reference} is stated more than once: also in {others}"
            wrong.append(Unmapped(origin=one.origin, code="import-duplicate", reason=reason, fix="keep one of them"))
    return {key: some[0] for key, some in places.items() if len(some) == 1}, wrong


def _add(teams: CatalogTeams, entity: CatalogEntity, path: str, reason: str, fix: str) -> None:
    teams.unmapped.append(Unmapped(origin=entity.at(path), code="import-team", reason=reason, fix=fix))


def _note(teams: CatalogTeams, entity: CatalogEntity, path: str, reason: str, fix: str) -> None:
    teams.notes.append(Unmapped(origin=entity.at(path), code="import-team", reason=f"{path}: {reason}", fix=fix))
