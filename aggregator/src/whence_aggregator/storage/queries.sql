-- name: last_index
select coalesce(max(ledger_index), -1) as ledger_index from entry;

-- name: append_entry
insert into entry (ledger_index, kind, recorded_at, body, digest, leaf_hash)
values (:ledger_index, :kind, :recorded_at, :body, :digest, :leaf_hash);

-- name: entry_body
select ledger_index, kind, recorded_at, body from entry where ledger_index = :ledger_index;

-- name: ledger_entries
select ledger_index, kind, recorded_at, body, digest, leaf_hash from entry
where ledger_index >= :first order by ledger_index limit :limit;

-- name: add_challenge
insert into challenge (nonce, expires_at) values (:nonce, :expires_at);

-- name: take_challenge
delete from challenge where nonce = :nonce and expires_at > :now returning nonce;

-- name: forget_challenges
delete from challenge where expires_at <= :now;

-- name: count_challenges
select count(*) as n from challenge;

-- name: enrolment_by_key
select instance_id, number, key_id, public_key, account_id, region, level, enrolled_at, ledger_index, identity
from enrolment where key_id = :key_id;

-- name: enrolments_of
select instance_id, number, key_id, public_key, account_id, region, level, enrolled_at, ledger_index, identity
from enrolment where instance_id = :instance_id order by number;

-- name: add_enrolment
insert into enrolment
    (instance_id, number, key_id, public_key, account_id, region, level, enrolled_at, ledger_index, identity)
values
    (:instance_id, :number, :key_id, :public_key, :account_id, :region, :level, :enrolled_at, :ledger_index, :identity);

-- name: known_statements
select digest, instance_id, enrolment, sequence, ledger_index from statement
where digest in (select value from json_each(:digests));

-- name: taken_sequences
select s.digest, s.instance_id, s.enrolment, s.sequence, s.ledger_index
from statement s join json_each(:keys) k
on s.instance_id = json_extract(k.value, '$[0]') and s.enrolment = json_extract(k.value, '$[1]')
and s.sequence = json_extract(k.value, '$[2]');

-- name: add_statement
insert into statement
    (digest, ledger_index, account_id, region, instance_id, enrolment, sequence, cause, observed_at, recorded_at,
     application_id, application_version, user_data_digest, image_digest)
values
    (:digest, :ledger_index, :account_id, :region, :instance_id, :enrolment, :sequence, :cause, :observed_at,
     :recorded_at, :application_id, :application_version, :user_data_digest, :image_digest);

-- name: move_state
insert into instance_state
    (instance_id, account_id, region, enrolment, sequence, statement_digest, ledger_index, cause, observed_at,
     application_id, application_version, user_data_digest, image_digest)
values
    (:instance_id, :account_id, :region, :enrolment, :sequence, :digest, :ledger_index, :cause, :observed_at,
     :application_id, :application_version, :user_data_digest, :image_digest)
on conflict (instance_id) do update set
    account_id = excluded.account_id, region = excluded.region, enrolment = excluded.enrolment,
    sequence = excluded.sequence, statement_digest = excluded.statement_digest, ledger_index = excluded.ledger_index,
    cause = excluded.cause, observed_at = excluded.observed_at, application_id = excluded.application_id,
    application_version = excluded.application_version, user_data_digest = excluded.user_data_digest,
    image_digest = excluded.image_digest
where excluded.enrolment > instance_state.enrolment
    or (excluded.enrolment = instance_state.enrolment and excluded.sequence > instance_state.sequence);

-- name: see
insert into last_seen (instance_id, seen_at, state_digest) values (:instance_id, :seen_at, :state_digest)
on conflict (instance_id) do update set seen_at = excluded.seen_at, state_digest = excluded.state_digest
where excluded.seen_at > last_seen.seen_at;

-- name: statement_by_digest
select s.digest, s.ledger_index, s.instance_id, s.enrolment, s.sequence, s.cause, s.observed_at, s.recorded_at, e.body
from statement s join entry e on e.ledger_index = s.ledger_index where s.digest = :digest;

-- name: statement_now
select s.digest, s.ledger_index, s.instance_id, s.enrolment, s.sequence, s.cause, s.observed_at, s.recorded_at, e.body
from instance_state i join statement s on s.digest = i.statement_digest join entry e on e.ledger_index = s.ledger_index
where i.instance_id = :instance_id;

-- name: statement_at
select s.digest, s.ledger_index, s.instance_id, s.enrolment, s.sequence, s.cause, s.observed_at, s.recorded_at, e.body
from statement s join entry e on e.ledger_index = s.ledger_index
where s.instance_id = :instance_id and s.observed_at <= :at
order by s.enrolment desc, s.sequence desc limit 1;

-- name: statements_of
select digest, ledger_index, enrolment, sequence, cause, observed_at, recorded_at, image_digest from statement
where instance_id = :instance_id order by enrolment desc, sequence desc limit :limit;

-- name: instances_now
select i.instance_id, i.account_id, i.region, i.cause, i.observed_at, i.application_id, i.application_version,
    i.user_data_digest, i.image_digest, i.statement_digest, i.ledger_index, l.seen_at
from instance_state i left join last_seen l on l.instance_id = i.instance_id
where i.instance_id > :after
    and (cast(:application as text) is null or i.application_id = :application)
    and (cast(:version as text) is null or i.application_version = :version)
    and (cast(:account as text) is null or i.account_id = :account)
    and (cast(:region as text) is null or i.region = :region)
    and (cast(:cause as text) is null or i.cause = :cause)
    and (cast(:user_data as text) is null or i.user_data_digest = :user_data)
    and (cast(:image as text) is null or i.image_digest = :image)
order by i.instance_id limit :limit;

-- name: instances_by_image
select instance_id from instance_state where image_digest = :image and instance_id > :after
order by instance_id limit :limit;

-- name: instances_by_application
select instance_id from instance_state
where application_id = :application and (cast(:version as text) is null or application_version = :version)
    and instance_id > :after
order by instance_id limit :limit;

-- name: instances_by_user_data
select instance_id from instance_state where user_data_digest = :user_data and instance_id > :after
order by instance_id limit :limit;

-- name: instances_ever_by_image
select distinct instance_id from statement where image_digest = :image and instance_id > :after
order by instance_id limit :limit;

-- name: instances_ever_by_application
select distinct instance_id from statement
where application_id = :application and (cast(:version as text) is null or application_version = :version)
    and instance_id > :after
order by instance_id limit :limit;

-- name: instances_ever_by_user_data
select distinct instance_id from statement where user_data_digest = :user_data and instance_id > :after
order by instance_id limit :limit;

-- name: seen
select instance_id, seen_at, state_digest from last_seen where instance_id = :instance_id;

-- name: application_at
select application_id, revision, recorded_at, recorded_by, body, ledger_index from application_revision
where application_id = :application_id and recorded_at <= :at order by revision desc limit 1;

-- name: application_first
select recorded_at, recorded_by from application_revision where application_id = :application_id
order by revision limit 1;

-- name: applications_now
select r.application_id, r.revision, r.recorded_at, r.recorded_by, r.body, r.ledger_index,
    f.recorded_at as created_at, f.recorded_by as created_by
from application_revision r
join (select application_id, max(revision) as revision from application_revision group by application_id) n
    on n.application_id = r.application_id and n.revision = r.revision
join application_revision f on f.application_id = r.application_id and f.revision = 1
where r.application_id > :after order by r.application_id limit :limit;

-- name: add_application_revision
insert into application_revision (application_id, revision, recorded_at, recorded_by, body, ledger_index)
values (:application_id, :revision, :recorded_at, :recorded_by, :body, :ledger_index);

-- name: add_fact
insert into fact (kind, subject, ledger_index, observed_at, outcome, value, reason)
values (:kind, :subject, :ledger_index, :observed_at, :outcome, :value, :reason);

-- name: fact_now
select kind, subject, ledger_index, observed_at, outcome, value, reason from fact
where kind = :kind and subject = :subject order by ledger_index desc limit 1;

-- name: add_image_commit
insert into image_commit (commit_id, image_digest, repository) values (:commit_id, :image_digest, :repository)
on conflict do nothing;

-- name: images_of_commit
select distinct image_digest from image_commit where commit_id >= :first and commit_id < :past order by image_digest
limit :limit;

-- name: add_commit_word
insert into commit_word (word, repository, commit_id) values (:word, :repository, :commit_id) on conflict do nothing;

-- name: images_of_ticket
select distinct i.image_digest from commit_word w
join image_commit i on i.commit_id = w.commit_id and i.repository = w.repository
where w.word = :word order by i.image_digest limit :limit;

-- name: add_task
insert into task (kind, subject, due_at, attempts, reason) values (:kind, :subject, :due_at, 0, '')
on conflict (kind, subject) do update set due_at = excluded.due_at
where excluded.due_at < task.due_at;

-- name: add_task_unless_known
insert into task (kind, subject, due_at, attempts, reason)
select cast(:kind as text), cast(:subject as text), cast(:due_at as text), 0, ''
where not exists (select 1 from fact where kind = :kind and subject = :subject)
on conflict do nothing;

-- name: claim_tasks
update task set due_at = :lease, attempts = attempts + 1
where (kind, subject) in (select kind, subject from task where due_at <= :now order by due_at, kind limit :limit)
returning kind, subject, attempts;

-- name: next_due
select min(due_at) as due_at from task;

-- name: count_tasks
select kind, count(*) as n from task group by kind order by kind;

-- name: postpone_task
update task set due_at = :due_at, reason = :reason where kind = :kind and subject = :subject;

-- name: finish_task
delete from task where kind = :kind and subject = :subject and due_at = :lease;

-- name: task_of
select kind, subject, due_at, attempts, reason from task where kind = :kind and subject = :subject;

-- name: add_evaluations_of_image
insert into task (kind, subject, due_at, attempts, reason)
select 'evaluate', instance_id, cast(:due_at as text), 0, '' from instance_state where image_digest = :image_digest
on conflict (kind, subject) do update set due_at = excluded.due_at where excluded.due_at < task.due_at;

-- name: add_evaluations_of_commit
insert into task (kind, subject, due_at, attempts, reason)
select distinct 'evaluate', s.instance_id, cast(:due_at as text), 0, '' from image_commit c
join instance_state s on s.image_digest = c.image_digest where c.commit_id = :commit_id
on conflict (kind, subject) do update set due_at = excluded.due_at where excluded.due_at < task.due_at;

-- name: add_evaluations_of_application
insert into task (kind, subject, due_at, attempts, reason)
select 'evaluate', instance_id, cast(:due_at as text), 0, '' from instance_state where application_id = :application_id
on conflict (kind, subject) do update set due_at = excluded.due_at where excluded.due_at < task.due_at;

-- name: silence_moved
select l.instance_id from last_seen l
left join verdict v on v.instance_id = l.instance_id and v.rule = 'agent-silent'
where (l.seen_at < :silent_before and coalesce(v.verdict, '') <> 'fail')
    or (l.seen_at >= :silent_before and coalesce(v.verdict, '') = 'fail')
limit :limit;

-- name: verdicts_of
select instance_id, rule, verdict, reason, since, account_id, application_id, ledger_index from verdict
where instance_id = :instance_id order by rule;

-- name: set_verdict
insert into verdict (instance_id, rule, verdict, reason, since, account_id, application_id, ledger_index)
values (:instance_id, :rule, :verdict, :reason, :since, :account_id, :application_id, :ledger_index)
on conflict (instance_id, rule) do update set
    verdict = excluded.verdict, reason = excluded.reason, since = excluded.since, account_id = excluded.account_id,
    application_id = excluded.application_id, ledger_index = excluded.ledger_index;

-- name: verdicts
select instance_id, rule, verdict, reason, since, account_id, application_id, ledger_index from verdict
where (instance_id > :after_instance or (instance_id = :after_instance and rule > :after_rule))
    and verdict <> 'pass'
    and (cast(:verdict as text) is null or verdict = :verdict)
    and (cast(:rule as text) is null or rule = :rule)
    and (cast(:account as text) is null or account_id = :account)
    and (cast(:application as text) is null or application_id = :application)
    and (cast(:instance as text) is null or instance_id = :instance)
order by instance_id, rule limit :limit;

-- name: count_verdicts
select rule, verdict, count(*) as n from verdict group by rule, verdict order by rule, verdict;

-- name: count_instances
select account_id, count(*) as n from instance_state group by account_id order by account_id;
