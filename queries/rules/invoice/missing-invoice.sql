-- Active subscriptions that have no invoice for a period that is over, although they were invoiced before it.
-- A void invoice of the period says why, else the bill run: it failed, it went without the subscription, or there was
-- none. Where later periods are invoiced the schedule is alive and passed this one over.
with missing as (
  select
    source, subscription_id, subscription_number, subscription_status, customer_id, currency, period_start,
    period_end, expected_at, due_at, is_in_advance, last_invoice_id, last_invoice_number, last_bill_run_id,
    next_invoiced_from, fee_amount, usage_amount
  from uninvoiced_periods
  where due_at <= $window_end
    and period_end > $window_start
),

runs as (
  select
    source,
    bill_run_id,
    status,
    target_date,
    status in ('completed', 'posted') as is_complete
  from bill_runs
  where status in ('completed', 'posted', 'error', 'cancelled')
    and target_date is not null
    and coalesce(executed_at, created_at, arrow_cast(target_date, 'Timestamp(Microsecond, Some("UTC"))')) < $window_end
),

-- The run that should have made the invoice: the first complete one that reaches it, else the last that failed.
run_of_missing as (
  select
    m.source,
    m.subscription_id as run_subscription_id,
    m.period_start as run_period_start,
    first_value(r.bill_run_id order by r.is_complete desc, r.target_date, r.bill_run_id) as bill_run_id,
    first_value(r.status order by r.is_complete desc, r.target_date, r.bill_run_id) as run_status,
    first_value(r.target_date order by r.is_complete desc, r.target_date, r.bill_run_id) as target_date
  from missing as m
  join runs as r
    on r.source = m.source
    and r.target_date >= cast(m.expected_at as date)
    and r.target_date <= cast(m.expected_at + interval '14 days' as date)
  group by m.source, m.subscription_id, m.period_start
),

-- An invoice of the period that was taken back. One that names no subscription belongs to those of its lines.
voided_periods as (
  select source, subscription_id, invoice_id, number, created_at, period_start, period_end
  from invoices
  where status = 'void' and subscription_id is not null
  union all
  select l.source, l.subscription_id, l.invoice_id, v.number, v.created_at, min(l.period_start) as period_start,
    max(l.period_end) as period_end
  from invoice_lines as l
  join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
  where v.status = 'void' and v.subscription_id is null and l.subscription_id is not null
  group by l.source, l.subscription_id, l.invoice_id, v.number, v.created_at
),

void_of_missing as (
  select
    m.source,
    m.subscription_id as void_subscription_id,
    m.period_start as void_period_start,
    last_value(v.invoice_id order by v.created_at, v.invoice_id) as void_invoice_id,
    last_value(v.number order by v.created_at, v.invoice_id) as void_invoice_number
  from missing as m
  join voided_periods as v
    on v.source = m.source
    and v.subscription_id = m.subscription_id
    and v.period_start < m.period_end
    and v.period_end > m.period_start
  group by m.source, m.subscription_id, m.period_start
),

sources_with_runs as (
  select source from bill_runs group by source
)

select
  m.source,
  'subscription' as entity_type,
  m.subscription_id as entity_id,
  m.subscription_number as entity_number,
  m.customer_id,
  m.subscription_id,
  v.void_invoice_id as invoice_id,
  r.bill_run_id,
  m.period_start,
  m.period_end,
  r.target_date,
  m.subscription_status as entity_status,
  case when m.next_invoiced_from is null then 'not_invoiced_since' else 'period_skipped' end as reason,
  case
    when v.void_invoice_id is not null then 'voided_not_rebilled'
    when r.run_status in ('error', 'cancelled') then 'bill_run_failed'
    when r.run_status is not null then 'left_out_of_run'
    when s.source is not null and m.last_bill_run_id is not null then 'no_bill_run'
    when m.next_invoiced_from is not null then 'period_passed_over'
    else 'no_invoice'
  end as explanation,
  case
    when v.void_invoice_id is not null then 'manual'
    when r.run_status in ('error', 'cancelled') then 'integration'
    when r.run_status is not null then 'engine_defect'
    when s.source is not null and m.last_bill_run_id is not null then 'manual'
    when m.next_invoiced_from is not null then 'engine_defect'
    else 'unknown'
  end as root_cause,
  m.expected_at,
  m.due_at,
  m.is_in_advance,
  m.last_invoice_id,
  m.last_invoice_number,
  m.next_invoiced_from,
  r.run_status,
  v.void_invoice_number,
  -- What the invoice would hold before discount and tax, as far as prices and usage tell.
  m.fee_amount as likely_fees,
  m.usage_amount as likely_usage,
  m.currency as likely_currency
from missing as m
left join run_of_missing as r
  on r.source = m.source and r.run_subscription_id = m.subscription_id and r.run_period_start = m.period_start
left join void_of_missing as v
  on v.source = m.source and v.void_subscription_id = m.subscription_id and v.void_period_start = m.period_start
left join sources_with_runs as s on s.source = m.source
-- Where the run is over nothing more will come by itself.
where r.run_status is not null or m.due_at + cast($grace as interval) <= $window_end
