"""The rules about applications, versions and accounts, and about checks that could not run."""

from __future__ import annotations

from whence_aggregator.compliance.rule import Rule, given
from whence_aggregator.compliance.rules.account import account_not_owners, account_uncovered
from whence_aggregator.compliance.rules.app import app_without_owner
from whence_aggregator.compliance.rules.application import application_inactive, application_unregistered
from whence_aggregator.compliance.rules.check import check_could_not_run
from whence_aggregator.compliance.rules.evidence import evidence_stale
from whence_aggregator.compliance.rules.no import no_incident_contact
from whence_aggregator.compliance.rules.spec import spec_url_missing
from whence_aggregator.compliance.rules.version import version_not_approved

_NOW = "2026-11-22T12:00:00.000Z"
_STATED = {"state": "confirmed"}

OWNER_RULES: tuple[Rule, ...] = (
    Rule(id="application-unregistered", title="The application is in the application registry", severity=2,
         link="application", audit_relevant=True,
         rationale="Nobody answers for an application that is not registered.",
         remedy="register it: PUT /apps/{application_id}", judge=application_unregistered,
         examples=(given("pass", links={"application": _STATED}),
                   given("fail", links={"application": {"state": "missing", "reason": "greeter is not registered"}}),
                   given("unknown"))),
    Rule(id="application-inactive", title="The application is active in the application registry", severity=2,
         link="application",
         rationale="An application that was given up gets no corrections any more.",
         remedy="stop its instances, or set it to active: PUT /apps/{application_id}", judge=application_inactive,
         examples=(given("pass", application={"active": True}),
                   given("fail", application={"active": False}),
                   given("unknown", application={"registered": False}))),
    Rule(id="app-without-owner", title="A team that exists owns the application", severity=2, kind="application",
         link="team", audit_relevant=True,
         rationale="Nobody corrects what nobody owns.",
         remedy="hand the application over to a team", judge=app_without_owner,
         examples=(given("pass", application={"team_id": "hello"}, links={"team": _STATED}),
                   given("fail", application={"team_id": ""}, links={"team": _STATED}),
                   given("unknown", application={"registered": False}))),
    Rule(id="no-incident-contact", title="A critical application has an incident contact", severity=3,
         kind="application", link="application",
         rationale="In an incident nobody should have to search for the person to call.",
         remedy="set incident_contact: PUT /apps/{application_id}", judge=no_incident_contact,
         examples=(given("pass", application={"criticality_level": 1, "incident_contact": "+49 30 1"}),
                   given("fail", application={"criticality_level": 1, "incident_contact": ""}),
                   given("unknown", application={"registered": False}))),
    Rule(id="spec-url-missing", title="The application has a specification or a ticket tracker", severity=4,
         kind="application", link="specification",
         rationale="Without either, nothing states what the application should do.",
         remedy="set specification_url: PUT /apps/{application_id}", judge=spec_url_missing,
         examples=(given("pass", application={"specification_url": "https://wiki.example.org/greeter"}),
                   given("fail", application={"specification_url": ""}),
                   given("unknown", application={"registered": False}))),
    Rule(id="account-not-owners", title="The account is of the application's team", severity=3, link="account",
         source="organisation", audit_relevant=True,
         rationale="Who owns the account can change what runs in it, and pays for it.",
         remedy="run it in an account of its team, or allow the team in this account", judge=account_not_owners,
         examples=(given("pass", links={"account": _STATED, "team": _STATED}),
                   given("fail", links={"account": {"state": "contradicted", "reason": "it is of team other"},
                                        "team": _STATED}),
                   given("unknown", links={"account": {"state": "unknown", "reason": "not read yet"},
                                           "team": _STATED}))),
    Rule(id="account-uncovered", title="The instances of the account can be seen", severity=2, kind="account",
         link="account", source="organisation", audit_relevant=True,
         rationale="In an account that nobody reads, anything can run.",
         remedy="name the account in `accounts`, give it the inventory's role, and read its trail: `cloud_trail`",
         judge=account_uncovered,
         examples=(given("pass", account={"allowed": True, "listed": True, "events": "read"}),
                   given("fail", account={"allowed": False, "listed": False}),
                   given("unknown", account={"allowed": True}))),
    Rule(id="version-not-approved", title="The version that runs was approved", severity=1, kind="version",
         link="approval", source="approvals", audit_relevant=True,
         rationale="What nobody approved was brought to production by one person alone.",
         remedy="approve the version that runs: whence versions approve, or deploy an approved one",
         judge=version_not_approved,
         examples=(given("pass", machine={}, links={"approval": {"state": "asserted"}}),
                   given("fail", machine={}, links={"approval": {"state": "missing", "reason": "no approval of TEST"}}),
                   given("unknown", machine={}, links={"approval": {"state": "unknown", "reason": "who is unknown"}}))),
    Rule(id="check-could-not-run", title="The sources of the checks can be read", severity=3, kind="version",
         rationale="A check that cannot run finds nothing, and looks like one that finds no fault.",
         remedy="correct the access to the source that the reason names", judge=check_could_not_run,
         examples=(given("pass", reads=[{"source": "the registry"}]),
                   given("fail", reads=[{"source": "the registry", "outcome": "failed", "reason": "HTTP 403"}]),
                   given("unknown", reads=[{"source": "the registry", "outcome": "waiting"}]))),
    Rule(id="evidence-stale", title="What may change was read recently", severity=3, kind="version",
         setting="evidence_days_max",
         rationale="An old answer may be false by now.",
         remedy="see why the source is not read: `whence summary` shows the waiting tasks", judge=evidence_stale,
         examples=(given("pass", now=_NOW, settings={"evidence_days_max": 7},
                         reads=[{"source": "the default branch", "due_at": "2026-11-23T00:00:00.000Z"}]),
                   given("fail", now=_NOW, settings={"evidence_days_max": 7},
                         reads=[{"source": "the default branch", "due_at": "2026-11-01T00:00:00.000Z"}]),
                   given("unknown", now=_NOW, settings={"evidence_days_max": 7}, reads=[]))),
)  # fmt: skip
