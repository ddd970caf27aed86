-- Stretches of days on which a meter had usage from fewer than half of its usual items (silent_meters).
-- A source that lost records of most of its meters on that day is the finding of source-coverage.
with losses as (
  select distinct source as loss_source, day as loss_day
  from source_losses
),

days as (
  select s.source, s.meter, s.day, s.items, s.records, s.usual_items
  from silent_meters as s
  left anti join losses as l on l.loss_source = s.source and l.loss_day = s.day
  where s.day >= cast(cast($window_start as date) as int)
    and s.day < cast(cast($window_end as date) as int)
    and s.usual_items >= cast($min_items as double)
    and strpos($holidays, to_char(cast(s.day as date), '%m-%d')) = 0
),

-- Days in a row keep the same distance to their row number.
numbered as (
  select
    source, meter, day, items, records, usual_items,
    day - cast(row_number() over (partition by source, meter order by day) as int) as stretch
  from days
),

stretches as (
  select
    source,
    meter,
    stretch,
    min(day) as first_day,
    max(day) as last_day,
    count(*) as silent_days,
    max(items) as most_items,
    min(items) as least_items,
    sum(records) as records,
    min(usual_items) as usual_items
  from numbered
  group by source, meter, stretch
)

select
  source,
  'meter' as entity_type,
  meter as entity_id,
  meter,
  arrow_cast(cast(first_day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(last_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  cast(usual_items as decimal(38, 12)) as expected,
  cast(least_items as decimal(38, 12)) as actual,
  'item' as unit,
  'items_missing' as reason,
  case when most_items = 0 then 'meter_silent' else 'meter_partly_silent' end as explanation,
  'integration' as root_cause,
  silent_days,
  cast(first_day as date) as first_day,
  cast(last_day as date) as last_day,
  most_items,
  records
from stretches
