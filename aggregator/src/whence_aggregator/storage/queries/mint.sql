-- mint: applications whose credentials are minted, and their generations.
-- types: limit int

-- name: mint_application
select application_id, revision, team_id, username, confidential, provider, credentials, redirect_url, buckets,
    clusters, scopes, client_id, last_modified, last_synced, synced, renewal_at, renewal_reason, revoked_at,
    missing_since, missing_seen, deleted_at, deleted_reason, gone_at, failures, bucket_errors
from mint_application where application_id = :application_id;

-- name: mint_applications
-- types: after str
select application_id, revision, team_id, username, confidential, provider, credentials, redirect_url, buckets,
    clusters, scopes, client_id, last_modified, last_synced, synced, renewal_at, renewal_reason, revoked_at,
    missing_since, missing_seen, deleted_at, deleted_reason, gone_at, failures, bucket_errors
from mint_application where application_id > :after and gone_at = ''
    and (cast(:team as text) is null or team_id = :team)
    and (cast(:failing as bigint) is null or (:failing = 1) = (failures <> '{}'))
order by application_id limit :limit;

-- A generation has no mac until the provider's answer could be used, and none if what ends it could not be opened.

-- name: possible_orphans
select kind, generation, provider, intended_at, ended_at from credential
where application_id = :application_id and step = 'ended' and mac = '' order by ledger_index desc limit :limit;

-- name: credential_changes
select ledger_index, step, changed_at, asked_by, reason, application from credential_change
where application_id = :application_id order by ledger_index desc limit :limit;

-- name: put_credential_change
insert into credential_change (ledger_index, application_id, step, changed_at, asked_by, reason, application)
values (:ledger_index, :application_id, :step, :changed_at, :asked_by, :reason, :application)
on conflict (ledger_index) do nothing;

-- name: mint_client_owners
select application_id from mint_application
where client_id = :client_id and application_id <> :application_id and gone_at = '' limit 1;

-- name: mint_deletions
-- types: since str, deleted int, missing int, known int
select cast(coalesce(sum(case when deleted_at > :since and missing_since <> '' then 1 else 0 end), 0) as bigint) as deleted,
    cast(coalesce(sum(case when deleted_at = '' and missing_since <> '' and gone_at = '' then 1 else 0 end), 0) as bigint)
        as missing,
    cast(coalesce(sum(case when gone_at = '' then 1 else 0 end), 0) as bigint) as known
from mint_application;

-- name: add_mint_application
insert into mint_application (application_id, revision, team_id, username, confidential, provider, credentials,
    redirect_url, buckets, clusters, scopes, client_id, last_modified, last_synced, synced, renewal_at,
    renewal_reason, revoked_at, missing_since, missing_seen, deleted_at, deleted_reason, gone_at, failures, bucket_errors)
values (:application_id, :revision, :team_id, :username, :confidential, :provider, :credentials, :redirect_url,
    :buckets, :clusters, :scopes, :client_id, :last_modified, :last_synced, :synced, :renewal_at, :renewal_reason,
    :revoked_at, :missing_since, :missing_seen, :deleted_at, :deleted_reason, :gone_at, :failures, :bucket_errors)
on conflict (application_id) do nothing returning revision;

-- The revision that was read is compared, so that of two writers one writes nothing.

-- name: write_mint_application
update mint_application set revision = :revision + 1, team_id = :team_id, username = :username,
    confidential = :confidential, provider = :provider, credentials = :credentials, redirect_url = :redirect_url,
    buckets = :buckets, clusters = :clusters, scopes = :scopes, client_id = :client_id,
    last_modified = :last_modified, last_synced = :last_synced, synced = :synced, renewal_at = :renewal_at,
    renewal_reason = :renewal_reason, revoked_at = :revoked_at, missing_since = :missing_since,
    missing_seen = :missing_seen, deleted_at = :deleted_at, deleted_reason = :deleted_reason, gone_at = :gone_at,
    failures = :failures, bucket_errors = :bucket_errors
where application_id = :application_id and revision = :revision returning revision;

-- name: queue_mint_applications
insert into task (kind, subject, due_at, attempts, reason, lane, host)
select 'mint', application_id, cast(:due_at as text), 0, '', 'mint', 'mint/' || provider from mint_application where gone_at = ''
on conflict (kind, subject) do nothing;

-- name: mint_generations
select application_id, kind, generation, revision, provider, phase, sealed, sealed_handle, handle, mac, written,
    intended_at, asked_at, verified_at, published_at, committed_at, ending_at, ended_at, end_reason, looks, disturbed
from mint_generation where {application_id in texts application_ids} order by application_id, intended_at, generation;

-- name: add_mint_generation
insert into mint_generation (application_id, kind, generation, revision, provider, phase, sealed, sealed_handle,
    handle, mac, written, intended_at, asked_at, verified_at, published_at, committed_at, ending_at, ended_at,
    end_reason, looks, disturbed)
values (:application_id, :kind, :generation, :revision, :provider, :phase, :sealed, :sealed_handle, :handle, :mac,
    :written, :intended_at, :asked_at, :verified_at, :published_at, :committed_at, :ending_at, :ended_at,
    :end_reason, :looks, :disturbed);

-- name: write_mint_generation
update mint_generation set revision = :revision + 1, phase = :phase, sealed = :sealed,
    sealed_handle = :sealed_handle, handle = :handle, mac = :mac, written = :written, asked_at = :asked_at,
    verified_at = :verified_at, published_at = :published_at, committed_at = :committed_at, ending_at = :ending_at,
    ended_at = :ended_at, end_reason = :end_reason, looks = :looks, disturbed = :disturbed
where application_id = :application_id and kind = :kind and generation = :generation and revision = :revision
returning revision;

-- name: forget_mint_generations
delete from mint_generation
where application_id = :application_id and kind = :kind and phase = 'ended' and generation <> :generation;

-- name: known_mint_log
select origin, restored_at from mint_log where id = 1;

-- name: put_mint_log
insert into mint_log (id, origin, restored_at) values (1, :origin, :restored_at)
on conflict (id) do update set origin = excluded.origin, restored_at = excluded.restored_at;

-- name: put_credential
insert into credential (application_id, kind, generation, ledger_index, provider, step, mac, written, intended_at,
    published_at, committed_at, ended_at)
values (:application_id, :kind, :generation, :ledger_index, :provider, :step, :mac, :written, :intended_at,
    :published_at, :committed_at, :ended_at)
on conflict (application_id, kind, generation) do update set ledger_index = excluded.ledger_index,
    step = excluded.step, mac = excluded.mac, written = excluded.written,
    intended_at = case when credential.intended_at <> '' then credential.intended_at else excluded.intended_at end,
    published_at = case when credential.published_at <> '' then credential.published_at else excluded.published_at end,
    committed_at = case when credential.committed_at <> '' then credential.committed_at else excluded.committed_at end,
    ended_at = case when credential.ended_at <> '' then credential.ended_at else excluded.ended_at end;
