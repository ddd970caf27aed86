-- Bill runs that ended well and left out subscriptions that were due at their target date.
-- Due: the rhythm of its earlier invoices reaches the date, and a fee or priced usage is waiting.
with runs as (
  select
    source, bill_run_id, number, status, target_date, executed_at, created_at,
    coalesce(executed_at, created_at) as ran_at
  from bill_runs
  where status in ('completed', 'posted') and target_date is not null
),

-- Only subscriptions that bill runs invoice can be missed by one.
missing as (
  select source, subscription_id, customer_id, period_start, expected_at, last_invoice_number, fee_amount, usage_amount
  from uninvoiced_periods
  where last_bill_run_id is not null
),

-- The first run that reaches the date is the one that should have made the invoice.
missed as (
  select
    m.source, m.subscription_id, m.customer_id, m.period_start, m.expected_at, m.last_invoice_number, r.bill_run_id
  from missing as m
  join runs as r
    on r.source = m.source
    and r.target_date >= cast(m.expected_at as date)
    and r.target_date <= cast(m.expected_at + interval '14 days' as date)
  qualify row_number() over (
    partition by m.source, m.subscription_id, m.period_start order by r.target_date, r.ran_at, r.bill_run_id
  ) = 1
),

missed_of_run as (
  select
    source,
    bill_run_id as missed_run_id,
    count(distinct subscription_id) as missing_count,
    count(distinct customer_id) as missing_customers,
    min(subscription_id) as first_missing_subscription,
    min(expected_at) as first_expected_at
  from missed
  group by source, bill_run_id
),

-- An invoice for several subscriptions stands for each of them.
subscriptions_of_run as (
  select source, bill_run_id as generated_run_id, count(distinct subscription_id) as line_subscriptions
  from billed_lines
  where bill_run_id is not null and subscription_id is not null
  group by source, bill_run_id
),

invoices_of_run as (
  select source, bill_run_id as invoiced_run_id, count(*) as invoice_count
  from invoices
  where bill_run_id is not null and coalesce(status, '') <> 'void'
  group by source, bill_run_id
),

compared as (
  select
    r.source, r.bill_run_id, r.number, r.status, r.target_date, r.executed_at, r.ran_at, m.missing_count,
    m.missing_customers, m.first_missing_subscription, m.first_expected_at,
    coalesce(v.invoice_count, 0) as invoice_count,
    greatest(coalesce(s.line_subscriptions, 0), coalesce(v.invoice_count, 0)) as generated_count
  from runs as r
  join missed_of_run as m on m.source = r.source and m.missed_run_id = r.bill_run_id
  left join subscriptions_of_run as s on s.source = r.source and s.generated_run_id = r.bill_run_id
  left join invoices_of_run as v on v.source = r.source and v.invoiced_run_id = r.bill_run_id
)

select
  source,
  'bill_run' as entity_type,
  bill_run_id as entity_id,
  number as entity_number,
  bill_run_id,
  -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
  ran_at as period_start,
  ran_at + interval '1 microsecond' as period_end,
  target_date,
  cast(executed_at as date) as execution_date,
  status as entity_status,
  cast(generated_count + missing_count as decimal(38, 12)) as expected,
  cast(generated_count as decimal(38, 12)) as actual,
  'subscriptions' as unit,
  case when generated_count = 0 then 'nothing_generated' else 'subscriptions_missing' end as reason,
  case when generated_count = 0 then 'run_is_empty' else 'run_is_partial' end as explanation,
  'integration' as root_cause,
  missing_count,
  missing_customers,
  invoice_count,
  first_missing_subscription,
  first_expected_at,
  ran_at
from compared
where ran_at >= $window_start
  and ran_at < $window_end
  and missing_count >= $min_missing
  and cast(generated_count as decimal(38, 12))
    < cast(
      cast($min_share as decimal(9, 6)) * cast(generated_count + missing_count as decimal(20, 0)) as decimal(38, 12)
    )
