create function refuse_change() returns trigger language plpgsql as
$$ begin raise exception 'the ledger is append-only'; end $$;
create trigger entry_no_change before update or delete or truncate on entry
    for each statement execute function refuse_change();
