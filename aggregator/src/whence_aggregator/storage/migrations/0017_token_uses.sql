-- When each token of tokens_file was used last, by its hash; it is not in the log and not derived from it.
create table token_use (token text primary key, used_at text not null){compact};
