create function refuse_change() returns trigger language plpgsql as
$$ begin raise exception 'the ledger is append-only'; end $$;
create trigger entry_no_delete before delete or truncate on entry for each statement execute function refuse_change();
create trigger entry_no_update before update on entry for each row
    when (new.body is not null or new.ledger_index <> old.ledger_index or new.kind <> old.kind
        or new.digest_head <> old.digest_head)
    execute function refuse_change();
