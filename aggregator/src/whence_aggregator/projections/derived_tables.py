"""The tables that follow from the log: a rebuild drops and derives them, and the check derives and compares them."""

from __future__ import annotations

from whence_aggregator.ledger.kinds import Table
from whence_aggregator.queries import audit

TABLES = (
    Table(name="clock", clear=audit.CLEAR_CLOCK, dumps=(audit.DUMP_CLOCK,)),
    Table(name="facets", clear=audit.CLEAR_FACETS, dumps=(audit.DUMP_FACETS,), lossy=True),
    Table(name="facets_image", clear=audit.CLEAR_FACETS_IMAGE, dumps=(audit.DUMP_FACETS_IMAGE,), lossy=True),
    Table(name="instance", clear=audit.CLEAR_INSTANCE, dumps=(audit.DUMP_INSTANCE,)),
    Table(
        name="instance_facets",
        clear=audit.CLEAR_INSTANCE_FACETS,
        dumps=(
            audit.DUMP_INSTANCE_FIRST,
            audit.DUMP_INSTANCE_FACETS,
        ),
        lossy=True,
    ),
    Table(name="statement", clear=audit.CLEAR_STATEMENT, dumps=(audit.DUMP_STATEMENT,), lossy=True),
    Table(name="enrolment", clear=audit.CLEAR_ENROLMENT, dumps=(audit.DUMP_ENROLMENT,)),
    Table(
        name="application_revision", clear=audit.CLEAR_APPLICATION_REVISION, dumps=(audit.DUMP_APPLICATION_REVISION,)
    ),
    Table(name="team_revision", clear=audit.CLEAR_TEAM_REVISION, dumps=(audit.DUMP_TEAM_REVISION,)),
    Table(name="team_name", clear=audit.CLEAR_TEAM_NAME, dumps=(audit.DUMP_TEAM_NAME,)),
    Table(name="team_members", clear=audit.CLEAR_TEAM_MEMBERS, dumps=(audit.DUMP_TEAM_MEMBERS,)),
    Table(name="account_revision", clear=audit.CLEAR_ACCOUNT_REVISION, dumps=(audit.DUMP_ACCOUNT_REVISION,)),
    Table(name="organisation_read", clear=audit.CLEAR_ORGANISATION_READ, dumps=(audit.DUMP_ORGANISATION_READ,)),
    Table(name="removed_entry", clear=audit.CLEAR_REMOVED_ENTRY, dumps=(audit.DUMP_REMOVED_ENTRY,)),
    Table(name="application_span", clear=audit.CLEAR_APPLICATION_SPAN, dumps=(audit.DUMP_APPLICATION_SPAN,)),
    Table(name="application_word", clear=audit.CLEAR_APPLICATION_WORD, dumps=(audit.DUMP_APPLICATION_WORD,)),
    Table(
        name="application_handover", clear=audit.CLEAR_APPLICATION_HANDOVER, dumps=(audit.DUMP_APPLICATION_HANDOVER,)
    ),
    Table(name="fact", clear=audit.CLEAR_FACT, dumps=(audit.DUMP_FACT,)),
    Table(name="image_commit", clear=audit.CLEAR_IMAGE_COMMIT, dumps=(audit.DUMP_IMAGE_COMMIT,), lossy=True),
    Table(name="commit_word", clear=audit.CLEAR_COMMIT_WORD, dumps=(audit.DUMP_COMMIT_WORD,)),
    Table(name="commit_person", clear=audit.CLEAR_COMMIT_PERSON, dumps=(audit.DUMP_COMMIT_PERSON,)),
    Table(name="review_name", clear=audit.CLEAR_REVIEW_NAME, dumps=(audit.DUMP_REVIEW_NAME,)),
    Table(name="range_commit", clear=audit.CLEAR_RANGE_COMMIT, dumps=(audit.DUMP_RANGE_COMMIT,)),
    Table(name="image_layer", clear=audit.CLEAR_IMAGE_LAYER, dumps=(audit.DUMP_IMAGE_LAYER,)),
    Table(name="inventory", clear=audit.CLEAR_INVENTORY, dumps=(audit.DUMP_INVENTORY,)),
    Table(name="inventory_history", clear=audit.CLEAR_INVENTORY_HISTORY, dumps=(audit.DUMP_INVENTORY_HISTORY,)),
    Table(name="inventory_detail", clear=audit.CLEAR_INVENTORY_DETAIL, dumps=(audit.DUMP_INVENTORY_DETAIL,)),
    Table(name="life", clear=audit.CLEAR_LIFE, dumps=(audit.DUMP_LIFE,), lossy=True),
    Table(name="rule_state", clear=audit.CLEAR_RULE_STATE, dumps=(audit.DUMP_RULE_STATE,)),
    Table(name="rule_set", clear=audit.CLEAR_RULE_SET, dumps=(audit.DUMP_RULE_SET,), lossy=True),
    Table(name="verdict", clear=audit.CLEAR_VERDICT, dumps=(audit.DUMP_VERDICT,), lossy=True),
    Table(name="subject", clear=audit.CLEAR_SUBJECT, dumps=(audit.DUMP_SUBJECT,), lossy=True),
    Table(name="verdict_fold", clear=audit.CLEAR_VERDICT_FOLD, dumps=(audit.DUMP_VERDICT_FOLD,), lossy=True),
    Table(name="silence", clear=audit.CLEAR_SILENCE, dumps=(audit.DUMP_SILENCE,), lossy=True),
    Table(name="verdict_count", clear=audit.CLEAR_VERDICT_COUNT, dumps=(audit.DUMP_VERDICT_COUNT,), lossy=True),
    Table(name="verdict_total", clear=audit.CLEAR_VERDICT_TOTAL, dumps=(audit.DUMP_VERDICT_TOTAL,), lossy=True),
    Table(
        name="counted_instance", clear=audit.CLEAR_COUNTED_INSTANCE, dumps=(audit.DUMP_COUNTED_INSTANCE,), lossy=True
    ),
    Table(name="report_file", clear=audit.CLEAR_REPORT_FILE, dumps=(audit.DUMP_REPORT_FILE,)),
    Table(name="summary_day", clear=audit.CLEAR_SUMMARY_DAY, dumps=(audit.DUMP_SUMMARY_DAY,)),
    Table(name="summary_count", clear=audit.CLEAR_SUMMARY_COUNT, dumps=(audit.DUMP_SUMMARY_COUNT,)),
    Table(name="summary_total", clear=audit.CLEAR_SUMMARY_TOTAL, dumps=(audit.DUMP_SUMMARY_TOTAL,)),
    Table(name="tally", clear=audit.CLEAR_TALLY, dumps=(audit.DUMP_TALLY,), lossy=True),
    Table(name="image_manifest", clear=audit.CLEAR_IMAGE_MANIFEST, dumps=(audit.DUMP_IMAGE_MANIFEST,)),
    Table(name="image_tag", clear=audit.CLEAR_IMAGE_TAG, dumps=(audit.DUMP_IMAGE_TAG,)),
    Table(name="image_blob", clear=audit.CLEAR_IMAGE_BLOB, dumps=(audit.DUMP_IMAGE_BLOB,)),
    Table(name="image_job", clear=audit.CLEAR_IMAGE_JOB, dumps=(audit.DUMP_IMAGE_JOB,)),
    Table(name="tag_digest", clear=audit.CLEAR_TAG_DIGEST, dumps=(audit.DUMP_TAG_DIGEST,), lossy=True),
    Table(name="version_digest", clear=audit.CLEAR_VERSION_DIGEST, dumps=(audit.DUMP_VERSION_DIGEST,), lossy=True),
    Table(name="version_revision", clear=audit.CLEAR_VERSION_REVISION, dumps=(audit.DUMP_VERSION_REVISION,)),
    Table(name="approval", clear=audit.CLEAR_APPROVAL, dumps=(audit.DUMP_APPROVAL,)),
    Table(name="cloud_event", clear=audit.CLEAR_CLOUD_EVENT, dumps=(audit.DUMP_CLOUD_EVENT,)),
    Table(
        name="cloud_event_instance", clear=audit.CLEAR_CLOUD_EVENT_INSTANCE, dumps=(audit.DUMP_CLOUD_EVENT_INSTANCE,)
    ),
    Table(name="role_session", clear=audit.CLEAR_ROLE_SESSION, dumps=(audit.DUMP_ROLE_SESSION,)),
    Table(name="session_word", clear=audit.CLEAR_SESSION_WORD, dumps=(audit.DUMP_SESSION_WORD,)),
    Table(name="trail_verification", clear=audit.CLEAR_TRAIL_VERIFICATION, dumps=(audit.DUMP_TRAIL_VERIFICATION,)),
    Table(name="finding", clear=audit.CLEAR_FINDING, dumps=(audit.DUMP_FINDING,), lossy=True),
    Table(name="finding_seen", clear=audit.CLEAR_FINDING_SEEN, dumps=(audit.DUMP_FINDING_SEEN,), lossy=True),
    Table(name="finding_report", clear=audit.CLEAR_FINDING_REPORT, dumps=(audit.DUMP_FINDING_REPORT,), lossy=True),
    Table(name="violation", clear=audit.CLEAR_VIOLATION, dumps=(audit.DUMP_VIOLATION,)),
    Table(name="violation_past", clear=audit.CLEAR_VIOLATION_PAST, dumps=(audit.DUMP_VIOLATION_PAST,)),
    Table(name="violation_step", clear=audit.CLEAR_VIOLATION_STEP, dumps=(audit.DUMP_VIOLATION_STEP,)),
    Table(name="exemption", clear=audit.CLEAR_EXEMPTION, dumps=(audit.DUMP_EXEMPTION,)),
    Table(name="fullstop_report", clear=audit.CLEAR_FULLSTOP_REPORT, dumps=(audit.DUMP_FULLSTOP_REPORT,)),
    Table(name="instance_log", clear=audit.CLEAR_INSTANCE_LOG, dumps=(audit.DUMP_INSTANCE_LOG,)),
    Table(name="account_plan", clear=audit.CLEAR_ACCOUNT_PLAN, dumps=(audit.DUMP_ACCOUNT_PLAN,)),
    Table(name="credential", clear=audit.CLEAR_CREDENTIAL, dumps=(audit.DUMP_CREDENTIAL,)),
    Table(
        name="credential_change",
        clear=audit.CLEAR_CREDENTIAL_CHANGE,
        dumps=(audit.DUMP_CREDENTIAL_CHANGE,),
    ),
    Table(
        name="instance_credential",
        clear=audit.CLEAR_INSTANCE_CREDENTIAL,
        dumps=(audit.DUMP_INSTANCE_CREDENTIAL,),
        lossy=True,
    ),
    Table(name="ami_statement", clear=audit.CLEAR_AMI_STATEMENT, dumps=(audit.DUMP_AMI_STATEMENT,)),
    Table(name="ami_package", clear=audit.CLEAR_AMI_PACKAGE, dumps=(audit.DUMP_AMI_PACKAGE,)),
    Table(name="ami_named", clear=audit.CLEAR_AMI_NAMED, dumps=(audit.DUMP_AMI_NAMED,)),
    Table(name="instance_image", clear=audit.CLEAR_INSTANCE_IMAGE, dumps=(audit.DUMP_INSTANCE_IMAGE,), lossy=True),
    Table(
        name="instance_package", clear=audit.CLEAR_INSTANCE_PACKAGE, dumps=(audit.DUMP_INSTANCE_PACKAGE,), lossy=True
    ),
    Table(name="image_chain", clear=audit.CLEAR_IMAGE_CHAIN, dumps=(audit.DUMP_IMAGE_CHAIN,)),
)
"""All derived tables: a rebuild drops and derives them, and the check derives and compares them."""
