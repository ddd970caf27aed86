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

named as (
  select
    l.source, l.line_id, l.invoice_id, l.customer_id, l.subscription_id, l.item_id, l.price_id, l.meter, l.currency,
    l.price_currency, l.period_start, l.period_end, l.invoice_created_at, l.price_effective_from, l.aggregation, l.price
  from wrong_lines as w
  join line_terms as l on l.source = w.source and l.line_id = w.line_id
),

lives as (
  select
    i.source, i.item_id as live_item_id, i.subscription_id as live_subscription_id, i.meter as live_meter,
    i.charge_type,
    coalesce(
      i.effective_from, d.started_at, arrow_cast('0001-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
    ) as live_from,
    coalesce(
      least(i.effective_to, d.stopped_at), arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
    ) as live_to
  from item_terms as i
  left join subscription_dates as d on d.source = i.source and d.subscription_id = i.subscription_id
),

-- A line without item is its subscription's only item of that meter, if there is just one in its period; without a
-- meter too, of any that charges for usage. As in line_usage.
line_items as (
  select
    l.source, l.line_id as itemless_line_id,
    count(*) as ever_items,
    max(i.live_item_id) as ever_item_id,
    count(*) filter (where i.live_from < l.period_end and i.live_to > l.period_start) as live_items,
    max(i.live_item_id) filter (where i.live_from < l.period_end and i.live_to > l.period_start) as live_item_id
  from named as l
  join lives as i
    on i.source = l.source
    and i.live_subscription_id = l.subscription_id
    and (i.live_meter = l.meter or (l.meter is null and coalesce(i.charge_type, 'usage') = 'usage'))
  where l.item_id is null
  group by l.source, l.line_id
),

found as (
  select
    l.source, l.line_id, l.invoice_id, l.customer_id, l.subscription_id, l.price_id, l.meter, l.currency,
    l.price_currency, l.period_start, l.period_end, l.invoice_created_at, l.price_effective_from, l.aggregation,
    l.price,
    case
      when l.item_id is not null then l.item_id
      when s.live_items = 1 then s.live_item_id
      when s.live_items = 0 and s.ever_items = 1 then s.ever_item_id
    end as item_id
  from named as l
  left join line_items as s on s.source = l.source and s.itemless_line_id = l.line_id
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
