-- Invoices that became final while their usage was still running, or sooner than the time that the source leaves for
-- late usage, so that records which arrived in it are missing; and numbers that were given to two final invoices.
-- The records themselves are findings of late-usage; here it is the invoice that closed too soon.
with final_invoices as (
  select
    source,
    invoice_id as final_invoice_id,
    number as invoice_number,
    status as invoice_status,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    finalizes_at,
    finalized_at,
    total
  from invoices
  where finalized_at is not null
    and finalized_at < $window_end
    and coalesce(status, '') not in ('draft', 'pending', 'void')
),

item_ends as (
  select
    i.source,
    i.item_id as ending_item_id,
    i.meter as item_meter,
    i.price_id as item_price_id,
    i.subscription_id as item_subscription_id,
    least(i.effective_to, coalesce(s.ended_at, s.cancelled_at)) as item_ends_at
  from subscription_items as i
  left join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
),

usage_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.amount, l.period_start, l.period_end,
    coalesce(l.customer_id, v.invoice_customer_id) as customer_id,
    coalesce(l.subscription_id, e.item_subscription_id, v.invoice_subscription_id) as subscription_id,
    coalesce(l.price_id, e.item_price_id) as price_id,
    coalesce(l.meter, e.item_meter) as meter,
    coalesce(l.currency, v.invoice_currency) as currency,
    v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date, v.finalizes_at, v.finalized_at,
    -- What ended early was billed when it ended.
    least(l.period_end, coalesce(e.item_ends_at, l.period_end)) as usage_end
  from invoice_lines as l
  join final_invoices as v on v.source = l.source and v.final_invoice_id = l.invoice_id
  left join item_ends as e on e.source = l.source and e.ending_item_id = l.item_id
  where l.kind = 'usage'
    and l.period_start < l.period_end
    -- Half a year before the window, for what is usual.
    and l.period_end > $window_start - interval '183 days'
),

-- A price whose usage is billed ahead in most of its lines, in more than one month, is billed so on purpose.
habits as (
  select
    source as habit_source,
    price_id as habit_price_id
  from usage_lines
  group by source, price_id
  having count(*) filter (where finalized_at < usage_end) * 2 > count(*)
    and count(distinct case when finalized_at < usage_end then date_trunc('month', finalized_at) end) > 1
),

-- How long the source leaves between the end of the usage and the final invoice.
waits as (
  select
    source as wait_source,
    cast(median((cast(finalized_at as bigint) - cast(usage_end as bigint)) / 1000000) as bigint) as usual_wait,
    count(*) as wait_count
  from usage_lines
  where finalized_at >= usage_end
  group by source
),

timed as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.amount, l.period_start, l.period_end, l.customer_id,
    l.subscription_id, l.price_id, l.meter, l.currency, l.invoice_number, l.invoice_status, l.bill_run_id,
    l.target_date, l.finalizes_at, l.finalized_at, l.usage_end,
    l.finalized_at + cast($min_early as interval) <= l.usage_end as is_before_end,
    coalesce(w.usual_wait, 0) as usual_wait,
    -- Until when usage could have come: the invoice's own final date, else what is usual.
    case
      when l.finalizes_at > l.finalized_at + cast($min_early as interval) then cast(l.finalizes_at as bigint)
      when w.wait_count >= 10
        and (cast(l.finalized_at as bigint) - cast(l.usage_end as bigint)) / 500000 < w.usual_wait
        and cast(l.finalized_at + cast($min_early as interval) as bigint)
          <= cast(l.usage_end as bigint) + w.usual_wait * 1000000
        then cast(l.usage_end as bigint) + w.usual_wait * 1000000
    end as open_until
  from usage_lines as l
  left join waits as w on w.wait_source = l.source
  -- An invoice that is final before its period ends is over with the period.
  where greatest(l.finalized_at, l.period_end) >= $window_start
),

suspects as (
  select
    t.source, t.line_id, t.invoice_id, t.item_id, t.amount, t.period_start, t.period_end, t.customer_id,
    t.subscription_id, t.price_id, t.meter, t.currency, t.invoice_number, t.invoice_status, t.bill_run_id,
    t.target_date, t.finalizes_at, t.finalized_at, t.usage_end, t.usual_wait, t.is_before_end, t.open_until
  from timed as t
  left anti join habits as h on h.habit_source = t.source and (h.habit_price_id is not distinct from t.price_id)
  where t.is_before_end or t.open_until is not null
),

-- A later line of the item that reaches into the rest of the period takes up what this one misses.
later_lines as (
  select l.source, l.item_id as later_item_id, l.invoice_id as later_invoice_id, l.period_start as later_start,
    l.period_end as later_end
  from invoice_lines as l
  left anti join (
    select source, invoice_id as void_invoice_id from invoices where status = 'void'
  ) as v on v.source = l.source and v.void_invoice_id = l.invoice_id
  where l.kind = 'usage' and l.item_id is not null and l.period_end > $window_start
),

unbilled as (
  select
    s.source, s.line_id, s.invoice_id, s.item_id, s.amount, s.period_start, s.period_end, s.customer_id,
    s.subscription_id, s.price_id, s.meter, s.currency, s.invoice_number, s.invoice_status, s.bill_run_id,
    s.target_date, s.finalizes_at, s.finalized_at, s.usage_end, s.usual_wait, s.is_before_end, s.open_until
  from suspects as s
  left anti join later_lines as l
    on l.source = s.source
    and l.later_item_id = s.item_id
    and l.later_invoice_id <> s.invoice_id
    and l.later_start < s.usage_end
    and l.later_end > s.finalized_at
    and l.later_end > s.period_start
    and s.is_before_end
),

-- Only the days on which a record may have missed the invoice are read one by one.
missed_days as (
  select distinct
    s.source, s.line_id, s.period_start, s.usage_end, s.finalized_at, s.open_until, s.is_before_end,
    u.usage_key, u.meter, u.usage_date
  from unbilled as s
  join item_usage as u
    on u.source = s.source
    and u.item_id = s.item_id
    and u.last_occurred_at >= s.period_start
    and u.first_occurred_at < s.usage_end
    and (u.late_count > 0 or u.last_occurred_at >= s.finalized_at - interval '24 hours')
  where u.usage_date >= cast($window_start - interval '62 days' as date)
),

missed_records as (
  select
    d.source as missed_source,
    d.line_id as missed_line_id,
    count(*) as missed_count,
    cast(sum(cast(r.quantity as decimal(76, 12))) as decimal(38, 12)) as missed_quantity,
    min(r.recorded_at) as first_missed_at
  from missed_days as d
  join usage_records as r
    on r.source = d.source
    and r.usage_date = d.usage_date
    and coalesce(r.meter, '') = coalesce(d.meter, '')
    and case
      when r.item_id is not null then concat('i:', r.item_id)
      when r.subscription_id is not null then concat('s:', r.subscription_id)
      when r.customer_id is not null then concat('c:', r.customer_id)
    end = d.usage_key
  where r.usage_date >= cast($window_start - interval '62 days' as date)
    and r.occurred_at >= d.period_start
    and r.occurred_at < d.usage_end
    and r.recorded_at > d.finalized_at
    and (d.is_before_end or cast(r.recorded_at as bigint) <= d.open_until)
    and coalesce(r.status, '') not in ('voided', 'error', 'billed')
  group by d.source, d.line_id
),

early_lines as (
  select
    s.source, s.line_id, s.invoice_id, s.item_id, s.period_start, s.period_end, s.customer_id, s.subscription_id,
    s.price_id, s.meter, s.invoice_number, s.invoice_status, s.bill_run_id, s.target_date, s.finalizes_at,
    s.finalized_at, s.usage_end, s.usual_wait, s.is_before_end,
    coalesce(m.missed_count, 0) as missed_count,
    m.missed_quantity,
    m.first_missed_at
  from unbilled as s
  left join missed_records as m on m.missed_source = s.source and m.missed_line_id = s.line_id
  -- Closed a little sooner than usual and nothing missed is no harm.
  where s.is_before_end or m.missed_count > 0
),

-- One row an invoice, on the line that misses most.
early_invoices as (
  select
    source, line_id, invoice_id, item_id, period_start, period_end, customer_id, subscription_id, price_id, meter,
    invoice_number, invoice_status, bill_run_id, target_date, finalizes_at, finalized_at, usage_end, usual_wait,
    is_before_end, missed_count, missed_quantity, first_missed_at,
    count(*) over (partition by source, invoice_id) as early_line_count
  from early_lines
  qualify row_number() over (
    partition by source, invoice_id order by is_before_end desc, missed_count desc, line_id
  ) = 1
),

-- A number that two final invoices of a customer have: the first was made final twice.
numbered as (
  select
    source, final_invoice_id, invoice_number, invoice_status, invoice_customer_id, invoice_subscription_id,
    bill_run_id, target_date, finalized_at,
    first_value(final_invoice_id) over same_number as first_invoice_id,
    first_value(finalized_at) over same_number as first_finalized_at
  from final_invoices
  where trim(coalesce(invoice_number, '')) <> ''
  window same_number as (
    partition by source, invoice_customer_id, invoice_number order by finalized_at, final_invoice_id
  )
),

findings as (
  select
    source, invoice_id, invoice_number, customer_id, subscription_id, item_id, line_id, bill_run_id, price_id, meter,
    period_start, period_end, target_date, invoice_status, finalized_at, finalizes_at, usage_end, usual_wait,
    missed_count, missed_quantity, first_missed_at, early_line_count,
    case when is_before_end then 'before_period_end' else 'before_grace' end as explanation,
    cast(null as varchar) as other_invoice_id,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as other_finalized_at
  from early_invoices
  union all
  select
    source, final_invoice_id as invoice_id, invoice_number, invoice_customer_id as customer_id,
    invoice_subscription_id as subscription_id,
    cast(null as varchar) as item_id,
    cast(null as varchar) as line_id,
    bill_run_id,
    cast(null as varchar) as price_id,
    cast(null as varchar) as meter,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    finalized_at as period_start,
    finalized_at + interval '1 microsecond' as period_end,
    target_date, invoice_status, finalized_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as finalizes_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as usage_end,
    cast(null as bigint) as usual_wait,
    cast(null as bigint) as missed_count,
    cast(null as decimal(38, 12)) as missed_quantity,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as first_missed_at,
    cast(null as bigint) as early_line_count,
    'number_twice' as explanation,
    first_invoice_id as other_invoice_id,
    first_finalized_at as other_finalized_at
  from numbered
  where first_invoice_id <> final_invoice_id
    and finalized_at >= $window_start
)

select
  source,
  'invoice' as entity_type,
  invoice_id as entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  period_start,
  period_end,
  target_date,
  invoice_status as entity_status,
  case when explanation = 'number_twice' then 'final_twice' else 'final_too_early' end as reason,
  explanation,
  case when explanation = 'number_twice' then 'engine_defect' else 'configuration' end as root_cause,
  finalized_at,
  finalizes_at,
  usage_end,
  usual_wait / 3600 as usual_wait_hours,
  missed_count,
  missed_quantity,
  first_missed_at,
  early_line_count,
  other_invoice_id,
  other_finalized_at
from findings
