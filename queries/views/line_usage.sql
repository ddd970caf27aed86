-- materialise
-- What was used in the period of every usage line, by the aggregation of its price (else its meter's, else sum).
-- Days that lie wholly inside the period come from the rollup; days that straddle an edge, and the aggregations that no
-- rollup can serve, come from the records: exact to the second, and records are read for those days only.
-- No usage is 0 for sum, count, unique_count and weighted_sum, and NULL for max, min and last, where "no record" may
-- mean "as before". Lines of closed periods that end after the widest window's start.
with invoice_terms as (
  select source, invoice_id, subscription_id as invoice_subscription_id
  from invoices
),

items as (
  select
    source,
    item_id,
    subscription_id as item_subscription_id,
    price_id as item_price_id,
    meter as item_meter,
    aggregation as item_aggregation
  from item_terms
),

versions as (
  select
    q.source,
    q.price_id as version_price_id,
    q.valid_from,
    q.valid_to,
    p.meter as price_meter,
    p.aggregation as price_aggregation
  from price_periods as q
  join prices as p on p.source = q.source and p.price_id = q.price_id and p.effective_from = q.effective_from
),

meter_terms as (
  select source, meter as meter_name, aggregation as meter_aggregation
  from meters
),

lines as (
  select
    l.source,
    l.line_id,
    l.period_start,
    l.period_end,
    l.item_id,
    coalesce(l.subscription_id, i.item_subscription_id, v.invoice_subscription_id) as subscription_id,
    coalesce(l.meter, i.item_meter, p.price_meter) as meter,
    coalesce(p.price_aggregation, i.item_aggregation, m.meter_aggregation, 'sum') as aggregation
  from invoice_lines as l
  left join invoice_terms as v on v.source = l.source and v.invoice_id = l.invoice_id
  left join items as i on i.source = l.source and i.item_id = l.item_id
  left join versions as p
    on p.source = l.source
    and p.version_price_id = coalesce(l.price_id, i.item_price_id)
    and p.valid_from <= l.period_start
    and (p.valid_to is null or l.period_start < p.valid_to)
  left join meter_terms as m on m.source = l.source and m.meter_name = l.meter
  where l.kind = 'usage' and l.period_end > $window_start and l.period_end <= $as_of
),

single_items as (
  select source, subscription_id, meter, max(item_id) as single_item_id
  from item_terms
  group by source, subscription_id, meter
  having count(*) = 1
),

-- A line without item is its subscription's only item of that meter, if there is just one.
usage_lines as (
  select
    l.source,
    l.line_id,
    l.period_start,
    l.period_end,
    coalesce(l.item_id, s.single_item_id) as item_id,
    l.subscription_id,
    l.meter,
    l.aggregation
  from lines as l
  left join single_items as s
    on s.source = l.source
    and s.subscription_id = l.subscription_id
    and s.meter = l.meter
    and l.item_id is null
),

-- Rollup rows that touch the period: by item, and where one side has none, by subscription and meter.
touching as (
  select
    l.source, l.line_id, l.aggregation, l.period_start, l.period_end, u.meter, u.usage_key, u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.period_start and u.last_occurred_at < l.period_end as is_inside
  from usage_lines as l
  join item_usage as u
    on u.source = l.source
    and u.item_id = l.item_id
    and (l.meter is null or u.meter = l.meter)
    and u.last_occurred_at >= l.period_start
    and u.first_occurred_at < l.period_end
  union all
  select
    l.source, l.line_id, l.aggregation, l.period_start, l.period_end, u.meter, u.usage_key, u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.period_start and u.last_occurred_at < l.period_end as is_inside
  from usage_lines as l
  join item_usage as u
    on u.source = l.source
    and u.subscription_id = l.subscription_id
    and u.meter = l.meter
    and (l.item_id is null or u.item_id is null)
    and u.last_occurred_at >= l.period_start
    and u.first_occurred_at < l.period_end
),

-- One row per line and day: a day with any straddling row is read from the records as a whole, or not at all.
line_days as (
  select
    source,
    line_id,
    aggregation,
    period_start,
    period_end,
    meter,
    usage_key,
    usage_date,
    bool_and(is_inside) and aggregation not in ('unique_count', 'weighted_sum') as from_rollup,
    cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    sum(record_count) as record_count,
    max(quantity_max) as quantity_max,
    min(quantity_min) as quantity_min,
    last_value(quantity_last order by last_occurred_at) as quantity_last,
    max(last_occurred_at) as last_occurred_at
  from touching
  group by source, line_id, aggregation, period_start, period_end, meter, usage_key, usage_date
),

line_records as (
  select
    d.source, d.line_id, d.period_start, d.period_end,
    r.usage_id, r.quantity, r.unique_value, r.occurred_at, r.recorded_at
  from line_days as d
  join usage_records as r
    on r.source = d.source
    and r.usage_date = d.usage_date
    and r.meter = d.meter
    and case
      when r.item_id is not null then concat('i:', r.item_id)
      when r.subscription_id is not null then concat('s:', r.subscription_id)
      else concat('c:', r.customer_id)
    end = d.usage_key
  where not d.from_rollup
    and r.occurred_at >= d.period_start
    and r.occurred_at < d.period_end
    and coalesce(r.status, '') not in ('voided', 'error')
),

counted_records as (
  select r.source, r.line_id, r.period_start, r.period_end, r.usage_id, r.quantity, r.unique_value,
    r.occurred_at, r.recorded_at
  from line_records as r
  left anti join usage_duplicates as d on d.source = r.source and d.usage_id = r.usage_id
),

parts as (
  select
    source, line_id, quantity_sum, record_count, quantity_max, quantity_min, quantity_last, last_occurred_at,
    cast(null as bigint) as unique_values,
    cast(null as decimal(38, 12)) as weighted_sum
  from line_days
  where from_rollup
  union all
  select
    source,
    line_id,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    count(*) as record_count,
    max(quantity) as quantity_max,
    min(quantity) as quantity_min,
    last_value(quantity order by occurred_at, recorded_at, usage_id) as quantity_last,
    max(occurred_at) as last_occurred_at,
    count(distinct unique_value) as unique_values,
    -- Each change weighs by the part of the period that it was in force for; microseconds, divided once and last.
    cast(
      sum(
        cast(quantity as decimal(76, 12))
        * cast(cast(period_end as bigint) - cast(occurred_at as bigint) as decimal(20, 0))
      ) / cast(cast(max(period_end) as bigint) - cast(max(period_start) as bigint) as decimal(20, 0))
      as decimal(38, 12)
    ) as weighted_sum
  from counted_records
  group by source, line_id
),

totals as (
  select
    source,
    line_id,
    cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    sum(record_count) as record_count,
    max(quantity_max) as quantity_max,
    min(quantity_min) as quantity_min,
    last_value(quantity_last order by last_occurred_at) as quantity_last,
    max(unique_values) as unique_values,
    max(weighted_sum) as weighted_sum
  from parts
  group by source, line_id
)

select
  l.source,
  l.line_id,
  case l.aggregation
    when 'sum' then coalesce(t.quantity_sum, cast(0 as decimal(38, 12)))
    when 'count' then cast(coalesce(t.record_count, 0) as decimal(38, 12))
    when 'unique_count' then cast(coalesce(t.unique_values, 0) as decimal(38, 12))
    when 'weighted_sum' then coalesce(t.weighted_sum, cast(0 as decimal(38, 12)))
    when 'max' then t.quantity_max
    when 'min' then t.quantity_min
    when 'last' then t.quantity_last
  end as used_quantity,
  coalesce(t.record_count, 0) as used_records
from usage_lines as l
left join totals as t on t.source = l.source and t.line_id = l.line_id
