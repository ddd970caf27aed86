-- What was used in the periods that may have been taken for a wrong line's own. Days wholly inside come from the rollup,
-- days that straddle an edge from the records, as in line_usage. A period without usage has no row.
with span_lines as (
  select
    s.source, s.line_id, s.measure, s.span_start, s.span_end, w.item_id, w.subscription_id, w.meter
  from spans as s
  join wrong_terms as w on w.source = s.source and w.line_id = s.line_id
),

days as (
  select
    source, item_id, subscription_id, meter, usage_key, usage_date, quantity_sum, record_count, quantity_max,
    quantity_min, quantity_last, first_occurred_at, last_occurred_at
  from item_usage
  where usage_date >= cast($window_start as date) and usage_date <= cast($window_end as date)
),

touching as (
  select
    l.source, l.line_id, l.measure, l.span_start, l.span_end, u.meter, u.usage_key, u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.span_start and u.last_occurred_at < l.span_end as is_inside
  from span_lines as l
  join days as u
    on u.source = l.source
    and u.item_id = l.item_id
    and (l.meter is null or u.meter is null or u.meter = l.meter)
    and u.last_occurred_at >= l.span_start
    and u.first_occurred_at < l.span_end
  union all
  select
    l.source, l.line_id, l.measure, l.span_start, l.span_end, u.meter, u.usage_key, u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.span_start and u.last_occurred_at < l.span_end as is_inside
  from span_lines as l
  join days as u
    on u.source = l.source
    and u.subscription_id = l.subscription_id
    and coalesce(u.meter, '') = coalesce(l.meter, '')
    and (l.item_id is null or u.item_id is null)
    and u.last_occurred_at >= l.span_start
    and u.first_occurred_at < l.span_end
),

-- One row per period and day: a day with any straddling row is read from the records as a whole, or not at all.
span_days as (
  select
    source,
    line_id,
    measure,
    span_start,
    span_end,
    meter,
    usage_key,
    usage_date,
    bool_and(is_inside) as from_rollup,
    cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    sum(record_count) as record_count,
    max(quantity_max) as quantity_max,
    min(quantity_min) as quantity_min,
    last_value(quantity_last order by last_occurred_at) as quantity_last,
    max(last_occurred_at) as last_occurred_at
  from touching
  group by source, line_id, measure, span_start, span_end, meter, usage_key, usage_date
),

raw as (
  select
    source,
    usage_id,
    usage_date as record_date,
    meter as record_meter,
    quantity,
    occurred_at,
    recorded_at,
    case
      when item_id is not null then concat('i:', item_id)
      when subscription_id is not null then concat('s:', subscription_id)
      when customer_id is not null then concat('c:', customer_id)
    end as record_key
  from usage_records
  where usage_date >= cast($window_start as date)
    and usage_date <= cast($window_end as date)
    and coalesce(status, '') not in ('voided', 'error')
),

edge_records as (
  select
    d.source, d.line_id, d.measure, r.usage_id, r.quantity, r.occurred_at, r.recorded_at
  from span_days as d
  join raw as r
    on r.source = d.source
    and r.record_date = d.usage_date
    and coalesce(r.record_meter, '') = coalesce(d.meter, '')
    and r.record_key = d.usage_key
    and r.occurred_at >= d.span_start
    and r.occurred_at < d.span_end
  where not d.from_rollup
),

counted as (
  select r.source, r.line_id, r.measure, r.usage_id, r.quantity, r.occurred_at, r.recorded_at
  from edge_records as r
  left anti join usage_duplicates as d on d.source = r.source and d.usage_id = r.usage_id
),

parts as (
  select
    source, line_id, measure, quantity_sum, record_count, quantity_max, quantity_min, quantity_last, last_occurred_at
  from span_days
  where from_rollup
  union all
  select
    source,
    line_id,
    measure,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    count(*) as record_count,
    max(quantity) as quantity_max,
    min(quantity) as quantity_min,
    last_value(quantity order by occurred_at, recorded_at, usage_id) as quantity_last,
    max(occurred_at) as last_occurred_at
  from counted
  group by source, line_id, measure
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
