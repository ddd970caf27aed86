-- Time between two charged periods of an item that no line charges, while the item was in effect.
-- A gap as long as a whole period is a charge or an invoice left out: missing-invoice and unbilled-usage look for those.
-- A usage charge has a gap only where something was used in it: platforms leave out lines of no usage.
with periods as (
  select
    source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, kind, amount, currency,
    period_start, period_end, is_prorated, invoice_number, invoice_status, bill_run_id, target_date, made_at,
    coalesce(meter, '') as charge_meter
  from billed_lines
  where kind in ('usage', 'recurring')
    and amount >= 0
    and item_id is not null
    and period_start < period_end
    and period_end > $window_start - interval '800 days'
),

followed as (
  select
    source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, kind, amount, currency,
    period_start, period_end, is_prorated, invoice_number, invoice_status, bill_run_id, target_date, made_at,
    charge_meter,
    max(period_end) over before as billed_until,
    last_value(period_start) over before as previous_start,
    last_value(period_end) over before as previous_end,
    last_value(line_id) over before as previous_line_id,
    last_value(invoice_number) over before as previous_invoice_number
  from periods
  window before as (
    partition by source, item_id, kind, charge_meter
    order by period_start, period_end, line_id
    rows between unbounded preceding and 1 preceding
  )
),

item_times as (
  select
    source, item_id as timed_item_id, meter as item_meter, unit, effective_from, effective_to, trial_end_at, ended_at
  from item_terms
),

-- Lines that print one charge in parts have the same period: the first of them stands for it.
gaps as (
  select
    f.source, f.line_id, f.invoice_id, f.customer_id, f.subscription_id, f.item_id, f.price_id, f.kind, f.amount,
    f.currency, f.period_start, f.period_end, f.invoice_number, f.invoice_status, f.bill_run_id, f.target_date,
    f.previous_line_id, f.previous_invoice_number, f.previous_start, f.previous_end,
    coalesce(i.item_meter, nullif(f.charge_meter, '')) as meter,
    i.unit,
    greatest(f.billed_until, i.effective_from, i.trial_end_at) as gap_start,
    f.period_start as gap_end,
    cast(f.period_end as bigint) - cast(f.period_start as bigint) as period_length,
    cast(f.previous_end as bigint) - cast(f.previous_start as bigint) as previous_length
  from followed as f
  left join item_times as i on i.source = f.source and i.timed_item_id = f.item_id
  where f.period_start > f.billed_until
    -- A gap is over when the line after it is made, or begins: the later of the two.
    and greatest(coalesce(f.made_at, f.period_end), f.period_start) >= $window_start
    and coalesce(f.made_at, f.period_end) < $window_end
    -- What is charged after the end is the finding of billed-after-end.
    and (i.effective_to is null or i.effective_to > f.billed_until)
    and (i.ended_at is null or i.ended_at > f.billed_until)
),

partial_gaps as (
  select
    source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, kind, amount, currency,
    period_start, period_end, invoice_number, invoice_status, bill_run_id, target_date, previous_line_id,
    previous_invoice_number, previous_start, previous_end, meter, unit, gap_start, gap_end, period_length,
    cast(gap_end as bigint) - cast(gap_start as bigint) as gap_length
  from gaps
  where gap_start + cast($min_gap as interval) <= gap_end
    and gap_start < gap_end
    and (cast(gap_end as bigint) - cast(gap_start as bigint)) * 10 < greatest(period_length, previous_length) * 9
),

-- Usage inside the gap: whole rows of the rollup, and for those that straddle an edge their records.
touching as (
  select
    g.source, g.line_id, g.gap_start, g.gap_end, u.meter, u.usage_key, u.usage_date, u.quantity_sum, u.record_count,
    u.first_occurred_at, u.last_occurred_at,
    u.first_occurred_at >= g.gap_start and u.last_occurred_at < g.gap_end as is_inside
  from partial_gaps as g
  join item_usage as u
    on u.source = g.source
    and u.item_id = g.item_id
    and (g.meter is null or u.meter is null or u.meter = g.meter)
    and u.last_occurred_at >= g.gap_start
    and u.first_occurred_at < g.gap_end
  where g.kind = 'usage'
),

edge_records as (
  select t.source, t.line_id, r.usage_id, r.quantity, r.occurred_at
  from touching as t
  join usage_records as r
    on r.source = t.source
    and r.usage_date = t.usage_date
    and coalesce(r.meter, '') = coalesce(t.meter, '')
    and case
      when r.item_id is not null then concat('i:', r.item_id)
      when r.subscription_id is not null then concat('s:', r.subscription_id)
      when r.customer_id is not null then concat('c:', r.customer_id)
    end = t.usage_key
  where not t.is_inside
    and r.usage_date >= cast($window_start - interval '800 days' as date)
    and r.occurred_at >= t.gap_start
    and r.occurred_at < t.gap_end
    and coalesce(r.status, '') not in ('voided', 'error')
),

parts as (
  select source, line_id, quantity_sum as quantity, record_count, first_occurred_at as first_used_at
  from touching
  where is_inside
  union all
  select e.source, e.line_id, e.quantity, 1 as record_count, e.occurred_at as first_used_at
  from edge_records as e
  left anti join usage_duplicates as d on d.source = e.source and d.usage_id = e.usage_id
),

used as (
  select
    source,
    line_id as used_line_id,
    sum(record_count) as used_records,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as used_quantity,
    min(first_used_at) as first_used_at
  from parts
  group by source, line_id
),

judged as (
  select
    g.source, g.line_id, g.invoice_id, g.customer_id, g.subscription_id, g.item_id, g.price_id, g.kind, g.amount,
    g.currency, g.period_start, g.period_end, g.invoice_number, g.invoice_status, g.bill_run_id, g.target_date,
    g.previous_line_id, g.previous_invoice_number, g.previous_start, g.previous_end, g.meter, g.unit, g.gap_start,
    g.gap_end, g.period_length, g.gap_length, u.used_records, u.used_quantity, u.first_used_at
  from partial_gaps as g
  left join used as u on u.source = g.source and u.used_line_id = g.line_id
  where g.kind = 'recurring' or u.used_records > 0
)

select
  source,
  'invoice_line' as entity_type,
  line_id as entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  gap_start as period_start,
  gap_end as period_end,
  target_date,
  invoice_status as entity_status,
  case when kind = 'usage' then used_quantity end as expected,
  case when kind = 'usage' then cast(0 as decimal(38, 12)) end as actual,
  case when kind = 'usage' then coalesce(unit, 'quantity') end as unit,
  case kind when 'usage' then 'usage_in_gap' else 'fee_skips_time' end as reason,
  case
    when gap_length < 86400000000 then 'part_of_a_day'
    when gap_length = 86400000000 then 'one_day'
    else 'several_days'
  end as explanation,
  'engine_defect' as root_cause,
  kind,
  cast(gap_length / 1000000 as bigint) as gap_seconds,
  previous_line_id,
  previous_invoice_number,
  previous_start as previous_period_start,
  previous_end as previous_period_end,
  period_start as line_period_start,
  period_end as line_period_end,
  used_records,
  first_used_at,
  -- The gap's share of the line by time: what a fee for it would come to, about.
  case
    when kind = 'recurring' then
      money_round(
        cast(
          amount * cast(gap_length / 1000000 as decimal(20, 0))
          / cast(greatest(period_length / 1000000, 1) as decimal(20, 0)) as decimal(38, 12)
        ),
        currency
      )
  end as likely_amount,
  currency as likely_currency
from judged
