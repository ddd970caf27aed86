-- Items in effect that used their meter regularly and have stopped: no usage on any of the last full days.
-- Regular: usage on enough of the days before the stop. Stopped: longer than the item has ever paused in that time,
-- several times its usual distance between usage days, and not less than the given number of days.
-- Where the stop is part of a meter's fall (silent_meters) that goes on, meter-silent tells it once for all items.
-- Days are numbered from 1970-01-01 (UTC).
with day_bounds as (
  select
    cast(cast($window_start as date) as int) as first_day,
    cast(cast($window_end as date) as int) - 1 as last_day
),

item_aggregations as (
  select source as item_source, item_id as known_item_id, aggregation as item_aggregation
  from item_terms
),

-- Most items were used just now: few days are read of them.
still_used as (
  select distinct active_source, active_item_id, active_meter
  from (
    select
      u.source as active_source,
      u.item_id as active_item_id,
      u.meter as active_meter,
      u.usage_date as active_date,
      cast(sum(cast(u.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as active_quantity,
      bool_or(coalesce(i.item_aggregation = 'count', false)) as is_counted
    from item_usage as u
    left join item_aggregations as i on i.item_source = u.source and i.known_item_id = u.item_id
    where u.item_id is not null
      and cast(u.usage_date as int) > cast(cast($window_end as date) as int) - 1 - $silent_days
      and u.record_count > 0
    group by u.source, u.item_id, u.meter, u.usage_date
  )
  where active_quantity <> 0 or is_counted
),

daily as (
  select
    u.source,
    u.item_id,
    u.meter,
    cast(u.usage_date as int) as day,
    cast(sum(cast(u.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
    sum(u.record_count) as record_count
  from item_usage as u
  left anti join still_used as a
    on a.active_source = u.source
    and a.active_item_id = u.item_id
    and a.active_meter = u.meter
  where u.item_id is not null
    and u.usage_date >= cast($window_start - interval '90 days' as date)
    and u.record_count > 0
  group by u.source, u.item_id, u.meter, u.usage_date
),

-- A record of nothing is no usage, except on meters that count records.
used_days as (
  select
    d.source,
    d.item_id,
    d.meter,
    d.day,
    case when i.aggregation = 'count' then cast(d.record_count as decimal(38, 12)) else d.quantity end as quantity,
    i.subscription_id,
    i.customer_id,
    i.price_id,
    i.unit,
    i.aggregation,
    i.subscription_status,
    max(d.day) over (partition by d.source, d.item_id, d.meter) as last_used_day,
    d.day - lag(d.day) over (partition by d.source, d.item_id, d.meter order by d.day) as distance
  from daily as d
  join item_terms as i on i.source = d.source and i.item_id = d.item_id
  cross join day_bounds as b
  where (d.quantity <> 0 or i.aggregation = 'count')
    and i.subscription_status in ('active', 'trialing', 'past_due')
    and (i.effective_to is null or cast(cast(i.effective_to as date) as int) > b.last_day)
    and (i.ended_at is null or cast(cast(i.ended_at as date) as int) > b.last_day)
),

-- The days before the stop, up to and with the last one used.
habits as (
  select
    source,
    item_id,
    meter,
    subscription_id,
    customer_id,
    price_id,
    unit,
    aggregation,
    subscription_status,
    last_used_day,
    count(*) as used_days,
    median(quantity) as usual_quantity,
    -- The pause before the first of these days lies outside of them.
    coalesce(max(distance) filter (where day - distance > last_used_day - $baseline_days), 1) as longest_distance,
    coalesce(median(cast(distance as double)) filter (where day - distance > last_used_day - $baseline_days), 1e0)
      as usual_distance
  from used_days
  where day > last_used_day - $baseline_days
  group by
    source, item_id, meter, subscription_id, customer_id, price_id, unit, aggregation, subscription_status,
    last_used_day
),

stopped as (
  select
    h.source, h.item_id, h.meter, h.subscription_id, h.customer_id, h.price_id, h.unit, h.aggregation,
    h.subscription_status, h.last_used_day, h.used_days, h.usual_quantity, h.longest_distance, b.last_day,
    b.last_day - h.last_used_day as silent_days
  from habits as h
  cross join day_bounds as b
  where h.used_days >= $min_days
    and h.last_used_day >= b.first_day
    and b.last_day - h.last_used_day >= $silent_days
    and b.last_day - h.last_used_day >= h.longest_distance
    and cast(b.last_day - h.last_used_day as double) >= cast($distance_factor as double) * h.usual_distance
),

silent_days as (
  select source as silent_source, meter as silent_meter, array_agg(day) as silent_days
  from silent_meters
  group by source, meter
),

-- A meter on which nobody has any usage since is one break upstream, not many customers that left.
meter_days as (
  select source, meter, max(item_last_day) as meter_last_day, count(item_id) as meter_items
  from (
    select source, meter, item_id, max(cast(usage_date as int)) as item_last_day
    from item_usage
    where item_id is not null
      and usage_date >= cast($window_start - interval '90 days' as date)
      and record_count > 0
    group by source, meter, item_id
  )
  group by source, meter
),

judged as (
  select
    s.source, s.item_id, s.meter, s.subscription_id, s.customer_id, s.price_id, s.unit, s.aggregation,
    s.subscription_status, s.last_used_day, s.used_days, s.usual_quantity, s.longest_distance, s.last_day,
    s.silent_days, m.meter_items,
    m.meter_last_day <= s.last_day - $silent_days as is_meter_silent
  from stopped as s
  join meter_days as m on m.source = s.source and m.meter = s.meter
  -- Items that broke off when the meter did, by their own rhythm, and of which the meter is still short.
  left join silent_days as d on d.silent_source = s.source and d.silent_meter = s.meter
  where not coalesce(
    array_has(d.silent_days, s.last_day)
      and array_has_any(d.silent_days, range(s.last_used_day + 1, s.last_used_day + s.longest_distance + 1)),
    false
  )
)

select
  source,
  'subscription_item' as entity_type,
  item_id as entity_id,
  customer_id,
  subscription_id,
  item_id,
  price_id,
  meter,
  arrow_cast(cast(last_used_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(last_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  subscription_status as entity_status,
  usual_quantity as expected,
  cast(0 as decimal(38, 12)) as actual,
  unit,
  'usage_stopped' as reason,
  case when is_meter_silent then 'meter_silent' else 'item_silent' end as explanation,
  -- Several customers do not stop at once. Of a single one nobody can tell whether it left or the meter broke.
  case when is_meter_silent and meter_items > 1 then 'integration' else 'unknown' end as root_cause,
  cast(last_used_day as date) as last_used_date,
  cast(silent_days as bigint) as days_without_usage,
  cast(used_days as bigint) as days_with_usage,
  cast(longest_distance - 1 as bigint) as longest_pause_before,
  cast(meter_items as bigint) as meter_items,
  aggregation
from judged
