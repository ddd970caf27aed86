-- Priced usage inside a billing period that was invoiced, for which no invoice has a line.
-- The period is known from an invoice of the same subscription that covers it; whether something is missing is judged
-- per item: any usage line of the item (or of its meter) that touches the usage makes it billed.
with closed_periods as (
  select source, invoice_id, number, status, bill_run_id, target_date, customer_id, subscription_id, period_start,
    period_end, created_at
  from invoices
  where subscription_id is not null
    and coalesce(status, '') <> 'void'
    and period_end > $window_start
    and period_end <= $window_end
    and period_start < period_end
),

line_invoices as (
  select
    source, invoice_id, subscription_id as invoice_subscription_id, status as invoice_status,
    case when period_start < period_end then period_start end as invoice_period_start,
    case when period_start < period_end then period_end end as invoice_period_end
  from invoices
),

-- The end of a period that a line does not tell is its invoice's.
dated_lines as (
  select
    l.source,
    l.item_id,
    coalesce(l.subscription_id, v.invoice_subscription_id) as subscription_id,
    l.meter,
    coalesce(
      l.period_start, case when coalesce(l.period_end > v.invoice_period_start, true) then v.invoice_period_start end
    ) as period_start,
    coalesce(
      l.period_end, case when coalesce(l.period_start < v.invoice_period_end, true) then v.invoice_period_end end
    ) as period_end
  from invoice_lines as l
  left join line_invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
  where l.kind = 'usage'
    and coalesce(v.invoice_status, '') <> 'void'
),

-- Where one end stays unknown the line bills a month at least: what it takes up is not known to be unbilled.
usage_lines as (
  select
    source, item_id, subscription_id, meter,
    coalesce(period_start, period_end - interval '31 days') as period_start,
    coalesce(period_end, period_start + interval '31 days') as period_end
  from dated_lines
  where coalesce(period_end, period_start) > $window_start - interval '400 days'
),

meter_lines as (
  select source, subscription_id, meter, period_start, period_end
  from usage_lines
  where item_id is null
),

-- What no line of its item touches: little is left of all usage to look up its invoice for.
unbilled_items as (
  select
    u.source, u.item_id, u.meter, u.usage_key, u.usage_date, u.first_occurred_at, u.last_occurred_at,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last
  from item_usage as u
  left anti join usage_lines as l
    on l.source = u.source
    and l.item_id = u.item_id
    and l.period_start <= u.last_occurred_at
    and u.first_occurred_at < l.period_end
  where u.item_id is not null
),

-- Usage that an invoice's period holds wholly, while its item was in effect. A trial is not billed.
usage_in_period as (
  select
    v.source, v.invoice_id, v.number, v.status, v.bill_run_id, v.target_date, v.period_start, v.period_end,
    i.customer_id, i.subscription_id, i.item_id, i.price_id, i.meter, i.unit, i.aggregation,
    u.usage_key, u.usage_date, u.first_occurred_at, u.last_occurred_at,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last
  from closed_periods as v
  join item_terms as i
    on i.source = v.source
    and i.subscription_id = v.subscription_id
  join unbilled_items as u
    on u.source = i.source
    and u.item_id = i.item_id
    and (i.meter is null or u.meter is null or u.meter = i.meter)
    and u.first_occurred_at >= v.period_start
    and u.last_occurred_at < v.period_end
  where (i.effective_from is null or u.first_occurred_at >= i.effective_from)
    and (i.effective_to is null or u.last_occurred_at < i.effective_to)
    and (i.trial_end_at is null or u.first_occurred_at >= i.trial_end_at)
),

-- Where several invoices cover the same usage (monthly and yearly ones), the shortest period is its period.
usage_once as (
  select
    source, invoice_id, number, status, bill_run_id, target_date, period_start, period_end, customer_id,
    subscription_id, item_id, price_id, meter, unit, aggregation, usage_key, usage_date, first_occurred_at,
    last_occurred_at, quantity_sum, record_count, quantity_max, quantity_min, quantity_last
  from usage_in_period
  qualify row_number() over (
    partition by source, item_id, usage_key, usage_date, first_occurred_at
    order by period_end, period_start desc, invoice_id
  ) = 1
),

-- Time between two charged periods of an item that is shorter than either is the finding of period-gap.
consecutive_lines as (
  select
    source, item_id as gap_item_id, period_start, period_end,
    lead(period_start) over by_start as next_start,
    lead(period_end) over by_start as next_end
  from usage_lines
  where item_id is not null
  window by_start as (partition by source, item_id order by period_start, period_end)
),

gaps as (
  select source, gap_item_id, period_end as gap_start, next_start as gap_end
  from consecutive_lines
  where next_start > period_end
    and (cast(next_start as bigint) - cast(period_end as bigint)) * 10 < 9 * greatest(
      cast(period_end as bigint) - cast(period_start as bigint), cast(next_end as bigint) - cast(next_start as bigint)
    )
),

unbilled as (
  select
    u.source, u.invoice_id, u.number, u.status, u.bill_run_id, u.target_date, u.period_start, u.period_end,
    u.customer_id, u.subscription_id, u.item_id, u.price_id, u.meter, u.unit, u.aggregation, u.first_occurred_at,
    u.last_occurred_at, u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last
  from usage_once as u
  -- A line without item bills its subscription's meter; without a meter too, it may bill any.
  left anti join meter_lines as m
    on m.source = u.source
    and m.subscription_id = u.subscription_id
    and (m.meter is null or u.meter is null or m.meter = u.meter)
    and m.period_start <= u.last_occurred_at
    and u.first_occurred_at < m.period_end
  left anti join gaps as g
    on g.source = u.source
    and g.gap_item_id = u.item_id
    and u.first_occurred_at >= g.gap_start
    and u.last_occurred_at < g.gap_end
),

item_periods as (
  select
    source, invoice_id, number, status, bill_run_id, target_date, period_start, period_end, customer_id,
    subscription_id, item_id, price_id, meter, unit,
    min(first_occurred_at) as first_used_at,
    max(last_occurred_at) as last_used_at,
    sum(record_count) as used_records,
    case aggregation
      when 'sum' then cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12))
      when 'count' then cast(sum(record_count) as decimal(38, 12))
      when 'max' then max(quantity_max)
      when 'min' then min(quantity_min)
      when 'last' then last_value(quantity_last order by last_occurred_at)
    end as used_quantity
  from unbilled
  group by
    source, invoice_id, number, status, bill_run_id, target_date, period_start, period_end, customer_id,
    subscription_id, item_id, price_id, meter, unit, aggregation
),

priced as (
  select
    p.source, p.invoice_id, p.number, p.status, p.bill_run_id, p.target_date, p.period_start, p.period_end,
    p.customer_id, p.subscription_id, p.item_id, p.price_id, p.meter, p.unit, p.first_used_at, p.last_used_at,
    p.used_records, p.used_quantity,
    t.currency,
    t.charge_model,
    t.product_name,
    rate(t.price, p.used_quantity) as amount
  from item_periods as p
  join price_periods as q
    on q.source = p.source
    and q.price_id = p.price_id
    and q.valid_from <= p.first_used_at
    and (q.valid_to is null or p.first_used_at < q.valid_to)
  join price_terms as t
    on t.source = q.source and t.price_id = q.price_id and t.effective_from = q.effective_from
  left anti join price_faults as f
    on f.source = t.source
    and f.price_id = t.price_id
    and f.effective_from = t.effective_from
    and f.stops_rating
  where coalesce(t.charge_type, 'usage') = 'usage'
    and t.charge_model not in ('prerated', 'custom', 'capacity')
    and p.used_quantity > 0
),

missing as (
  select
    source, invoice_id, number, status, bill_run_id, target_date, period_start, period_end, customer_id,
    subscription_id, item_id, price_id, meter, unit, first_used_at, last_used_at, used_records, used_quantity,
    currency, charge_model, product_name, amount
  from priced
  where amount > $tolerance
),

-- One row an item: its periods together, on the latest invoice, which may still be open.
items as (
  select
    source, item_id, customer_id, subscription_id, price_id, meter, unit, currency, charge_model, product_name,
    last_value(invoice_id order by period_end, invoice_id) as invoice_id,
    last_value(number order by period_end, invoice_id) as invoice_number,
    last_value(status order by period_end, invoice_id) as invoice_status,
    last_value(bill_run_id order by period_end, invoice_id) as bill_run_id,
    last_value(target_date order by period_end, invoice_id) as target_date,
    min(period_start) as period_start,
    max(period_end) as period_end,
    count(*) as unbilled_periods,
    min(first_used_at) as first_used_at,
    max(last_used_at) as last_used_at,
    sum(used_records) as used_records,
    cast(sum(cast(used_quantity as decimal(76, 12))) as decimal(38, 12)) as used_quantity,
    cast(sum(cast(amount as decimal(76, 12))) as decimal(38, 12)) as expected
  from missing
  group by
    source, item_id, customer_id, subscription_id, price_id, meter, unit, currency, charge_model, product_name
),

-- An item that was billed before lost its line; one that never was is not set up.
billed_items as (
  select source, item_id, max(period_end) as last_billed_until
  from dated_lines
  where item_id is not null
  group by source, item_id
),

-- Where other charges stand on the invoice the run did reach the subscription: what is missing is missing in its set-up.
filled_invoices as (
  select distinct source as filled_source, invoice_id as filled_invoice_id
  from invoice_lines
  where kind in ('usage', 'recurring', 'one_time', 'minimum')
)

select
  i.source,
  'subscription_item' as entity_type,
  i.item_id as entity_id,
  i.customer_id,
  i.subscription_id,
  i.item_id,
  i.invoice_id,
  i.bill_run_id,
  i.price_id,
  i.meter,
  i.period_start,
  i.period_end,
  i.target_date,
  i.invoice_status as entity_status,
  i.expected,
  cast(0 as decimal(38, 12)) as actual,
  i.currency,
  'usage_without_line' as reason,
  case when b.item_id is null then 'never_billed' else 'billed_before' end as explanation,
  case when b.item_id is null or o.filled_invoice_id is not null then 'configuration' else 'unknown' end as root_cause,
  i.invoice_number,
  i.used_quantity,
  i.unit as quantity_unit,
  i.used_records,
  i.first_used_at,
  i.last_used_at,
  i.unbilled_periods,
  b.last_billed_until,
  i.charge_model,
  i.product_name
from items as i
left join billed_items as b on b.source = i.source and b.item_id = i.item_id
left join filled_invoices as o on o.filled_source = i.source and o.filled_invoice_id = i.invoice_id
