-- Items whose level has moved over weeks, too slowly for any single day to stand out: the median of seven days against
-- the same weekdays of the six weeks before, as a logarithm. A constant growth moves that median too; therefore the
-- movement of the last week is held against that of four to seven weeks ago, and the week before must point the same
-- way. Double precision serves the statistics alone; quantities stay exact.
with ratios as (
  select
    d.source,
    d.series,
    d.meter,
    d.item_id,
    d.subscription_id,
    d.customer_id,
    d.day,
    d.age,
    d.quantity,
    d.baseline,
    -- A twentieth of the usual quantity is added on both sides, so that a day of nothing has a logarithm.
    ln(
      (cast(greatest(d.quantity, cast(0 as decimal(38, 12))) as double) + cast(l.active_median as double) / 20)
      / (cast(d.baseline as double) + cast(l.active_median as double) / 20)
    ) as ratio
  from usage_days as d
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  where not l.is_irregular
    and l.active_median > 0
    and d.baseline >= 0
    and d.baseline_weeks >= 4
    and d.day < cast(cast($window_end as date) as int)
),

moves as (
  select
    source,
    series,
    meter,
    max(item_id) as item_id,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id,
    max(day) as last_day,
    median(ratio) filter (where age < 7) as last_week,
    median(ratio) filter (where age >= 7 and age < 14) as week_before,
    median(ratio) filter (where age >= 28) as earlier,
    1.4826 * median(abs(ratio)) filter (where age >= 7) as scatter,
    count(*) filter (where age >= 28) as earlier_days,
    cast(sum(cast(quantity as decimal(76, 12))) filter (where age < 7) as decimal(38, 12)) as quantity,
    cast(sum(cast(baseline as decimal(76, 12))) filter (where age < 7) as decimal(38, 12)) as baseline
  from ratios
  group by source, series, meter
),

drifts as (
  select
    source, series, meter, item_id, subscription_id, customer_id, last_day, last_week, week_before, earlier, scatter,
    quantity, baseline
  from moves
  where earlier_days >= 14
    and last_day >= cast(cast($window_end as date) as int) - 1
    and abs(last_week) >= greatest(ln(1 + cast($min_drift as double)), 4 * 1.25 * scatter / sqrt(7))
    and abs(last_week - earlier) >= greatest(ln(1 + cast($min_drift as double)), 4 * 1.25 * scatter / sqrt(7))
    and abs(week_before) >= ln(1 + cast($min_drift as double)) / 2
    and last_week * week_before > 0
    and scatter <= 0.35
    and last_week * (last_week - earlier) > 0
    -- What has all but stopped is zero-usage's.
    and quantity > cast(baseline * 0.05 as decimal(38, 12))
),

item_lives as (
  select
    source as item_source, item_id as item, subscription_id as item_subscription_id,
    customer_id as item_customer_id, price_id, unit as item_unit, aggregation, effective_to, ended_at
  from item_terms
),

meter_units as (
  select source as unit_source, meter as unit_meter, unit as meter_unit, aggregation as meter_aggregation from meters
)

select
  d.source,
  case
    when d.item_id is not null then 'subscription_item'
    when d.subscription_id is not null then 'subscription'
    else 'customer'
  end as entity_type,
  coalesce(d.item_id, d.subscription_id, d.customer_id) as entity_id,
  coalesce(i.item_customer_id, d.customer_id) as customer_id,
  coalesce(i.item_subscription_id, d.subscription_id) as subscription_id,
  d.item_id,
  i.price_id,
  d.meter,
  arrow_cast(cast(d.last_day - 6 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(d.last_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  d.baseline as expected,
  d.quantity as actual,
  coalesce(i.item_unit, m.meter_unit) as unit,
  case when d.last_week > 0 then 'up' else 'down' end as reason,
  case when abs(d.week_before) >= 0.8 * abs(d.last_week) then 'level_moved' else 'drifting' end as explanation,
  'unknown' as root_cause,
  round(exp(d.last_week) - 1, 3) as change_last_week,
  round(exp(d.week_before) - 1, 3) as change_week_before,
  round(exp(d.earlier) - 1, 3) as change_earlier,
  round(d.scatter, 4) as scatter
from drifts as d
left join item_lives as i on i.item_source = d.source and i.item = d.item_id
left join meter_units as m on m.unit_source = d.source and m.unit_meter = d.meter
-- A level, such as storage, moves of its own accord.
where coalesce(i.aggregation, m.meter_aggregation, 'sum') not in ('max', 'last')
  and (i.effective_to is null or cast(cast(i.effective_to as date) as int) > d.last_day)
  and (i.ended_at is null or cast(cast(i.ended_at as date) as int) > d.last_day)
