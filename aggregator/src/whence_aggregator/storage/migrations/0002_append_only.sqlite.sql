create trigger entry_no_update before update on entry begin select raise(abort, 'the ledger is append-only'); end;
create trigger entry_no_delete before delete on entry begin select raise(abort, 'the ledger is append-only'); end;
