-- The wrong lines: what they are for, the price in force at their period's start, and the dates that decide what part
-- of a period they are for. The aggregation is found as in line_usage.
with items as (
  select
    source,
    item_id,
    effective_from as item_from,
    effective_to as item_to
  from subscription_items
),

single_items as (
  select source, subscription_id, meter, max(item_id) as single_item_id
  from item_terms
  group by source, subscription_id, meter
  having count(*) = 1
),

aggregations as (
  select source, item_id, aggregation as item_aggregation
  from item_terms
),

meter_terms as (
  select source, meter as meter_name, aggregation as meter_aggregation
  from meters
),

subscription_dates as (
  select
    source,
    subscription_id,
    started_at,
    coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as stopped_at
  from subscriptions
),

clocks as (
  select source, customer_id, timezone
  from customers
),

cycles as (
  select source, price_id, effective_from, product_id, billing_period, billing_period_count
  from prices
),

found as (
  select
    l.source, l.line_id, l.invoice_id, l.customer_id, l.subscription_id, coalesce(l.item_id, s.single_item_id) as item_id,
    l.price_id, l.meter, l.currency, l.price_currency, l.period_start, l.period_end, l.invoice_created_at,
    l.price_effective_from, l.aggregation, l.price
  from wrong_lines as w
  join line_terms as l on l.source = w.source and l.line_id = w.line_id
  left join single_items as s
    on s.source = l.source
    and s.subscription_id = l.subscription_id
    and s.meter = l.meter
    and l.item_id is null
)

select
  f.source,
  f.line_id,
  f.invoice_id,
  f.customer_id,
  f.subscription_id,
  f.item_id,
  f.price_id,
  t.product_id,
  f.meter,
  f.currency,
  coalesce(f.aggregation, a.item_aggregation, m.meter_aggregation, 'sum') as aggregation,
  f.price_effective_from,
  f.period_start,
  f.period_end,
  f.invoice_created_at,
  c.timezone,
  t.billing_period,
  t.billing_period_count,
  coalesce(i.item_from, d.started_at) as active_from,
  coalesce(i.item_to, d.stopped_at) as active_to,
  f.price
from found as f
left join items as i on i.source = f.source and i.item_id = f.item_id
left join aggregations as a on a.source = f.source and a.item_id = f.item_id
left join meter_terms as m on m.source = f.source and m.meter_name = f.meter
left join subscription_dates as d on d.source = f.source and d.subscription_id = f.subscription_id
left join clocks as c on c.source = f.source and c.customer_id = f.customer_id
left join cycles as t
  on t.source = f.source
  and t.price_id = f.price_id
  and t.effective_from = f.price_effective_from
