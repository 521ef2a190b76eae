-- Verdicts, the rules that judged, and the instances to judge again.
-- types: limit int, silent_before int

-- name: silent_since
-- types: since int, until int, after str
select l.instance_id, l.seen_at from last_seen l join instance i on i.instance_id = l.instance_id
where (l.seen_at, l.instance_id) > (:since, :after) and l.seen_at < :until
    and i.life in ('pending', 'running', 'unknown')
order by l.seen_at, l.instance_id limit :limit;

-- name: speaking_again
-- types: until int, after int
select l.instance_id, v.subject as number from verdict v join instance i on i.number = v.subject
join last_seen l on l.instance_id = i.instance_id
where v.rule = :rule and v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and l.seen_at >= :until and v.subject > :after
order by v.subject limit :limit;

-- name: clocks_gone_wrong
-- types: after int
select i.instance_id, i.number from last_seen l join instance i on i.instance_id = l.instance_id
where (l.skew_millis > 300000 or (l.skew_millis < -300000 and l.skew_confirmed = 1))
    and i.life in ('pending', 'running', 'unknown') and not exists (
    select 1 from verdict v where v.subject_kind = 'instance' and v.subject = i.number and v.rule = :rule
        and v.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- name: clocks_set_right
-- types: by_heartbeats str, after int
select l.instance_id, v.subject as number from verdict v join instance i on i.number = v.subject
join last_seen l on l.instance_id = i.instance_id
where v.rule = :rule and v.subject_kind = 'instance' and v.verdict <> 'pass' and v.verdict <> 'gone'
    and v.reason like :by_heartbeats and l.skew_millis between -300000 and 300000 and v.subject > :after
order by v.subject limit :limit;

-- name: speaking_though_ended
-- types: on_the_way int, after int
select i.instance_id, i.number from instance i join last_seen l on l.instance_id = i.instance_id
where i.life = 'terminated' and l.seen_at > i.asked_at + :on_the_way and not exists (
    select 1 from verdict v where v.subject_kind = 'instance' and v.subject = i.number and v.rule = :rule
        and v.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- name: unjudged
-- types: after int
select number, instance_id, ledger_index, judged from instance where judged < ledger_index and number > :after
order by number limit :limit;

-- name: unjudged_marked
-- types: after int
select number, instance_id, ledger_index, judged from instance where judged < 0 and ledger_index >= 0 and number > :after
order by number limit :limit;

-- An instance that was marked again since its facts were read has another number below zero, and stays to be judged.

-- name: set_judged
-- types: before int
update instance set judged = :judged where number = :number and judged = :before;

-- name: unjudge_awaiting
update instance set judged = case when judged < 0 then judged - 1 else -1 end where account_id = :account_id and region = :region and ledger_index >= 0
    and number in (select v.subject from verdict v
        where v.subject_kind = 'instance' and v.verdict = 'unknown' and {v.rule in texts rules});

-- What rests on the listings of an account and region, when they begin to fail, and when they do no more.

-- name: unjudge_place
update instance set judged = case when judged < 0 then judged - 1 else -1 end
where account_id = :account_id and region = :region and ledger_index >= 0;

-- name: mark_account
-- types: account_id str
update subject_due set due = due + 1 where kind = 'account' and id = :account_id;

-- name: judged_by_others
-- types: after int
select i.instance_id, i.number from instance i
where i.ledger_index >= 0 and i.judged >= i.ledger_index and i.number > :after
    and {i.rule_set in integers sets}
order by i.number limit :limit;

-- name: rule_sets_all
select number, rules from rule_set;

-- name: unjudge
update instance set judged = case when judged < 0 then judged - 1 else -1 end
where ledger_index >= 0 and {instance_id in texts instance_ids};

-- name: unjudge_image
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0
    and facets in (select number from facets where image_digest = :image_digest);

-- name: unjudge_ami
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0 and image_id = :image_id;

-- Only a second image of a tag can change the verdict about the first. An account's statements count in that account.

-- name: unjudge_tag
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0
    and (cast(:account_id as text) is null or account_id = :account_id) and facets in (
    select f.number from tag_digest t join facets f on f.image_digest = t.digest
    where t.reference = :reference and exists (
        select 1 from tag_digest o where o.reference = t.reference and o.digest <> t.digest)
    union select x.facets from tag_digest t join facets_image x on x.image_digest = t.digest
    where t.reference = :reference and exists (
        select 1 from tag_digest o where o.reference = t.reference and o.digest <> t.digest));

-- name: unjudge_commit
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0 and facets in (
    select f.number from image_commit c join facets f on f.image_digest = c.image_digest
    where c.commit_id = :commit_id);

-- A commit names a ticket by its id, or by its number alone in its own repository.

-- name: unjudge_ticket
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0 and facets in (
    select f.number from commit_word w
    join image_commit c on c.commit_id = w.commit_id and c.repository = w.repository
    join facets f on f.image_digest = c.image_digest
    where w.word = :word or ({w.word in texts words} and w.repository = :repository));

-- name: unjudge_in_account
update instance set judged = case when judged < 0 then judged - 1 else -1 end where account_id = :account_id and ledger_index >= 0;

-- name: unjudge_every
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0;

-- name: unjudge_share
-- types: shares int, share int
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0
    and life not in ('shutting-down', 'terminated') and number % :shares = :share;

-- name: unjudge_application
update instance set judged = case when judged < 0 then judged - 1 else -1 end where ledger_index >= 0
    and facets in (select number from facets where application_id = :application_id);

-- A cross join, since SQLite keeps its order: else it reads the verdicts of all instances, to have them sorted.

-- name: verdicts_of
-- types: folded_under str?
select i.instance_id, v.subject, v.rule, v.rule_version, v.verdict, v.reason, v.since, v.ledger_index,
    f.link as folded_under
from instance i cross join verdict v
left join verdict_fold f on f.subject_kind = 'instance' and f.subject = v.subject and f.rule = v.rule
where v.subject_kind = 'instance' and v.subject = i.number and {i.instance_id in texts instance_ids}
order by v.subject, v.rule;

-- name: verdicts_of_subjects
-- types: folded_under str?
select s.kind, s.id, v.subject, v.rule, v.rule_version, v.verdict, v.reason, v.since, v.ledger_index,
    f.link as folded_under
from subject s join verdict v on v.subject_kind = s.kind and v.subject = s.number
left join verdict_fold f on f.subject_kind = s.kind and f.subject = v.subject and f.rule = v.rule
where {s.id in texts ids} order by s.kind, v.subject, v.rule;

-- name: subjects_named
-- types: rules str
select s.number, s.kind, s.id,
    coalesce((select r.rules from rule_set r where r.number = s.rule_set), '{}') as rules
from subject s where {s.id in texts ids};

-- name: last_subject
-- types: number int
select coalesce(max(number), 0) as number from subject;

-- name: add_subject
insert into subject (number, kind, id, application_id) values (:number, :kind, :id, :application_id);

-- name: set_rules_of_subject
update subject set rule_set = :rule_set where number = :number;

-- name: fold_verdict
insert into verdict_fold (subject_kind, subject, rule, link) values (:subject_kind, :subject, :rule, :link)
on conflict (subject_kind, subject, rule) do update set link = excluded.link;

-- name: unfold_verdict
delete from verdict_fold where subject_kind = :subject_kind and subject = :subject and rule = :rule;

-- name: subjects_due
-- types: after_kind str, after_id str
select kind, id, due from subject_due where due > 0 and (kind, id) > (:after_kind, :after_id)
order by kind, id limit :limit;

-- name: subjects_seen
select kind, id, evidence from subject_due where {id in texts ids};

-- name: mark_subject
insert into subject_due (kind, id, evidence, due) values (:kind, :id, '', 1)
on conflict (id, kind) do update set due = subject_due.due + 1;

-- Of versions that no instance has shown yet, nothing is judged: the first instance marks them.

-- name: mark_versions_of_image
update subject_due set due = due + 1 where kind = 'version' and id in (
    select d.application_id || '@' || d.version from version_digest d where d.digest = :image_digest
    union select f.application_id || '@' || f.application_version from facets_image x
    join facets f on f.number = x.facets where x.image_digest = :image_digest);

-- name: subject_judged
-- types: seen int
update subject_due set evidence = :evidence, due = due - :seen where id = :id and kind = :kind;

-- name: mark_subjects_judged_by_others
update subject_due set due = due + 1 where due = 0 and kind = :kind and exists (
    select 1 from subject s where s.id = subject_due.id and s.kind = subject_due.kind and {s.rule_set in integers sets});

-- name: mark_every_subject
update subject_due set due = due + 1 where due = 0 and kind = :kind;

-- The instance that shows what a version, an application or an AMI is: of those that may live, the one whose image is known
-- and that spoke last.

-- name: instances_of_version
-- types: instance_id str
select s.instance_id from (
    select i.instance_id, i.ledger_index, f.image_digest, max(f.image_digest) over () as some_image,
        row_number() over (partition by f.image_digest, f.other_digests order by i.ledger_index desc) as place
    from facets f join instance i on i.facets = f.number
    where f.application_id = :application_id and f.application_version = :application_version and i.ledger_index >= 0
        and i.life not in ('shutting-down', 'terminated')) s
where s.place = 1 and (s.image_digest <> '' or s.some_image = '')
order by s.ledger_index desc limit :limit;

-- name: instance_of_application
select i.instance_id from facets f join instance i on i.facets = f.number
where f.application_id = :application_id and i.ledger_index >= 0 and i.life not in ('shutting-down', 'terminated')
order by i.ledger_index desc limit 1;

-- name: instance_of_ami
select i.instance_id from instance i
where i.image_id = :image_id and i.ledger_index >= 0 and i.life not in ('shutting-down', 'terminated')
order by i.ledger_index desc limit 1;

-- name: grown_old
-- types: launched_before str, after int
select i.instance_id, i.number from inventory v join instance i on i.instance_id = v.instance_id
where v.launched_at <> '' and v.launched_at < :launched_before and i.ledger_index >= 0
    and i.life in ('pending', 'running', 'unknown') and not exists (
    select 1 from verdict v2 where v2.subject_kind = 'instance' and v2.subject = i.number and v2.rule = :rule
        and v2.verdict = 'fail')
    and i.number > :after
order by i.number limit :limit;

-- name: rule_sets
select number, rules from rule_set where {rules in texts sets};

-- name: last_rule_set
-- types: number int
select coalesce(max(number), 0) as number from rule_set;

-- name: add_rule_set
insert into rule_set (number, rules) values (:number, :rules);

-- name: set_rules
-- types: instance int
update instance set rule_set = :rule_set where number = :instance;

-- name: set_verdict
insert into verdict (subject_kind, subject, rule, rule_version, verdict, reason, since, ledger_index)
values (:subject_kind, :subject, :rule, :rule_version, :verdict, :reason, :since, :ledger_index)
on conflict (subject_kind, subject, rule) do update set rule_version = excluded.rule_version,
    verdict = excluded.verdict, reason = excluded.reason, since = excluded.since, ledger_index = excluded.ledger_index;

-- name: add_silence
insert into silence (instance, ledger_index, at, verdict, silent_since)
values (:instance, :ledger_index, :at, :verdict, :silent_since) on conflict do nothing;

-- name: verdicts
-- types: application_id str?, after_subject int, after_rule str, folded_under str?
select v.subject, i.instance_id, v.rule, v.rule_version, v.verdict, v.reason, v.since, i.account_id, i.region,
    nullif(f.application_id, '') as application_id, v.ledger_index, b.link as folded_under
from verdict v join instance i on i.number = v.subject join facets f on f.number = i.facets
left join verdict_fold b on b.subject_kind = 'instance' and b.subject = v.subject and b.rule = v.rule
where v.subject_kind = 'instance' and (cast(:folded as bigint) = 1 or b.link is null)
    and (v.subject > :after_subject or (v.subject = :after_subject and v.rule > :after_rule))
    and v.verdict <> 'pass' and v.verdict <> 'gone' and {v.rule in texts rules}
    and {i.life in texts lives} and (cast(:now as bigint) = 0 or i.life = 'running' or exists (
        select 1 from last_seen s where s.instance_id = i.instance_id and s.seen_at >= :silent_before))
    and (cast(:every as bigint) = 1 or (cast(:never as bigint) = 1 and not exists (
        select 1 from last_seen s where s.instance_id = i.instance_id)) or exists (
        select 1 from last_seen s where s.instance_id = i.instance_id and (
            (cast(:speaking as bigint) = 1 and s.seen_at >= :silent_before)
            or (cast(:silent as bigint) = 1 and s.seen_at < :silent_before))))
    and (cast(:any_application as bigint) = 1 or {f.application_id in texts applications}
        or ({f.application_id in texts unowned} and {i.account_id in texts accounts}))
    and (cast(:verdict as text) is null or v.verdict = :verdict)
    and (cast(:account as text) is null or i.account_id = :account)
    and (cast(:region as text) is null or i.region = :region)
    and (cast(:ami as text) is null or i.image_id = :ami)
    and (cast(:instance as text) is null or i.instance_id = :instance)
    and (cast(:since as text) is null or v.since >= :since)
    and (cast(:until as text) is null or v.since < :until)
order by v.subject, v.rule limit :limit;

-- name: verdicts_of_kind
-- types: application_id str?, after_subject int, after_rule str, folded_under str?
select v.subject, s.kind, s.id, v.rule, v.rule_version, v.verdict, v.reason, v.since,
    nullif(s.application_id, '') as application_id, v.ledger_index, b.link as folded_under
from subject s join verdict v on v.subject_kind = s.kind and v.subject = s.number
left join verdict_fold b on b.subject_kind = s.kind and b.subject = v.subject and b.rule = v.rule
where s.kind = :kind and (cast(:folded as bigint) = 1 or b.link is null)
    and (v.subject > :after_subject or (v.subject = :after_subject and v.rule > :after_rule))
    and v.verdict <> 'pass' and v.verdict <> 'gone' and {v.rule in texts rules}
    and (cast(:any_application as bigint) = 1 or {s.application_id in texts applications}
        or (s.kind = 'account' and {s.id in texts accounts}))
    and (cast(:verdict as text) is null or v.verdict = :verdict)
    and (cast(:id as text) is null or s.id = :id)
    and (cast(:since as text) is null or v.since >= :since)
    and (cast(:until as text) is null or v.since < :until)
order by v.subject, v.rule limit :limit;

-- name: never_spoke
-- types: launched_at str, launched_before str, after str
select v.account_id, v.region, v.instance_id, v.launched_at, v.ledger_index
from inventory v left join instance i on i.instance_id = v.instance_id
where v.state = 'running' and (i.number is null or i.ledger_index < 0) and v.instance_id > :after
    and v.launched_at < :launched_before
    and (cast(:account as text) is null or v.account_id = :account)
    and (cast(:any_account as bigint) = 1 or {v.account_id in texts accounts})
    and (cast(:region as text) is null or v.region = :region)
    and (cast(:instance as text) is null or v.instance_id = :instance)
    and (cast(:since as text) is null or v.launched_at >= :since)
    and (cast(:until as text) is null or v.launched_at < :until)
order by v.instance_id limit :limit;

-- name: add_to_tally
insert into tally (account_id, subject, n) values (:account_id, :subject, :n)
on conflict (account_id, subject) do update set n = tally.n + excluded.n;

-- name: tallies
select account_id, subject, n from tally order by account_id, subject;

-- name: rule_states
select rule, version, digest, reason, source_index, ledger_index from rule_state order by rule;

-- name: set_rule_state
insert into rule_state (rule, version, digest, reason, source_index, ledger_index)
values (:rule, :version, :digest, :reason, :source_index, :ledger_index)
on conflict (rule) do update set version = excluded.version, digest = excluded.digest, reason = excluded.reason,
    source_index = excluded.source_index, ledger_index = excluded.ledger_index;
