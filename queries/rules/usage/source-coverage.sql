-- Days on which a source delivered clearly fewer records than on that weekday, with many items short at once.
-- source_losses says which meters of which days those are; a row is one of them, a signal one source and day.
with losses as (
  select source, meter, day, judged_items, lower_items, halved_items, source_records, source_usual_records
  from source_losses
  where day >= cast(cast($window_start as date) as int)
    and day < cast(cast($window_end as date) as int)
    and source_records <= source_usual_records * (1 - cast($min_loss as double))
    and strpos($holidays, to_char(cast(day as date), '%m-%d')) = 0
),

-- The same day of the month, a day either side, in the three months before: a lull that comes every month is no loss.
peer_days as (
  select
    source,
    day,
    unnest(
      make_array(
        cast(cast(cast(day as date) - interval '1 month' as date) as int) - 1,
        cast(cast(cast(day as date) - interval '1 month' as date) as int),
        cast(cast(cast(day as date) - interval '1 month' as date) as int) + 1,
        cast(cast(cast(day as date) - interval '2 months' as date) as int) - 1,
        cast(cast(cast(day as date) - interval '2 months' as date) as int),
        cast(cast(cast(day as date) - interval '2 months' as date) as int) + 1,
        cast(cast(cast(day as date) - interval '3 months' as date) as int) - 1,
        cast(cast(cast(day as date) - interval '3 months' as date) as int),
        cast(cast(cast(day as date) - interval '3 months' as date) as int) + 1
      )
    ) as peer_day
  from (select distinct source, day from losses)
),

source_days as (
  select source as flow_source, day as flow_day, cast(sum(records) as double) as records
  from usage_flow
  group by source, day
),

peers as (
  -- A public holiday is no measure for a working day.
  select
    p.source as peer_source,
    p.day as peer_of,
    count(*) as peer_days,
    min(f.records) filter (where strpos($holidays, to_char(cast(p.peer_day as date), '%m-%d')) = 0) as peer_smallest
  from peer_days as p
  join source_days as f on f.flow_source = p.source and f.flow_day = p.peer_day
  group by p.source, p.day
),

unexplained as (
  select
    l.source, l.meter, l.day, l.judged_items, l.lower_items, l.halved_items, l.source_records, l.source_usual_records
  from losses as l
  left join peers as p on p.peer_source = l.source and p.peer_of = l.day
  where coalesce(p.peer_days, 0) < 3 or l.source_records * 1.1 < p.peer_smallest
),

meter_days as (
  select source as meter_source, meter as meter_name, day as meter_day, records as meter_records
  from usage_flow
),

past_days as (
  select source, meter, day, unnest(make_array(day - 7, day - 14, day - 21, day - 28, day - 35, day - 42)) as past_day
  from unexplained
),

weeks_before as (
  select p.source as past_source, p.meter as past_meter, p.day as past_of,
    median(cast(f.meter_records as double)) as usual_records
  from past_days as p
  join meter_days as f on f.meter_source = p.source and f.meter_name = p.meter and f.meter_day = p.past_day
  group by p.source, p.meter, p.day
)

select
  u.source,
  'meter' as entity_type,
  u.meter as entity_id,
  u.meter,
  arrow_cast(cast(u.day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(u.day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  cast(w.usual_records as decimal(38, 12)) as expected,
  cast(coalesce(f.meter_records, 0) as decimal(38, 12)) as actual,
  'record' as unit,
  cast(u.day as date) as usage_day,
  'records_missing' as reason,
  case
    when u.source_records = 0 then 'source_silent'
    when 2 * u.halved_items >= u.judged_items or 10 * u.lower_items < 8 * u.judged_items then 'items_missing'
    else 'records_missing'
  end as explanation,
  'integration' as root_cause,
  case when u.source_records <= u.source_usual_records / 2 then 'critical' end as severity,
  cast(u.source_records as bigint) as source_records,
  cast(u.source_usual_records as bigint) as source_usual_records,
  round(1 - u.source_records / u.source_usual_records, 3) as missing_share,
  u.judged_items,
  u.lower_items,
  u.halved_items
from unexplained as u
left join weeks_before as w on w.past_source = u.source and w.past_meter = u.meter and w.past_of = u.day
left join meter_days as f on f.meter_source = u.source and f.meter_name = u.meter and f.meter_day = u.day
