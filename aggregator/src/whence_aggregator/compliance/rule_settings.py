"""The settings of `rules`: what an organisation allows. A rule without its setting is not in force."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from whence_common.errors import one_line
from whence_common.identifiers import ACCOUNT_ID, REGION
from whence_common.image_reference import is_host
from whence_common.installed_packages import PACKAGES_MAX

NAMES_MAX = 200
NAME_CHARACTERS_MAX = 200
DAYS_MAX = 3_650
CREDENTIAL_TIMES_MAX = 10_000
"""The largest of the times of credentials, whatever their unit."""
LEVEL_MAX = 3
"""The highest SLSA build level."""
_OWNER_WORDS = ("amazon", "aws-marketplace")
_PATTERN = re.compile(r"[A-Za-z0-9_.~/*?-]{1,200}\Z")


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is allowed; None: not configured, so that the rules about it are not in force."""

    ami_owners: tuple[str, ...] | None = None
    """Accounts, or the owner alias `amazon`, whose AMIs are trusted."""
    ami_name_prefixes: tuple[str, ...] | None = None
    """Beginnings of the names of trusted AMIs."""
    ami_days_max: int | None = None
    """The age at which an AMI counts as expired, beside its own tag and deprecation time."""
    ami_builders: tuple[str, ...] | None = None
    """Ids of the builders of which each AMI needs a statement."""
    ami_packages_differing_max: int | None = None
    """How many Debian packages may differ on a machine from its image."""
    instance_days_max: int | None = None
    """How long an instance may run after its last launch."""
    image_days_max: int | None = None
    """How old an image may be."""
    evidence_days_max: int | None = None
    """How old what a source answered may be, where the answer may change."""
    user_credential_hours_max: int | None = None
    """How old the current password of an application's service user may be."""
    client_credential_days_max: int | None = None
    """How old the current secret of an application's client may be."""
    credential_lag_minutes_max: int | None = None
    """How long an instance may hold an earlier generation of a credential than the current one."""
    credential_unread_hours_max: int | None = None
    """How long a current generation may be without an instance that has read it."""
    regions: tuple[str, ...] | None = None
    registries: tuple[str, ...] | None = None
    """Hosts, with the beginning of the path if only that is trusted."""
    signers: tuple[str, ...] | None = None
    """Ids of the keys that may sign images."""
    builders: tuple[str, ...] | None = None
    """Ids of the builders that may build."""
    builder_levels: dict[str, int] | None = None
    """By builder: the SLSA build level of what it builds."""
    slsa_levels: dict[str, int] | None = None
    """By `criticality_level` of the application, `1` to `4`: the SLSA build level that it needs."""
    scm_owners: dict[str, tuple[str, ...]] | None = None
    """By Git server: patterns of the owners, `*` for anything."""
    contact_levels: tuple[int, ...] = (1, 2)
    """Values of `criticality_level` that need an incident contact."""


NO_RULE_SETTINGS = RuleSettings()
_NUMBERS = (
    (("ami_days_max", "instance_days_max", "image_days_max", "evidence_days_max"), 1, DAYS_MAX),
    (("user_credential_hours_max", "client_credential_days_max", "credential_lag_minutes_max",
      "credential_unread_hours_max"), 1, CREDENTIAL_TIMES_MAX),
    (("ami_packages_differing_max",), 0, PACKAGES_MAX),
)  # fmt: skip
"""Settings, with the least and the most that each may be."""


def wrong_in_rules(found: RuleSettings) -> list[str]:
    """Return what is wrong, each with its place."""
    wrong = _wrong_in_lists(found)
    for names, least, most in _NUMBERS:
        for name in names:
            number = getattr(found, name)
            if number is not None and not least <= number <= most:
                wrong.append(f"rules.{name} must be from {least} to {most}")
    wrong += _wrong_in_levels("builder_levels", found.builder_levels)
    wrong += _wrong_in_levels("slsa_levels", found.slsa_levels)
    if found.slsa_levels is not None:
        wrong += [
            f"rules.slsa_levels: {_named(one)} is not a criticality level from 1 to 4"
            for one in found.slsa_levels
            if one not in ("1", "2", "3", "4")
        ]
        if found.builder_levels is None:
            wrong.append("rules.slsa_levels needs builder_levels: no builder's level is known without it")
    for host, owners in (found.scm_owners or {}).items():
        if not is_host(host) or host != host.lower():
            wrong.append(f"rules.scm_owners: {_named(host)} is not a host in lower case")
        if not owners or not all(_PATTERN.match(one) for one in owners):
            wrong.append(f"rules.scm_owners.{one_line(host, 60)} must name owners: letters, digits and * ? . _ - / ~")
    if found.scm_owners is not None and not found.scm_owners:
        wrong.append("rules.scm_owners must name a Git server: with none, every source would be refused")
    if any(not 1 <= one <= 4 for one in found.contact_levels):
        wrong.append("rules.contact_levels must be numbers from 1 to 4")
    return wrong


def _wrong_in_lists(found: RuleSettings) -> list[str]:
    wrong = []
    for name in ("ami_owners", "ami_name_prefixes", "ami_builders", "regions", "registries", "signers", "builders"):
        names = getattr(found, name)
        if names is None:
            continue
        if not names or len(names) > NAMES_MAX or not all(0 < len(one) <= NAME_CHARACTERS_MAX for one in names):
            wrong.append(f"rules.{name} must have 1 to {NAMES_MAX} names of 1 to {NAME_CHARACTERS_MAX} characters")
    wrong += [
        f"rules.ami_owners: {_named(one)} is neither an account id (12 digits, in quotes) nor {_OWNER_WORDS[0]}"
        for one in found.ami_owners or ()
        if not ACCOUNT_ID.match(one) and one not in _OWNER_WORDS
    ]
    wrong += [f"rules.regions: {_named(one)} is not a region" for one in found.regions or () if not REGION.match(one)]
    return wrong


def _wrong_in_levels(name: str, levels: Mapping[str, int] | None) -> list[str]:
    if levels is None:
        return []
    wrong = [
        f"rules.{name}.{one_line(one, 60)} must be a level from 0 to {LEVEL_MAX}"
        for one, level in levels.items()
        if not 0 <= level <= LEVEL_MAX
    ]
    return wrong if levels else [f"rules.{name} must not be empty"]


def _named(text: str) -> str:
    return repr(one_line(text, 60))
