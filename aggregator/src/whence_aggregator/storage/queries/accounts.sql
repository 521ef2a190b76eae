-- Plans of accounts that were applied.
-- types: limit int

-- name: add_account_plan
insert into account_plan (account_id, ledger_index, plan, report, begun_at, ended_at, applied_by, changed, failed, error)
values (:account_id, :ledger_index, :plan, :report, :begun_at, :ended_at, :applied_by, :changed, :failed, :error);

-- name: account_plans_of_report
select account_id, ledger_index from account_plan where report = :report order by ledger_index;

-- name: account_plans
-- types: before int
select account_id, ledger_index, plan, report, begun_at, ended_at, applied_by, changed, failed, error
from account_plan where ledger_index < :before order by ledger_index desc limit :limit;

-- name: account_plans_of
-- types: before int
select account_id, ledger_index, plan, report, begun_at, ended_at, applied_by, changed, failed, error
from account_plan where account_id = :account_id and ledger_index < :before order by ledger_index desc limit :limit;
