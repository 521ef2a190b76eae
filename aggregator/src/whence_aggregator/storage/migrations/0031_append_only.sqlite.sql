create trigger entry_no_delete before delete on entry begin select raise(abort, 'the ledger is append-only'); end;
create trigger entry_no_update before update on entry
when new.body is not null or new.ledger_index <> old.ledger_index or new.kind <> old.kind
    or new.digest_head <> old.digest_head
begin select raise(abort, 'the ledger is append-only'); end;
