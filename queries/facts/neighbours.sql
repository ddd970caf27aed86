-- Usage that may have been counted with a wrong line's own, or in its place: of the customer's cancelled subscriptions,
-- of test customers of the same parent, and what metering has for the owner that a link names. Whole days of the rollup
-- inside the period: a day that straddles its edge is left out.
with lines as (
  select source, line_id, customer_id, subscription_id, item_id, meter, period_start, period_end
  from wrong_terms
),

days as (
  select
    source as day_source,
    item_id as day_item,
    subscription_id as day_subscription,
    customer_id as day_customer,
    meter as day_meter,
    quantity_sum, record_count, quantity_max, quantity_min, quantity_last, first_occurred_at, last_occurred_at
  from usage_daily
  where usage_date >= cast($window_start as date) and usage_date <= cast($window_end as date)
),

cancelled as (
  select source, subscription_id as cancelled_id, customer_id as cancelled_customer
  from subscriptions
  where status in ('cancelled', 'ended')
),

cancelled_usage as (
  select l.source, l.line_id, 'cancelled' as measure, l.period_start, l.period_end, c.cancelled_id, l.meter
  from lines as l
  join cancelled as c
    on c.source = l.source
    and c.cancelled_customer = l.customer_id
    and c.cancelled_id <> l.subscription_id
),

families as (
  select source, customer_id as member_id, coalesce(parent_customer_id, customer_id) as family_id, is_test
  from customers
),

test_usage as (
  select l.source, l.line_id, 'test' as measure, l.period_start, l.period_end, t.member_id, l.meter
  from lines as l
  join families as f on f.source = l.source and f.member_id = l.customer_id
  join families as t
    on t.source = f.source
    and t.family_id = f.family_id
    and t.member_id <> f.member_id
    and t.is_test
),

pairs as (
  select
    l.entity_type, l.source as billing_source, l.entity_id as billing_id, l.other_source as metering_source,
    l.other_entity_id as metering_id
  from entity_links as l
  join run_sources as m on m.source = l.other_source and m.role = 'metering'
  union
  select
    l.entity_type, l.other_source as billing_source, l.other_entity_id as billing_id, l.source as metering_source,
    l.entity_id as metering_id
  from entity_links as l
  join run_sources as m on m.source = l.source and m.role = 'metering'
),

owners as (
  select l.source, l.line_id, l.period_start, l.period_end, l.meter, 1 as nearness, 'item' as owner_type,
    p.metering_source, p.metering_id
  from lines as l
  join pairs as p on p.entity_type = 'item' and p.billing_source = l.source and p.billing_id = l.item_id
  union all
  select l.source, l.line_id, l.period_start, l.period_end, l.meter, 2 as nearness, 'subscription' as owner_type,
    p.metering_source, p.metering_id
  from lines as l
  join pairs as p
    on p.entity_type = 'subscription' and p.billing_source = l.source and p.billing_id = l.subscription_id
  union all
  select l.source, l.line_id, l.period_start, l.period_end, l.meter, 3 as nearness, 'customer' as owner_type,
    p.metering_source, p.metering_id
  from lines as l
  join pairs as p on p.entity_type = 'customer' and p.billing_source = l.source and p.billing_id = l.customer_id
),

meter_names as (
  select billing_source, billing_id as own_meter, metering_source, metering_id as metered_name
  from pairs
  where entity_type = 'meter'
),

metered_usage as (
  select
    o.source, o.line_id, o.period_start, o.period_end, o.nearness, o.owner_type, o.metering_source, o.metering_id,
    coalesce(n.metered_name, o.meter) as metered_name
  from owners as o
  left join meter_names as n
    on n.billing_source = o.source
    and n.own_meter = o.meter
    and n.metering_source = o.metering_source
),

metered_days as (
  select m.source, m.line_id, m.nearness, d.quantity_sum, d.record_count, d.quantity_max, d.quantity_min,
    d.quantity_last, d.last_occurred_at
  from metered_usage as m
  join days as d
    on d.day_source = m.metering_source
    and d.day_item = m.metering_id
    and d.day_meter = m.metered_name
    and d.first_occurred_at >= m.period_start
    and d.last_occurred_at < m.period_end
  where m.owner_type = 'item'
  union all
  select m.source, m.line_id, m.nearness, d.quantity_sum, d.record_count, d.quantity_max, d.quantity_min,
    d.quantity_last, d.last_occurred_at
  from metered_usage as m
  join days as d
    on d.day_source = m.metering_source
    and d.day_subscription = m.metering_id
    and d.day_meter = m.metered_name
    and d.first_occurred_at >= m.period_start
    and d.last_occurred_at < m.period_end
  where m.owner_type = 'subscription'
  union all
  select m.source, m.line_id, m.nearness, d.quantity_sum, d.record_count, d.quantity_max, d.quantity_min,
    d.quantity_last, d.last_occurred_at
  from metered_usage as m
  join days as d
    on d.day_source = m.metering_source
    and d.day_customer = m.metering_id
    and d.day_meter = m.metered_name
    and d.first_occurred_at >= m.period_start
    and d.last_occurred_at < m.period_end
  where m.owner_type = 'customer'
),

nearest as (
  select source, line_id, min(nearness) as nearest
  from metered_days
  group by source, line_id
),

parts as (
  select c.source, c.line_id, c.measure, d.quantity_sum, d.record_count, d.quantity_max, d.quantity_min,
    d.quantity_last, d.last_occurred_at
  from cancelled_usage as c
  join days as d
    on d.day_source = c.source
    and d.day_subscription = c.cancelled_id
    and d.day_meter = c.meter
    and d.first_occurred_at >= c.period_start
    and d.last_occurred_at < c.period_end
  union all
  select t.source, t.line_id, t.measure, d.quantity_sum, d.record_count, d.quantity_max, d.quantity_min,
    d.quantity_last, d.last_occurred_at
  from test_usage as t
  join days as d
    on d.day_source = t.source
    and d.day_customer = t.member_id
    and d.day_meter = t.meter
    and d.first_occurred_at >= t.period_start
    and d.last_occurred_at < t.period_end
  union all
  select m.source, m.line_id, 'metered' as measure, m.quantity_sum, m.record_count, m.quantity_max, m.quantity_min,
    m.quantity_last, m.last_occurred_at
  from metered_days as m
  join nearest as n on n.source = m.source and n.line_id = m.line_id and n.nearest = m.nearness
)

select
  source,
  line_id,
  measure,
  cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
  sum(record_count) as record_count,
  max(quantity_max) as quantity_max,
  min(quantity_min) as quantity_min,
  last_value(quantity_last order by last_occurred_at) as quantity_last,
  cast(null as bigint) as unique_values
from parts
group by source, line_id, measure
