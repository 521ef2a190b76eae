"""The pages of the console, by their addresses below /console."""

from __future__ import annotations

from whence_aggregator.console.account import show_account, show_accounts
from whence_aggregator.console.acknowledge_page import PATH, send_acknowledge, show_acknowledge
from whence_aggregator.console.ami import show_ami
from whence_aggregator.console.application import show_application
from whence_aggregator.console.applications import show_applications
from whence_aggregator.console.deployments import show_changes
from whence_aggregator.console.difference import show_diff
from whence_aggregator.console.entry_files import save_receipt, save_statement
from whence_aggregator.console.entry_page import save_entry, show_entry
from whence_aggregator.console.evidence_page import save_bundle, save_checkpoint, save_keys, show_evidence
from whence_aggregator.console.exemptions_page import send_exemptions, show_exemptions
from whence_aggregator.console.instance import show_instance
from whence_aggregator.console.instances import show_instances
from whence_aggregator.console.me import show_me
from whence_aggregator.console.overview import show_overview
from whence_aggregator.console.page import PageAddress, PageAddresses
from whence_aggregator.console.person import show_person
from whence_aggregator.console.report_pages import send_reports, show_report, show_reports
from whence_aggregator.console.rule_pages import show_rule, show_rules
from whence_aggregator.console.search import search
from whence_aggregator.console.team import show_team
from whence_aggregator.console.traced_subject import show_commit, show_image, show_ticket
from whence_aggregator.console.version import show_version
from whence_aggregator.console.violation_list import save_violations, show_violations
from whence_aggregator.console.violation_page import send_violation, show_violation

PLACES: PageAddresses = (
    PageAddress(path="/", show=show_overview),
    PageAddress(path="/instances", show=show_instances),
    PageAddress(path="/applications", show=show_applications),
    PageAddress(path="/applications/{id}", show=show_application),
    PageAddress(path="/applications/{id}/versions/{version}", show=show_version),
    PageAddress(path="/images/{digest}", show=show_image),
    PageAddress(path="/commits/{commit}", show=show_commit),
    PageAddress(path="/tickets/{ticket:.+}", show=show_ticket),
    PageAddress(path="/changes", show=show_changes),
    PageAddress(path="/diff", show=show_diff),
    PageAddress(path="/instances/{id}", show=show_instance),
    PageAddress(path="/statements/{digest}", show=save_statement),
    PageAddress(path="/receipts/{name}", show=save_receipt),
    PageAddress(path="/violations", show=show_violations),
    PageAddress(path="/violations.csv", show=save_violations),
    PageAddress(path="/violations/{id}", show=show_violation, send=send_violation),
    PageAddress(path=PATH, show=show_acknowledge, send=send_acknowledge),
    PageAddress(path="/exemptions", show=show_exemptions, send=send_exemptions),
    PageAddress(path="/rules", show=show_rules),
    PageAddress(path="/rules/{id}", show=show_rule),
    PageAddress(path="/reports", show=show_reports, send=send_reports),
    PageAddress(path="/reports/{digest}", show=show_report),
    PageAddress(path="/evidence", show=show_evidence),
    PageAddress(path="/evidence/{index}", show=show_entry),
    PageAddress(path="/files/bundle", show=save_bundle),
    PageAddress(path="/files/checkpoint", show=save_checkpoint),
    PageAddress(path="/files/keys", show=save_keys),
    PageAddress(path="/files/entries/{index}", show=save_entry),
    PageAddress(path="/search", show=search),
    PageAddress(path="/teams/{id}", show=show_team),
    PageAddress(path="/accounts", show=show_accounts),
    PageAddress(path="/accounts/{id}", show=show_account),
    PageAddress(path="/amis/{id}", show=show_ami),
    PageAddress(path="/people/{uid}", show=show_person),
    PageAddress(path="/me", show=show_me),
)
