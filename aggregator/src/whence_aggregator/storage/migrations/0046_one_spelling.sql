-- One spelling of each repository on hosts that ignore the case of paths; of the same rows, the first entry's stays.
delete from task where kind in ('commit', 'commit-branch', 'commit-signature', 'commit-range', 'range-tracking', 'review') and (subject like 'github.com/%' or subject like 'gitlab.com/%' or subject like 'bitbucket.org/%' or subject like 'dev.azure.com/%' or subject like 'codeberg.org/%')
    and exists (select 1 from task o where o.kind = task.kind and lower(o.subject) = lower(task.subject)
        and o.subject < task.subject);
update task set subject = lower(subject) where kind in ('commit', 'commit-branch', 'commit-signature', 'commit-range', 'range-tracking', 'review') and (subject like 'github.com/%' or subject like 'gitlab.com/%' or subject like 'bitbucket.org/%' or subject like 'dev.azure.com/%' or subject like 'codeberg.org/%') and subject <> lower(subject);

update fact set subject = lower(subject) where kind in ('commit', 'commit-branch', 'commit-signature', 'commit-range', 'range-tracking', 'review') and (subject like 'github.com/%' or subject like 'gitlab.com/%' or subject like 'bitbucket.org/%' or subject like 'dev.azure.com/%' or subject like 'codeberg.org/%') and subject <> lower(subject);

delete from image_commit where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and exists (
    select 1 from image_commit o where o.commit_id = image_commit.commit_id and o.image_digest = image_commit.image_digest and o.said_by = image_commit.said_by and lower(o.repository) = lower(image_commit.repository)
        and (o.ledger_index < image_commit.ledger_index or (o.ledger_index = image_commit.ledger_index and o.repository < image_commit.repository)));
update image_commit set repository = lower(repository) where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and repository <> lower(repository);

delete from commit_word where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and exists (
    select 1 from commit_word o where o.commit_id = commit_word.commit_id and o.word = commit_word.word and lower(o.repository) = lower(commit_word.repository)
        and (o.ledger_index < commit_word.ledger_index or (o.ledger_index = commit_word.ledger_index and o.repository < commit_word.repository)));
update commit_word set repository = lower(repository) where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and repository <> lower(repository);

delete from commit_person where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and exists (
    select 1 from commit_person o where o.commit_id = commit_person.commit_id and o.person = commit_person.person and lower(o.repository) = lower(commit_person.repository)
        and (o.ledger_index < commit_person.ledger_index or (o.ledger_index = commit_person.ledger_index and o.repository < commit_person.repository)));
update commit_person set repository = lower(repository) where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and repository <> lower(repository);

delete from review_name where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and exists (
    select 1 from review_name o where o.commit_id = review_name.commit_id and o.name = review_name.name and lower(o.repository) = lower(review_name.repository)
        and (o.ledger_index < review_name.ledger_index or (o.ledger_index = review_name.ledger_index and o.repository < review_name.repository)));
update review_name set repository = lower(repository) where (repository like 'github.com/%' or repository like 'gitlab.com/%' or repository like 'bitbucket.org/%' or repository like 'dev.azure.com/%' or repository like 'codeberg.org/%') and repository <> lower(repository);
