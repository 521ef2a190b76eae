"""Wiring of pull tokens for instances: enrolment through the front, and the tokens themselves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from whence_aggregator.agents.challenges import Challenges
from whence_aggregator.agents.enrolment import Enrolments
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.http.front_agents import FrontAgentCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database
from whence_aggregator.registry.access import Access
from whence_aggregator.registry.account_owners import StatedOwners
from whence_aggregator.registry.identity_documents import IdentityDocuments
from whence_aggregator.registry.instances import Instances
from whence_aggregator.registry.pull_rule import EveryTeam, OwnTeams, PullRule
from whence_aggregator.registry.pull_tokens import PullTokenIssuer
from whence_aggregator.settings.front import RegistryFrontSettings
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.organisation import load_directory
from whence_common.clock import utc_now
from whence_common.identity_document import Authorities
from whence_common.pull_proof import registry_audience

_TOKENS_PER_INSTANCE = Rate(per_second=1.0, burst=100.0)
"""A boot requests one for each of its images, and one for each retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulling:
    """The known instances, and how they prove their identity."""

    settings: Settings
    registry: RegistryFrontSettings
    secret: bytes
    authorities: Authorities
    instances: Instances
    rule: PullRule

    def documents(self) -> IdentityDocuments | None:
        if not self.registry.identity_documents:
            return None
        return IdentityDocuments(
            authorities=self.authorities,
            accounts=self.instances.accounts,
            seconds_max=self.registry.identity_document_seconds_max,
            now=utc_now,
        )

    def routes(
        self,
        database: Database,
        ledger: Ledger,
        access: Access,
        limits: LiveLimits,
        session: aiohttp.ClientSession,
    ) -> list[web.RouteDef]:
        """Return the routes of agents. Their audience is the registry's: a proof for it is valid nowhere else."""
        settings, audience = self.settings, registry_audience(self.registry.name)
        caller_identity = parts.load_sts(settings, self.authorities, session)
        challenges = Challenges(
            database=database, secret=self.secret, audience=audience, now=utc_now, random_bytes=secrets.token_bytes
        )
        enrolments = Enrolments(
            database=database,
            ledger=ledger,
            challenges=challenges,
            authorities=self.authorities,
            accounts=self.instances.accounts,
            audience=audience,
            heartbeat_secret=self.secret,
            caller_identity=caller_identity,
            sts_required=settings.sts == "required",
            document_seconds_max=settings.document_seconds_max,
            limits=limits.of_enrolments(),
            now=utc_now,
        )
        pull_tokens = PullTokenIssuer(
            challenges=challenges,
            instances=self.instances,
            access=access,
            caller_identity=caller_identity,
            audience=audience,
            unlisted_seconds_max=self.registry.unlisted_seconds_max,
            limit=Limit("instance", _TOKENS_PER_INSTANCE),
            now=utc_now,
        )
        asked = limits.of_challenges()
        return FrontAgentCalls(enrolments=enrolments, pull_tokens=pull_tokens, challenges=asked).routes()


def load_pulling(
    settings: Settings, registry: RegistryFrontSettings, secret: bytes, database: Database, allowed: AllowedAccounts
) -> Pulling:
    """Build what the front needs to know instances. Raises SettingsInvalid."""
    return Pulling(
        settings=settings,
        registry=registry,
        secret=secret,
        authorities=settings_files.load_authorities(settings.authorities_directory),
        instances=Instances(database=database, accounts=allowed, now=utc_now),
        rule=_load_rule(settings, registry, database),
    )


def _load_rule(settings: Settings, registry: RegistryFrontSettings, database: Database) -> PullRule:
    if registry.pulls == "any":
        return EveryTeam()
    return OwnTeams(
        owners=StatedOwners(load_directory(settings, database)),
        shared=frozenset(registry.shared_teams),
        seconds_max=registry.owners_seconds_max,
        now=utc_now,
    )
