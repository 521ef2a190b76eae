"""Wiring of the rules: which are in force, by the settings."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import msgspec

from whence_aggregator.adapters.own_rule_files import load_own_rules
from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.collect.account_drifts import KnownDrifts
from whence_aggregator.compliance.covered import CoveredAccounts
from whence_aggregator.compliance.evaluate import Evaluator
from whence_aggregator.compliance.judging import JudgesElsewhere
from whence_aggregator.compliance.own.examples import judge_examples
from whence_aggregator.compliance.own.recorded import NOTHING_RECORDED, RecordedRules
from whence_aggregator.compliance.own.recording import record_rules
from whence_aggregator.compliance.own.reloading import RuleReloading, WantedRules
from whence_aggregator.compliance.own.rule_file import PREFIX
from whence_aggregator.compliance.own.rules import NO_OWN_RULES, JudgesByOwnRules, OwnRule
from whence_aggregator.compliance.recording import Recording
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rules.catalogue import NoRules, RulesInForce
from whence_aggregator.compliance.subjects import OrganisationAccounts, SubjectEvaluator
from whence_aggregator.findings.images import ScannedImages
from whence_aggregator.http.metrics import Source
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.settings.reload import Prepare
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import reads_reviews
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_aggregator.wiring.cloud_trail import load_coverage
from whence_aggregator.wiring.findings import load_scanners
from whence_common.clock import Now, utc_now
from whence_common.open_metrics import Family, Sample, gauge
from whence_common.settings_file import SettingsInvalid


def own_rules(settings: Settings) -> tuple[OwnRule, ...]:
    """Return the rules that users wrote. Raises SettingsInvalid with every error in them, and OSError."""
    own = load_own_rules(settings.own_rules_directory) if settings.own_rules_directory is not None else ()
    known = {one.id for one in own}
    for name in settings.rules_off:
        if name.startswith(PREFIX) and name not in known:
            message = f"rules_off.{name}: there is no such rule in own_rules_directory"
            raise SettingsInvalid("rules-off-unknown", message, fix="correct the id; a removed rule judges nothing")
    try:
        rules_in_force(settings, RecordedRules(own=own))
    except NoRules as exc:
        raise SettingsInvalid("rules-none", f"rules_off: {exc}", fix="leave some rules in force") from exc
    return own


async def checked_rules(settings: Settings, engine: JudgesByOwnRules) -> tuple[OwnRule, ...]:
    """Return the rules that users wrote, after their examples. Raises SettingsInvalid and OSError."""
    own = own_rules(settings)
    wrong = [one for one in await judge_examples(engine, own) if not one.right]
    if wrong:
        message = "own_rules_directory: " + "; ".join(map(str, wrong[:10]))
        raise SettingsInvalid("own-rules-examples", message, fix="correct the rule or the example")
    return own


async def open_rules(
    settings: Settings, database: Database, ledger: Ledger, engine: JudgesByOwnRules, *, now: Now
) -> RulesInForce:
    """Return the rules that judge, after recording what changed since the last start. Raises as checked_rules does."""
    own = await checked_rules(settings, engine)
    recorded = await record_rules(database, ledger, own, settings.rules_off, at=now())
    return rules_in_force(settings, recorded, engine)


def load_rule_reload(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    engine: JudgesByOwnRules,
    *,
    replace: Callable[[RulesInForce], None],
    count: Callable[[str], None],
    now: Now,
) -> tuple[RuleReloading, Prepare[Settings]]:
    """Return what takes changed rules, and what reads them again at a reload: the other settings need a restart."""

    def in_force(recorded: RecordedRules, off: Mapping[str, str]) -> RulesInForce:
        return rules_in_force(msgspec.structs.replace(settings, rules_off=dict(off)), recorded, engine)

    reloading = RuleReloading(
        database=database, ledger=ledger, engine=engine, in_force=in_force, replace=replace, count=count, now=now
    )

    def prepare(read: Settings) -> Callable[[], None]:
        wanted = msgspec.structs.replace(
            settings, own_rules_directory=read.own_rules_directory, rules_off=read.rules_off
        )
        own = own_rules(wanted)
        return lambda: reloading.want(WantedRules(own=own, off=wanted.rules_off))

    return reloading, prepare


def own_rule_families(engine: RuleProcess) -> Source:
    """Return metrics of rules that could not be evaluated, by rule and cause."""

    def families() -> Sequence[Family]:
        counted = [Sample(n, {"rule": rule, "cause": cause}) for (rule, cause), n in sorted(engine.counted.items())]
        failing = gauge("whence_own_rules_failing", "Rules of your own that could not be evaluated last.",
                        len(engine.failing))  # fmt: skip
        help_ = "Evaluations of rules of your own that ended the process, took too long, or were suspended for that."
        return (Family(name="whence_own_rule_failures", kind="counter", help=help_, samples=counted), failing)

    return families


def rules_in_force(
    settings: Settings, recorded: RecordedRules = NOTHING_RECORDED, engine: JudgesByOwnRules = NO_OWN_RULES
) -> RulesInForce:
    """Return the rules that judge. A rule whose source or setting is not configured is not in force."""
    organisation = settings.organisation
    configured: dict[ConfiguredSource, bool] = {
        "inventory": settings.inventory is not None,
        "organisation": organisation is not None
        and any(one is not None for one in (organisation.file, organisation.aws, organisation.team_service)),
        "reviews": any(reads_reviews(one) for one in settings.trackers.values()),
        "tickets": any(one.tickets for one in settings.trackers.values()),
        "approvals": settings.approvals is not None,
        "trust": bool(settings.trust),
        "commit-trust": bool(settings.commit_trust),
        "ami-trust": bool(settings.ami_builders),
        "findings": bool(settings.findings.scanners),
        "account-configuration": settings.account_configuration is not None,
        "mint": settings.mint is not None,
    }
    sources = [source for source, there in configured.items() if there]
    return RulesInForce.of(settings.rules, sources, off=settings.rules_off, recorded=recorded, engine=engine)


def covered_accounts(settings: Settings, database: Database, allowed: Container[str]) -> CoveredAccounts | None:
    """Return what compares the organisation's accounts with those that are read, and with their configuration.

    None without an organisation and without a configuration of accounts.
    """
    if settings.organisation is None and settings.account_configuration is None:
        return None
    return CoveredAccounts(
        database=database,
        directory=OrganisationDirectory(database),
        allowed=allowed,
        lists=settings.inventory is not None,
        events=load_coverage(settings, database) if settings.cloud_trail is not None else None,
        drifts=KnownDrifts(database=database, now=utc_now) if settings.account_configuration is not None else None,
    )


def scanned_images(settings: Settings, database: Database) -> ScannedImages | None:
    """Return what reads scanners' findings about images; None where the settings name no scanner."""
    if not settings.findings.scanners:
        return None
    return ScannedImages(database=database, scanners=load_scanners(settings))


def load_evaluator(
    database: Database,
    ledger: Ledger,
    tracer: Tracer,
    listening: Listening,
    rules: RulesInForce,
    *,
    now: Now,
    trackers: KnownTrackers = NO_TRACKERS,
    accounts: OrganisationAccounts | None = None,
    images: ScannedImages | None = None,
    elsewhere: JudgesElsewhere | None = None,
) -> Evaluator:
    """Return what judges instances and other subjects by the rules in force; `elsewhere` judges backlogs."""
    scanners = images.scanners if images is not None else None
    recording = Recording(ledger=ledger, rules=rules, trackers=trackers, scanners=scanners)
    subjects = SubjectEvaluator(
        database=database, ledger=ledger, tracer=tracer, now=now, listening=listening, rules=rules,
        recording=recording, accounts=accounts, images=images,
    )  # fmt: skip
    return Evaluator(
        database=database, ledger=ledger, tracer=tracer, now=now, listening=listening, rules=rules,
        subjects=subjects, recording=recording, elsewhere=elsewhere,
    )  # fmt: skip
