-- The check and the rebuild: tables in a comparable form, in the order of their keys; and clearing them.
-- types: limit int, offset int

-- name: dump_tile
select level, number, hashes from tile order by level, number limit :limit offset :offset;

-- name: dump_checkpoint
select size, note from checkpoint order by size limit :limit offset :offset;

-- name: dump_clock
select ledger_index, recorded_at, latest from clock order by ledger_index limit :limit offset :offset;

-- name: dump_facets
select number, account_id, region, application_id, application_version, user_data_digest, image_digest, other_digests
from facets order by number limit :limit offset :offset;

-- name: dump_facets_image
select image_digest, facets from facets_image order by image_digest{binary}, facets limit :limit offset :offset;

-- name: dump_instance
-- types: facets_account str?, application_id str?, application_version str?, user_data_digest str?, image_digest str?, other_digests str?
select i.number, i.instance_id, i.account_id, i.region, i.image_id, i.enrolment, i.sequence, i.ledger_index, i.observed_at, i.cause,
    i.rule_set, i.listed, i.asked_at, i.spoke_at, i.life, f.account_id as facets_account, f.application_id, f.application_version, f.user_data_digest,
    f.image_digest, f.other_digests
from instance i left join facets f on f.number = i.facets order by i.number limit :limit offset :offset;

-- name: dump_instance_first
select number, first_index, earliest, late_millis, life_index from instance order by number limit :limit offset :offset;

-- name: dump_instance_facets
select facets, instance from instance_facets order by facets, instance limit :limit offset :offset;

-- name: dump_statement
select instance, enrolment, sequence, ledger_index, observed_at, cause, facets from statement
order by instance, enrolment, sequence limit :limit offset :offset;

-- name: dump_enrolment
select instance, number, key_id, ledger_index, pending_at from enrolment order by instance, number limit :limit offset :offset;

-- name: dump_application_revision
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
order by ledger_index limit :limit offset :offset;

-- name: dump_fact
select ledger_index, kind, subject, observed_at, outcome, value, reason from fact
order by ledger_index limit :limit offset :offset;

-- name: dump_image_commit
select commit_id, image_digest, repository, said_by, ledger_index from image_commit
order by commit_id{binary}, image_digest{binary}, repository{binary}, said_by{binary} limit :limit offset :offset;

-- name: dump_commit_word
select commit_id, repository, word, ledger_index from commit_word order by commit_id{binary}, repository{binary}, word{binary} limit :limit offset :offset;

-- name: dump_commit_person
select commit_id, repository, person, ledger_index from commit_person order by commit_id{binary}, repository{binary}, person{binary} limit :limit offset :offset;

-- name: dump_review_name
select commit_id, repository, name, ledger_index from review_name order by commit_id{binary}, repository{binary}, name{binary} limit :limit offset :offset;

-- name: dump_range_commit
select commit_id, repository, tip, ledger_index from range_commit order by commit_id{binary}, repository{binary}, tip{binary} limit :limit offset :offset;

-- name: dump_image_layer
select layer, image_digest, ledger_index from image_layer order by layer, image_digest limit :limit offset :offset;

-- name: dump_inventory_history
select instance_id, ledger_index, account_id, region, state, launched_at, user_data_digest, user_data_unread, asked_at
from inventory_history
order by instance_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_inventory_detail
select instance_id, ledger_index, details from inventory_detail
order by instance_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_subject
select number, kind, id, application_id, rule_set from subject order by number limit :limit offset :offset;

-- name: dump_verdict_fold
select subject_kind, subject, rule, link from verdict_fold
order by subject_kind{binary}, subject, rule{binary} limit :limit offset :offset;

-- name: dump_silence
select instance, ledger_index, at, verdict, silent_since from silence
order by instance, ledger_index limit :limit offset :offset;

-- name: dump_life
select instance, ledger_index, life from life order by instance, ledger_index limit :limit offset :offset;

-- name: dump_inventory
select instance_id, account_id, region, state, launched_at, user_data_digest, user_data_unread, ledger_index, asked_at from inventory
order by instance_id{binary}, account_id{binary}, region{binary} limit :limit offset :offset;

-- name: dump_verdict
select subject_kind, subject, rule, rule_version, verdict, reason, since, ledger_index from verdict
order by subject_kind{binary}, subject, rule{binary} limit :limit offset :offset;

-- name: dump_rule_set
select number, rules from rule_set order by number limit :limit offset :offset;

-- name: dump_tally
select account_id, subject, n from tally order by account_id{binary}, subject{binary} limit :limit offset :offset;

-- name: dump_verdict_count
select account_id, application_id, subject_kind, rule, passed, failed, unknown, folded from verdict_count
where passed <> 0 or failed <> 0 or unknown <> 0 or folded <> 0
order by account_id{binary}, application_id{binary}, subject_kind{binary}, rule{binary} limit :limit offset :offset;

-- name: dump_verdict_total
select scope, name, subject_kind, of_subjects, passed, failed, unknown, folded from verdict_total
where passed <> 0 or failed <> 0 or unknown <> 0 or folded <> 0
order by scope{binary}, name{binary}, subject_kind{binary}, of_subjects limit :limit offset :offset;

-- name: dump_counted_instance
select instance, application_id from counted_instance order by instance limit :limit offset :offset;

-- name: dump_report_file
select ledger_index, name, digest, team_id, account_id, since, until, made_at, made_by from report_file
order by ledger_index, name{binary} limit :limit offset :offset;

-- name: dump_summary_day
select day, at, ledger_index from summary_day order by day{binary} limit :limit offset :offset;

-- name: dump_summary_count
select account_id, application_id, subject_kind, rule, day, ledger_index, passed, failed, unknown, folded from summary_count
order by account_id{binary}, application_id{binary}, subject_kind{binary}, rule{binary}, day{binary}
limit :limit offset :offset;

-- name: dump_summary_total
select scope, name, subject_kind, of_subjects, day, until_day, passed, failed, unknown, folded from summary_total
order by scope{binary}, name{binary}, subject_kind{binary}, of_subjects, day{binary} limit :limit offset :offset;

-- name: dump_last_seen
select instance_id, seen_at, enrolment, seal, counter, skew_millis, skew_confirmed, beat_seal from last_seen order by instance_id{binary} limit :limit offset :offset;

-- name: dump_unseen
-- types: instance_id str
select i.instance_id from instance i left join last_seen l on l.instance_id = i.instance_id
where i.ledger_index >= 0 and l.instance_id is null order by i.number limit :limit offset :offset;

-- name: dump_image_manifest
select repository, digest, team, media_type, size, image, artifact_type, subject, child, annotations, pushed_at, pushed_by,
    ledger_index
from image_manifest order by repository{binary}, digest limit :limit offset :offset;

-- name: dump_image_tag
select repository, tag, digest, team, created_at, created_by, ledger_index from image_tag
order by repository{binary}, tag{binary} limit :limit offset :offset;

-- name: dump_image_blob
select digest, size from image_blob order by digest limit :limit offset :offset;

-- name: dump_image_job
select image, job, source_url, commit_id, pushed_at, ledger_index from image_job
order by image{binary} limit :limit offset :offset;

-- name: dump_application_span
select application_id, revision, ledger_index, until_index, team_id, incident_contact, active, recorded_at
from application_span order by application_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_application_word
select word, application_id, ledger_index, until_index, score
from application_word order by word, application_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_application_handover
select application_id, ledger_index, number, action, from_team, to_team, recorded_at, recorded_by, subject, note
from application_handover order by application_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_tag_digest
select reference, digest, said_by, ledger_index from tag_digest
order by reference{binary}, digest{binary}, said_by{binary} limit :limit offset :offset;

-- name: dump_image_chain
select chain, image_digest from image_chain order by chain, image_digest limit :limit offset :offset;

-- name: clear_image_manifest
delete from image_manifest;

-- name: clear_image_tag
delete from image_tag;

-- name: clear_image_blob
delete from image_blob;

-- name: clear_image_job
delete from image_job;

-- name: clear_application_span
delete from application_span;

-- name: clear_application_word
delete from application_word;

-- name: clear_application_handover
delete from application_handover;

-- name: clear_tag_digest
delete from tag_digest;

-- name: clear_image_chain
delete from image_chain;

-- name: clear_clock
delete from clock;

-- name: clear_facets
delete from facets;

-- name: clear_facets_image
delete from facets_image;

-- name: clear_instance
delete from instance;

-- name: clear_instance_facets
delete from instance_facets;

-- name: clear_statement
delete from statement;

-- name: clear_enrolment
delete from enrolment;

-- name: clear_application_revision
delete from application_revision;

-- name: clear_fact
delete from fact;

-- name: clear_image_commit
delete from image_commit;

-- name: clear_commit_word
delete from commit_word;

-- name: clear_review_name
delete from review_name;

-- name: clear_range_commit
delete from range_commit;

-- name: clear_image_layer
delete from image_layer;

-- name: clear_commit_person
delete from commit_person;

-- name: clear_inventory_history
delete from inventory_history;

-- name: clear_life
delete from life;

-- name: clear_inventory
delete from inventory;

-- name: clear_verdict
delete from verdict;

-- name: clear_rule_set
delete from rule_set;

-- name: clear_inventory_detail
delete from inventory_detail;

-- name: clear_subject
delete from subject;

-- name: clear_verdict_fold
delete from verdict_fold;

-- name: clear_silence
delete from silence;

-- name: clear_tally
delete from tally;

-- name: clear_verdict_count
delete from verdict_count;

-- name: clear_verdict_total
delete from verdict_total;

-- name: clear_counted_instance
delete from counted_instance;

-- name: clear_report_file
delete from report_file;

-- name: clear_summary_day
delete from summary_day;

-- name: clear_summary_count
delete from summary_count;

-- name: clear_summary_total
delete from summary_total;

-- name: dump_team_revision
select team_id, source, ledger_index, change, into_team, spelled, team_name, aliases, observed_at from team_revision
order by team_id{binary}, source{binary}, ledger_index limit :limit offset :offset;

-- name: dump_team_name
select name, source, team_id, ledger_index, held from team_name
order by name{binary}, source{binary}, team_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_team_members
select team_id, source, ledger_index, members from team_members
order by team_id{binary}, source{binary}, ledger_index limit :limit offset :offset;

-- name: dump_account_revision
select account_id, source, ledger_index, change, active, body, observed_at from account_revision
order by account_id{binary}, source{binary}, ledger_index limit :limit offset :offset;

-- name: dump_organisation_read
select source, ledger_index, teams, accounts, observed_at from organisation_read
order by source{binary}, ledger_index limit :limit offset :offset;

-- name: dump_removed_entry
select ledger_index, stated_by from removed_entry order by ledger_index limit :limit offset :offset;

-- name: clear_removed_entry
delete from removed_entry;

-- name: clear_team_revision
delete from team_revision;

-- name: clear_team_name
delete from team_name;

-- name: clear_team_members
delete from team_members;

-- name: clear_account_revision
delete from account_revision;

-- name: clear_organisation_read
delete from organisation_read;

-- name: dump_version_digest
select application_id, version, digest, said_by, artifact, team, ledger_index from version_digest
order by application_id{binary}, version{binary}, digest{binary}, said_by{binary}, artifact{binary}
limit :limit offset :offset;

-- name: dump_version_revision
select application_id, version, ledger_index, artifact, reference, digest, notes, recorded_at, recorded_by
from version_revision order by application_id{binary}, version{binary}, ledger_index limit :limit offset :offset;

-- name: dump_approval
select application_id, version, digest, approval_type, person, user_id, emails, notes, approved_at, ledger_index
from approval order by application_id{binary}, version{binary}, digest{binary}, approval_type{binary}, person{binary}
limit :limit offset :offset;

-- name: clear_version_digest
delete from version_digest;

-- name: clear_version_revision
delete from version_revision;

-- name: clear_approval
delete from approval;

-- name: dump_cloud_event
select account_id, event_id, ledger_index, region, name, source, event_at, doer, detail from cloud_event
order by account_id{binary}, event_id{binary} limit :limit offset :offset;

-- name: dump_cloud_event_instance
select instance_id, account_id, ledger_index, event_at, name from cloud_event_instance
order by instance_id{binary}, account_id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_trail_verification
select account_id, region, chain, ledger_index, state, reason, observed_at from trail_verification
order by account_id{binary}, region{binary}, chain{binary}, ledger_index limit :limit offset :offset;

-- name: dump_role_session
select account_id, event_id, ledger_index, access_key, caller_key, shared_id, role, event_at, doer from role_session
order by account_id{binary}, event_id{binary} limit :limit offset :offset;

-- name: dump_session_word
select word from session_word order by word{binary} limit :limit offset :offset;

-- name: clear_role_session
delete from role_session;

-- name: clear_session_word
delete from session_word;

-- name: clear_cloud_event
delete from cloud_event;

-- name: clear_cloud_event_instance
delete from cloud_event_instance;

-- name: clear_trail_verification
delete from trail_verification;

-- name: dump_finding
select account_id, product, uid, ledger_index, until_index, check_id, severity, result, closed, suppressed, vulnerability,
    region, instance_id, image_digest, application_id, observed_at, first_seen, since, opened, body
from finding order by account_id, product, uid, ledger_index limit :limit offset :offset;

-- name: dump_finding_seen
select account_id, product, uid, ledger_index, observed_at from finding_seen
order by account_id, product, uid, ledger_index limit :limit offset :offset;

-- name: dump_finding_report
select account_id, product, image_digest, ledger_index, observed_at, complete from finding_report
order by account_id, product, image_digest, ledger_index limit :limit offset :offset;

-- name: clear_finding
delete from finding;

-- name: clear_finding_seen
delete from finding_seen;

-- name: clear_finding_report
delete from finding_report;

-- name: dump_violation
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index
from violation order by id{binary} limit :limit offset :offset;

-- name: dump_violation_past
select id, number, rule, kind, subject, application_id, account_id, team, severity, state, first_seen, since, last_seen,
    unconfirmed_since, reason, reopened, acknowledged_at, acknowledged_by, comment, exemption, exempt_until, detail,
    ledger_index, until_index
from violation_past order by id{binary}, ledger_index limit :limit offset :offset;

-- name: dump_violation_step
select violation, ledger_index, step, at, done_by, comment, exemption, state_after
from violation_step order by violation{binary}, ledger_index limit :limit offset :offset;

-- name: dump_exemption
select id, number, rule, application_id, version, account_id, ami, team, severity_min, granted_at, granted_by, reason, until,
    ended_at, ended_by, ledger_index
from exemption order by id{binary} limit :limit offset :offset;

-- name: clear_violation
delete from violation;

-- name: clear_violation_past
delete from violation_past;

-- name: clear_violation_step
delete from violation_step;

-- name: clear_exemption
delete from exemption;

-- name: dump_rule_state
select rule, version, digest, reason, source_index, ledger_index from rule_state
order by rule limit :limit offset :offset;

-- name: clear_rule_state
delete from rule_state;

-- name: dump_fullstop_report
select violation, ledger_index, account_id, event_id, meta_info, username, recorded_by
from fullstop_report order by ledger_index limit :limit offset :offset;

-- name: dump_instance_log
select instance_id, account_id, log_type, boot_time, digest, region, ledger_index, size, document, application_id,
    application_version, recorded_at
from instance_log order by ledger_index limit :limit offset :offset;

-- name: dump_account_plan
select account_id, ledger_index, plan, report, begun_at, ended_at, applied_by, changed, failed, error
from account_plan order by ledger_index limit :limit offset :offset;

-- name: clear_account_plan
delete from account_plan;

-- name: dump_credential
select application_id, kind, generation, ledger_index, provider, step, mac, written, intended_at, published_at,
    committed_at, ended_at
from credential order by application_id{binary}, kind, generation limit :limit offset :offset;

-- name: clear_credential
delete from credential;

-- name: dump_credential_change
select ledger_index, application_id, step, changed_at, asked_by, reason, application
from credential_change order by ledger_index limit :limit offset :offset;

-- name: clear_credential_change
delete from credential_change;

-- name: clear_fullstop_report
delete from fullstop_report;

-- name: clear_instance_log
delete from instance_log;

-- name: dump_instance_credential
select instance, file, ledger_index, held, generation, version_id, since from instance_credential
order by instance, file limit :limit offset :offset;

-- name: clear_instance_credential
delete from instance_credential;

-- name: dump_ami_statement
select ledger_index, digest, name, root_digest, builder_id, key_id, repository, commit_id, modified, finished_at, packages,
    recorded_at, recorded_by
from ami_statement order by ledger_index limit :limit offset :offset;

-- name: clear_ami_statement
delete from ami_statement;

-- name: dump_ami_package
select statement, system, name, architecture, version, distribution, origin, suite, component from ami_package
order by statement, system{binary}, name{binary}, architecture{binary} limit :limit offset :offset;

-- name: clear_ami_package
delete from ami_package;

-- name: dump_ami_named
select image_id, region, statement, ledger_index from ami_named
order by image_id{binary}, region{binary}, statement limit :limit offset :offset;

-- name: clear_ami_named
delete from ami_named;

-- Rows of earlier statements are left out: whether there are any depends on how statements were grouped into commits.

-- name: dump_instance_image
select m.instance, m.ledger_index, m.digest, m.name, m.packages_digest, m.differing, m.listed, m.unread
from instance_image m join instance i on i.number = m.instance and i.ledger_index = m.ledger_index
order by m.instance limit :limit offset :offset;

-- name: clear_instance_image
delete from instance_image;

-- name: dump_instance_package
select p.instance, p.name, p.architecture, p.version, p.ledger_index
from instance_package p join instance i on i.number = p.instance and i.ledger_index = p.ledger_index
order by p.instance, p.name{binary}, p.architecture{binary} limit :limit offset :offset;

-- name: clear_instance_package
delete from instance_package;
