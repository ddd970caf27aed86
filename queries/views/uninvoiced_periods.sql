-- materialise
-- Billing periods of active subscriptions that should have an invoice by the rhythm of the ones before, and have none:
-- after the last invoice, or between two. One row for each stretch of time without invoices, at its first period.
-- Only periods with something to bill count: a fee of that rhythm, or usage that costs something.
with prices_in_force as (
  select
    t.source,
    t.price_id as known_price_id,
    last_value(t.charge_type order by t.effective_from) as known_charge_type,
    last_value(t.price order by t.effective_from) as known_price
  from price_terms as t
  left anti join price_faults as f
    on f.source = t.source and f.price_id = t.price_id and f.effective_from = t.effective_from and f.stops_rating
  group by t.source, t.price_id
),

rhythms as (
  select
    source,
    price_id as rhythm_price_id,
    last_value(
      case billing_period when 'month' then 1 when 'quarter' then 3 when 'year' then 12 else 0 end
      * coalesce(billing_period_count, 1) order by effective_from
    ) as months,
    last_value(
      case billing_period when 'day' then 1 when 'week' then 7 else 0 end
      * coalesce(billing_period_count, 1) order by effective_from
    ) as days
  from prices
  where billing_period is not null and coalesce(charge_type, '') <> 'one_time'
  group by source, price_id
),

licences as (
  select source, item_id as licensed_item_id, quantity as licensed_quantity
  from subscription_items
),

subscription_terms as (
  select
    source, subscription_id, number as subscription_number, status as subscription_status, customer_id, currency,
    billing_anchor, trial_end_at
  from subscriptions
  where status in ('active', 'past_due') and ended_at is null
),

items as (
  select
    i.source, i.item_id, i.subscription_id, i.price_id, i.meter, i.aggregation, i.effective_from, i.effective_to,
    cast(r.months as bigint) as months,
    cast(r.days as bigint) as days,
    p.known_charge_type,
    p.known_price,
    coalesce(l.licensed_quantity, cast(1 as decimal(38, 12))) as licensed_quantity
  from item_terms as i
  join rhythms as r on r.source = i.source and r.rhythm_price_id = i.price_id
  join prices_in_force as p on p.source = i.source and p.known_price_id = i.price_id
  left join licences as l on l.source = i.source and l.licensed_item_id = i.item_id
  where i.effective_to is null or i.effective_to > $as_of
),

-- The shortest rhythm of its items is the one at which a subscription is invoiced.
paces as (
  select
    s.source, s.subscription_id, s.subscription_number, s.subscription_status, s.customer_id, s.currency,
    s.billing_anchor, s.trial_end_at,
    first_value(i.months order by i.months * 30 + i.days) as months,
    first_value(i.days order by i.months * 30 + i.days) as days,
    min(i.months * 30 + i.days) as pace
  from subscription_terms as s
  join items as i on i.source = s.source and i.subscription_id = s.subscription_id
  group by
    s.source, s.subscription_id, s.subscription_number, s.subscription_status, s.customer_id, s.currency,
    s.billing_anchor, s.trial_end_at
),

-- An invoice that names no subscription belongs to those of its lines: by their usage, else by their fees.
line_periods as (
  select
    source, invoice_id, subscription_id, invoice_number, bill_run_id, made_at,
    coalesce(min(period_start) filter (where kind = 'usage'), min(period_start)) as period_start,
    coalesce(max(period_end) filter (where kind = 'usage'), max(period_end)) as period_end
  from billed_lines
  where kind in ('usage', 'recurring') and subscription_id is not null and period_start < period_end
  group by source, invoice_id, subscription_id, invoice_number, bill_run_id, made_at
),

named_periods as (
  select
    source, invoice_id, subscription_id, number as invoice_number, bill_run_id,
    coalesce(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))')) as made_at,
    period_start,
    period_end
  from invoices
  where subscription_id is not null and period_start < period_end and coalesce(status, '') <> 'void'
),

invoiced as (
  select source, invoice_id, subscription_id, invoice_number, bill_run_id, made_at, period_start, period_end
  from named_periods
  union all
  select l.source, l.invoice_id, l.subscription_id, l.invoice_number, l.bill_run_id, l.made_at, l.period_start,
    l.period_end
  from line_periods as l
  left anti join named_periods as n
    on n.source = l.source and n.invoice_id = l.invoice_id and n.subscription_id = l.subscription_id
),

-- A yearly invoice among monthly ones says nothing about the months.
ordered as (
  select
    v.source, v.subscription_id, v.invoice_id, v.invoice_number, v.bill_run_id, v.made_at, v.period_start,
    v.period_end, p.subscription_number, p.subscription_status, p.customer_id, p.currency, p.billing_anchor,
    p.trial_end_at, p.months, p.days, p.pace,
    max(v.period_end) over (
      partition by v.source, v.subscription_id order by v.period_start, v.period_end, v.invoice_id
      rows between unbounded preceding and current row
    ) as covered_until,
    lead(v.period_start) over (
      partition by v.source, v.subscription_id order by v.period_start, v.period_end, v.invoice_id
    ) as next_start
  from invoiced as v
  join paces as p on p.source = v.source and p.subscription_id = v.subscription_id
  where cast(v.period_end as bigint) - cast(v.period_start as bigint) <= p.pace * 129600000000
),

stretches as (
  select
    source, subscription_id, subscription_number, subscription_status, customer_id, currency, billing_anchor, months,
    days, pace, invoice_id, invoice_number, bill_run_id, made_at, period_start, period_end, next_start,
    greatest(covered_until, trial_end_at) as missing_start,
    -- Invoices are made as late as the one before was: after their period, or at its start when billed in advance.
    made_at < arrow_cast(
      cast(period_start as bigint) + (cast(period_end as bigint) - cast(period_start as bigint)) / 2,
      'Timestamp(Microsecond, Some("UTC"))'
    ) as is_in_advance,
    -- How many months the end of the invoiced time lies behind the anchor.
    (date_part('year', covered_until) - date_part('year', billing_anchor)) * 12
      + date_part('month', covered_until) - date_part('month', billing_anchor) as anchor_months
  from ordered
  where covered_until = period_end
    and (next_start is null or next_start > covered_until)
    and period_end > $window_start - interval '400 days'
),

-- Months are counted from the anchor, so that the 31st comes back after February; where invoices do not end on the
-- anchor's day they are counted from the last end.
expected as (
  select
    source, subscription_id, subscription_number, subscription_status, customer_id, currency, invoice_id,
    invoice_number, bill_run_id, made_at, period_start as last_start, period_end as last_end, next_start,
    missing_start, pace, months, days,
    coalesce(is_in_advance, false) as is_in_advance,
    case
      when months = 0 then missing_start + cast(concat(cast(days as varchar), ' days') as interval)
      when billing_anchor is not null
        and abs(
          cast(billing_anchor + cast(concat(cast(anchor_months as varchar), ' months') as interval) as bigint)
          - cast(missing_start as bigint)
        ) <= 86400000000
        then billing_anchor + cast(concat(cast(anchor_months + months as varchar), ' months') as interval)
      else missing_start + cast(concat(cast(months as varchar), ' months') as interval)
    end as missing_end
  from stretches
),

due as (
  select
    source, subscription_id, subscription_number, subscription_status, customer_id, currency, invoice_id,
    invoice_number, bill_run_id, made_at, last_start, last_end, next_start, missing_start, missing_end, is_in_advance,
    months, days,
    case when is_in_advance then missing_start else missing_end end as expected_at,
    case
      when is_in_advance then greatest(cast(made_at as bigint) - cast(last_start as bigint), 0)
      else greatest(coalesce(cast(made_at as bigint) - cast(last_end as bigint), 0), 0)
    end as usual_delay,
    case
      when next_start is not null then cast(next_start as bigint) - cast(missing_start as bigint)
    end as stretch_length
  from expected
),

-- Between two invoices a whole period must fit: less is the finding of period-gap.
missed as (
  select
    source, subscription_id, subscription_number, subscription_status, customer_id, currency, invoice_id,
    invoice_number, bill_run_id, missing_start, missing_end, next_start, is_in_advance, months, days, expected_at,
    arrow_cast(cast(expected_at as bigint) + usual_delay, 'Timestamp(Microsecond, Some("UTC"))') as due_at
  from due
  where expected_at < $as_of
    and (
      next_start is null
      or stretch_length * 10 >= (cast(missing_end as bigint) - cast(missing_start as bigint)) * 9
    )
),

-- What each item would have on the missing invoice: its fee, or its usage inside the period.
item_worths as (
  select
    m.source, m.subscription_id, m.subscription_number, m.subscription_status, m.customer_id, m.currency,
    m.missing_start, m.missing_end, m.expected_at, m.due_at, m.is_in_advance, m.invoice_id, m.invoice_number,
    m.bill_run_id, m.next_start, i.item_id, i.known_charge_type, i.known_price,
    case
      when i.known_charge_type = 'recurring' then i.licensed_quantity
      when i.aggregation = 'count' then cast(sum(u.record_count) as decimal(38, 12))
      when i.aggregation = 'max' then max(u.quantity_max)
      when i.aggregation = 'min' then min(u.quantity_min)
      when i.aggregation = 'last' then last_value(u.quantity_last order by u.last_occurred_at)
      else cast(sum(cast(u.quantity_sum as decimal(76, 12))) as decimal(38, 12))
    end as quantity
  from missed as m
  join items as i on i.source = m.source and i.subscription_id = m.subscription_id
  left join item_usage as u
    on u.source = i.source
    and u.item_id = i.item_id
    and (i.meter is null or u.meter is null or u.meter = i.meter)
    and u.first_occurred_at >= m.missing_start
    and u.last_occurred_at < m.missing_end
  where get_field(i.known_price, 'charge_model') not in ('prerated', 'custom', 'capacity')
    and (i.effective_from is null or i.effective_from < m.missing_end)
    and (
      (i.known_charge_type = 'recurring' and i.months = m.months and i.days = m.days)
      or (i.known_charge_type = 'usage' and i.aggregation not in ('unique_count', 'weighted_sum'))
    )
  group by
    m.source, m.subscription_id, m.subscription_number, m.subscription_status, m.customer_id, m.currency,
    m.missing_start, m.missing_end, m.expected_at, m.due_at, m.is_in_advance, m.invoice_id, m.invoice_number,
    m.bill_run_id, m.next_start, i.item_id, i.known_charge_type, i.known_price, i.licensed_quantity, i.aggregation
),

rated as (
  select
    source, subscription_id, subscription_number, subscription_status, customer_id, currency, missing_start,
    missing_end, expected_at, due_at, is_in_advance, invoice_id, invoice_number, bill_run_id, next_start,
    known_charge_type,
    rate(known_price, quantity) as worth
  from item_worths
  where quantity > 0
)

select
  source,
  subscription_id,
  subscription_number,
  subscription_status,
  customer_id,
  currency,
  missing_start as period_start,
  missing_end as period_end,
  expected_at,
  due_at,
  is_in_advance,
  invoice_id as last_invoice_id,
  invoice_number as last_invoice_number,
  bill_run_id as last_bill_run_id,
  next_start as next_invoiced_from,
  cast(
    sum(cast(case when known_charge_type = 'recurring' then worth else 0 end as decimal(76, 12))) as decimal(38, 12)
  ) as fee_amount,
  cast(
    sum(cast(case when known_charge_type = 'usage' then worth else 0 end as decimal(76, 12))) as decimal(38, 12)
  ) as usage_amount
from rated
group by
  source, subscription_id, subscription_number, subscription_status, customer_id, currency, missing_start, missing_end,
  expected_at, due_at, is_in_advance, invoice_id, invoice_number, bill_run_id, next_start
having sum(cast(worth as decimal(76, 12))) > 0
