-- materialise
-- Days of the last seven weeks on which a source delivered fewer records than usual and many items of several meters
-- had less usage at once, one row for each such meter. Usual is the median of the same weekday in the six weeks before.
-- One large customer that uses less moves the total but not the items; a single meter that stops is silent_meters'.
with source_days as (
  select source, age, cast(sum(records) as double) as records
  from usage_flow
  group by source, age
),

spans as (
  select source, max(age) as first_age
  from usage_flow
  group by source
),

dense as (
  select s.source, s.first_age, g.age, coalesce(d.records, cast(0 as double)) as records
  from spans as s
  cross join (select cast(value as int) as age from generate_series(0, 97)) as g
  left join source_days as d on d.source = s.source and d.age = g.age
  where g.age <= s.first_age
),

pasts as (
  select
    source,
    age,
    records,
    least((first_age - age) / 7, 6) as past_weeks,
    coalesce(lag(records, 7) over past, cast(0 as double)) as week_before,
    coalesce(lag(records, 14) over past, cast(0 as double)) as two_weeks_before,
    coalesce(lag(records, 21) over past, cast(0 as double)) as three_weeks_before,
    array_sort(
      make_array(
        lag(records, 7) over past,
        lag(records, 14) over past,
        lag(records, 21) over past,
        lag(records, 28) over past,
        lag(records, 35) over past,
        lag(records, 42) over past
      ),
      'ASC',
      'NULLS LAST'
    ) as past
  from dense
  window past as (partition by source order by age desc)
),

based as (
  select
    source, age, records, week_before, two_weeks_before, three_weeks_before,
    (past[(past_weeks + 1) / 2] + past[(past_weeks + 2) / 2]) / 2 as usual_records
  from pasts
  where past_weeks >= 3
),

scattered as (
  select
    source, age, records, week_before, two_weeks_before, three_weeks_before, usual_records,
    median(abs(records - usual_records) / greatest(usual_records, cast(1 as double))) over (partition by source)
      as scatter
  from based
),

-- Low for its calendar and not by a slow decline.
low_days as (
  select source, age, records, usual_records
  from scattered
  where age < 49
    and usual_records >= 20
    and records <= usual_records * (1 - greatest(cast(0.1 as double), 4 * 1.4826 * scatter))
    and not (
      two_weeks_before <= three_weeks_before * 0.97
      and week_before <= two_weeks_before * 0.97
      and records >= week_before * 0.8
    )
),

meter_days as (
  select
    d.source,
    d.meter,
    d.age,
    cast(count(*) as double) as judged,
    cast(count(*) filter (where d.quantity < d.baseline) as double) as below,
    cast(count(*) filter (where cast(d.quantity as double) <= 0.5 * cast(d.baseline as double)) as double) as low
  from usage_days as d
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  where not l.is_irregular and d.baseline > 0
  group by d.source, d.meter, d.age
),

usual_meters as (
  select
    source, meter, age, judged, below, low,
    median(low / judged) over (partition by source, meter) as usual_low
  from meter_days
),

lost as (
  select
    u.source,
    u.meter,
    u.age,
    u.judged,
    u.below,
    u.low,
    d.records as source_records,
    d.usual_records as source_usual_records,
    u.judged >= 3
      and (
        u.below / u.judged >= least(cast(0.95 as double), 0.6 + 1.5 / sqrt(u.judged))
        or u.low / u.judged >= u.usual_low + 0.15
      ) as is_losing
  from usual_meters as u
  join low_days as d on d.source = u.source and d.age = u.age
),

spread as (
  select
    source, meter, age, judged, below, low, source_records, source_usual_records, is_losing,
    sum(judged) over (partition by source, age) as source_judged,
    count(*) filter (where judged >= 3) over (partition by source, age) as judged_meters,
    count(*) filter (where is_losing) over (partition by source, age) as losing_meters
  from lost
)

select
  source,
  meter,
  cast(cast($as_of - interval '6 hours' as date) as int) - 1 - age as day,
  age,
  cast(judged as bigint) as judged_items,
  cast(below as bigint) as lower_items,
  cast(low as bigint) as halved_items,
  source_records,
  source_usual_records,
  losing_meters
from spread
where is_losing
  and source_judged >= 5
  and 2 * losing_meters >= judged_meters
  and (
    losing_meters >= 2
    -- Where the only meter is all but silent it is the meter's matter.
    or (judged_meters = 1 and 2 * low <= judged)
  )
