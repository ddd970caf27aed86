-- Invoices that are still a draft or pending long after they should have become final.
-- How long an invoice usually takes is learned from the source's own final ones; an invoice made before its period ends
-- waits for that end, unless the source's others do not.
with judged as (
  select
    source,
    invoice_id,
    number,
    customer_id,
    subscription_id,
    bill_run_id,
    status,
    currency,
    invoice_date,
    target_date,
    finalizes_at,
    finalized_at,
    period_start,
    period_end,
    total,
    updated_at,
    coalesce(created_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'), period_end) as made_at
  from invoices
),

classed as (
  select
    source, invoice_id, number, customer_id, subscription_id, bill_run_id, status, currency, invoice_date, target_date,
    finalizes_at, finalized_at, period_start, period_end, total, updated_at, made_at,
    coalesce(made_at < period_end, false) as is_early
  from judged
  where made_at < $window_end
),

-- Seconds from making, and from the end of the period, to the final state.
usual as (
  select
    source as usual_source,
    is_early as usual_is_early,
    count(*) as final_count,
    cast(
      median((cast(finalized_at as bigint) - cast(made_at as bigint)) / 1000000) as bigint
    ) as usual_wait,
    cast(
      median((cast(finalized_at as bigint) - cast(period_end as bigint)) / 1000000) as bigint
    ) as usual_wait_after_end
  from classed
  where finalized_at is not null
    and finalized_at >= made_at
    and status not in ('draft', 'pending', 'void')
    and made_at >= $window_start
  group by source, is_early
),

-- A run that failed or hangs holds its invoices: failed-bill-run tells of it as long as it looks back.
held_runs as (
  select source as held_source, bill_run_id as held_run_id
  from bill_runs
  where status in ('error', 'cancelled', 'pending', 'processing')
    and coalesce(executed_at, created_at, arrow_cast(target_date, 'Timestamp(Microsecond, Some("UTC"))'))
      >= $as_of - interval '14 days'
),

test_customers as (
  select source as test_source, customer_id as test_customer_id
  from customers
  where is_test
),

waiting as (
  select
    v.source, v.invoice_id, v.number, v.customer_id, v.subscription_id, v.bill_run_id, v.status, v.currency,
    v.target_date, v.finalizes_at, v.period_start, v.period_end, v.total, v.updated_at, v.made_at,
    coalesce(u.usual_wait, 0) as usual_wait,
    coalesce(u.final_count, 0) as final_count,
    v.is_early and coalesce(u.final_count < 5 or u.usual_wait_after_end >= 0, true) as waits_for_end,
    coalesce(u.usual_wait_after_end, 0) as usual_wait_after_end
  from classed as v
  left join usual as u on u.usual_source = v.source and u.usual_is_early = v.is_early
  left anti join held_runs as r on r.held_source = v.source and r.held_run_id = v.bill_run_id
  left anti join test_customers as t on t.test_source = v.source and t.test_customer_id = v.customer_id
  where v.status in ('draft', 'pending')
    -- An invoice over nothing keeps nobody's money waiting.
    and (v.total is distinct from cast(0 as decimal(38, 12)))
),

due as (
  select
    source, invoice_id, number, customer_id, subscription_id, bill_run_id, status, currency, target_date,
    finalizes_at, period_start, period_end, total, updated_at, made_at, usual_wait, final_count,
    case
      when finalizes_at is not null then cast(finalizes_at + cast($slack as interval) as bigint)
      when waits_for_end then
        greatest(
          cast(period_end + cast($grace as interval) as bigint),
          cast(period_end as bigint) + 2000000 * case when final_count >= 5 then usual_wait_after_end else 0 end
        )
      else
        greatest(
          cast(made_at + cast($grace as interval) as bigint),
          cast(made_at as bigint) + 2000000 * case when final_count >= 5 then usual_wait else 0 end
        )
    end as due_micros
  from waiting
)

select
  source,
  'invoice' as entity_type,
  invoice_id as entity_id,
  number as entity_number,
  customer_id,
  subscription_id,
  invoice_id,
  bill_run_id,
  period_start,
  period_end,
  target_date,
  status as entity_status,
  -- Due and not sent.
  total as expected,
  case when total is not null then cast(0 as decimal(38, 12)) end as actual,
  currency,
  status as reason,
  case
    when finalizes_at is not null then 'final_date_passed'
    when status = 'pending' then 'left_pending'
    else 'left_in_draft'
  end as explanation,
  case when finalizes_at is not null then 'integration' else 'manual' end as root_cause,
  made_at,
  finalizes_at,
  arrow_cast(due_micros, 'Timestamp(Microsecond, Some("UTC"))') as due_at,
  (cast($as_of as bigint) - due_micros) / 86400000000 as days_over,
  usual_wait / 3600 as usual_wait_hours,
  updated_at
from due
where due_micros < cast($as_of as bigint)
