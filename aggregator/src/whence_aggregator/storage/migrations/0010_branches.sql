-- Whether the default branch reaches a commit is asked of Git: also for the commits that were read before it was.
insert into task (kind, subject, due_at, attempts, reason)
select distinct 'commit-branch', subject, '1970-01-01T00:00:00.000Z', 0, '' from fact
where kind = 'commit' and outcome = 'found';
