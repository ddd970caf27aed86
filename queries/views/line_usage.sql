-- materialise
-- What was used in the period of every usage line, by the aggregation of its price (else its meter's, else sum).
-- Days that lie wholly inside the period come from the rollup; days that straddle an edge, and the aggregations that no
-- rollup can serve, come from the records: exact to the second, and records are read for those days only.
-- No usage is 0 for sum, count, unique_count and weighted_sum, and NULL for max, min and last, where "no record" may
-- mean "as before". Lines of closed periods that end after the widest window's start, or whose invoice was made after it
-- or is not final yet: those only where usage is known from the start of their period on, else it is NULL. The end of a
-- period that a line does not tell is its invoice's, and without both there is nothing to count.
with invoice_terms as (
  select
    source,
    invoice_id,
    subscription_id as invoice_subscription_id,
    coalesce(
      status in ('draft', 'pending')
      or greatest(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'))
        > $window_start,
      false
    ) as is_recent,
    case when period_start < period_end then period_start end as invoice_period_start,
    case when period_start < period_end then period_end end as invoice_period_end
  from invoices
),

dated_lines as (
  select
    l.source, l.line_id, l.item_id, l.price_id, l.meter, l.subscription_id, v.invoice_subscription_id,
    coalesce(v.is_recent, false) as is_recent,
    coalesce(
      l.period_start, case when coalesce(l.period_end > v.invoice_period_start, true) then v.invoice_period_start end
    ) as period_start,
    coalesce(
      l.period_end, case when coalesce(l.period_start < v.invoice_period_end, true) then v.invoice_period_end end
    ) as period_end
  from invoice_lines as l
  left join invoice_terms as v on v.source = l.source and v.invoice_id = l.invoice_id
  where l.kind = 'usage'
    and (l.period_end is null or ((l.period_end > $window_start or v.is_recent) and l.period_end <= $as_of))
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
    coalesce(l.subscription_id, i.item_subscription_id, l.invoice_subscription_id) as subscription_id,
    coalesce(l.meter, i.item_meter, p.price_meter) as meter,
    coalesce(p.price_aggregation, i.item_aggregation, m.meter_aggregation, 'sum') as aggregation
  from dated_lines as l
  left join items as i on i.source = l.source and i.item_id = l.item_id
  left join versions as p
    on p.source = l.source
    and p.version_price_id = coalesce(l.price_id, i.item_price_id)
    and p.valid_from <= l.period_start
    and (p.valid_to is null or l.period_start < p.valid_to)
  left join meter_terms as m on m.source = l.source and m.meter_name = l.meter
  where l.period_start is not null and (l.period_end > $window_start or l.is_recent) and l.period_end <= $as_of
),

ends as (
  select
    source,
    subscription_id as ended_subscription_id,
    started_at,
    coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as ends_at
  from subscriptions
),

lives as (
  select
    i.source, i.item_id as live_item_id, i.subscription_id as live_subscription_id, i.meter as live_meter,
    i.charge_type,
    coalesce(i.effective_from, e.started_at, arrow_cast('0001-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))'))
      as live_from,
    coalesce(
      least(i.effective_to, e.ends_at), arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
    ) as live_to
  from item_terms as i
  left join ends as e on e.source = i.source and e.ended_subscription_id = i.subscription_id
),

-- The items that a line without item may be for: those of its subscription and meter; without a meter too, any that
-- charges for usage.
line_items as (
  select
    l.source, l.line_id as itemless_line_id,
    count(*) as ever_items,
    max(i.live_item_id) as ever_item_id,
    count(*) filter (where i.live_from < l.period_end and i.live_to > l.period_start) as live_items,
    max(i.live_item_id) filter (where i.live_from < l.period_end and i.live_to > l.period_start) as live_item_id
  from lines as l
  join lives as i
    on i.source = l.source
    and i.live_subscription_id = l.subscription_id
    and (i.live_meter = l.meter or (l.meter is null and coalesce(i.charge_type, 'usage') = 'usage'))
  where l.item_id is null
  group by l.source, l.line_id
),

-- What is kept of usage may begin after the period of an old line.
usage_starts as (
  select source, min(usage_date) as first_usage_date
  from usage_daily
  group by source
),

-- A line without item is its subscription's only item of that meter, if there is just one in its period. Where there
-- were others before or after, it also bills what is still sent under their names.
usage_lines as (
  select
    l.source,
    l.line_id,
    l.period_start,
    l.period_end,
    case
      when l.item_id is not null then l.item_id
      when s.live_items = 1 then s.live_item_id
      when s.live_items = 0 and s.ever_items = 1 then s.ever_item_id
    end as item_id,
    l.item_id is null and coalesce(s.ever_items > 1, false) as bills_other_items,
    l.subscription_id,
    l.meter,
    l.aggregation
  from lines as l
  left join line_items as s on s.source = l.source and s.itemless_line_id = l.line_id
),

-- Lines whose item shares its customer and meter with others at other times: what names only the customer is theirs in
-- the stretches in which the item alone is live. Whole days of these have the item; a day on which one item follows
-- another has none, and is divided between them.
followed_lines as (
  select
    l.source, l.line_id, l.aggregation, l.period_start, l.period_end, i.owner as line_owner, i.asked_meter,
    greatest(l.period_start, i.sole_from) as used_from,
    least(l.period_end, i.sole_to) as used_to
  from usage_lines as l
  join sole_items as i on i.source = l.source and i.item_id = l.item_id
  where i.is_followed
    and starts_with(i.owner, 'c:')
    and l.period_start < i.sole_to
    and l.period_end > i.sole_from
),

-- Rollup rows that touch the period: by item; where one side has none, by subscription and meter; and what names only
-- its customer, on the days that are divided.
touching as (
  select
    l.source, l.line_id, l.aggregation, l.period_start, l.period_end, l.period_start as used_from,
    l.period_end as used_to, u.meter, u.usage_key, u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.period_start and u.last_occurred_at < l.period_end as is_inside
  from usage_lines as l
  join item_usage as u
    on u.source = l.source
    and u.item_id = l.item_id
    and (l.meter is null or u.meter is null or u.meter = l.meter)
    and u.last_occurred_at >= l.period_start
    and u.first_occurred_at < l.period_end
  union all
  select
    l.source, l.line_id, l.aggregation, l.period_start, l.period_end, l.period_start as used_from,
    l.period_end as used_to, u.meter, u.usage_key, u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.period_start and u.last_occurred_at < l.period_end as is_inside
  from usage_lines as l
  join item_usage as u
    on u.source = l.source
    and u.subscription_id = l.subscription_id
    and coalesce(u.meter, '') = coalesce(l.meter, '')
    and (l.item_id is null or u.item_id is null or (l.bills_other_items and u.item_id <> l.item_id))
    and u.last_occurred_at >= l.period_start
    and u.first_occurred_at < l.period_end
  union all
  select
    l.source, l.line_id, l.aggregation, l.period_start, l.period_end, l.used_from, l.used_to, u.meter, u.usage_key,
    u.usage_date,
    u.quantity_sum, u.record_count, u.quantity_max, u.quantity_min, u.quantity_last, u.last_occurred_at,
    u.first_occurred_at >= l.used_from and u.last_occurred_at < l.used_to as is_inside
  from followed_lines as l
  join item_usage as u
    on u.source = l.source
    and u.usage_key = l.line_owner
    and coalesce(u.meter, '') = l.asked_meter
    and u.item_id is null
    and u.last_occurred_at >= l.used_from
    and u.first_occurred_at < l.used_to
),

-- One row per line and day: a day with any straddling row is read from the records as a whole, or not at all.
line_days as (
  select
    source,
    line_id,
    aggregation,
    period_start,
    period_end,
    used_from,
    used_to,
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
  group by
    source, line_id, aggregation, period_start, period_end, used_from, used_to, meter, usage_key, usage_date
),

line_records as (
  select
    d.source, d.line_id, d.period_start, d.period_end,
    r.usage_id, r.quantity, r.unique_value, r.occurred_at, r.recorded_at
  from line_days as d
  join usage_records as r
    on r.source = d.source
    and r.usage_date = d.usage_date
    and coalesce(r.meter, '') = coalesce(d.meter, '')
    and case
      when r.item_id is not null then concat('i:', r.item_id)
      when r.subscription_id is not null then concat('s:', r.subscription_id)
      when r.customer_id is not null then concat('c:', r.customer_id)
    end = d.usage_key
  where not d.from_rollup
    and r.occurred_at >= d.used_from
    and r.occurred_at < d.used_to
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
  case
    when l.period_end <= $window_start and not coalesce(s.first_usage_date <= cast(l.period_start as date), false)
      then null
    when l.aggregation = 'sum' then coalesce(t.quantity_sum, cast(0 as decimal(38, 12)))
    when l.aggregation = 'count' then cast(coalesce(t.record_count, 0) as decimal(38, 12))
    when l.aggregation = 'unique_count' then cast(coalesce(t.unique_values, 0) as decimal(38, 12))
    when l.aggregation = 'weighted_sum' then coalesce(t.weighted_sum, cast(0 as decimal(38, 12)))
    when l.aggregation = 'max' then t.quantity_max
    when l.aggregation = 'min' then t.quantity_min
    when l.aggregation = 'last' then t.quantity_last
  end as used_quantity,
  coalesce(t.record_count, 0) as used_records
from usage_lines as l
left join usage_starts as s on s.source = l.source
left join totals as t on t.source = l.source and t.line_id = l.line_id
