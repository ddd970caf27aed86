-- materialise
-- What is usual for a series of usage, one row each, from the weeks before the newest one (ages 7 to 62).
-- `scatter` is the median relative distance of a day from its baseline over six weeks. It is measured from zero and
-- therefore widens while a series grows. `irregular_share` is the part without usage of the days of those weekdays that
-- are used at all: above 0.3 a series has no daily level, and its other active days say what is usual. Rare usage leaves
-- weekdays out by chance. Where more than a tenth of the days of the used weekdays are empty, which is more than a
-- working week has, the weekdays that chance may have left empty (one time in twenty) count with the used ones.
-- Double precision serves the statistics alone.
with scatters as (
  select
    source,
    series,
    meter,
    count(*) as residual_days,
    median(
      abs(cast(quantity as double) - cast(baseline as double)) / greatest(cast(baseline as double), cast(1 as double))
    ) as residual
  from usage_days
  where age >= 7
  group by source, series, meter
),

weekdays as (
  select
    source,
    series,
    meter,
    least((first_age - weekday) / 7, 8) as past_weeks,
    array_slice(weeks, 2, 1 + least((first_age - weekday) / 7, 8)) as past
  from (
    select source, series, meter, first_age, unnest(weeks) as weeks, unnest(range(0, 7)) as weekday
    from usage_history
  )
  where first_age - weekday >= 7
),

counted as (
  select
    source,
    series,
    meter,
    past_weeks,
    array_remove_all(past, cast(0 as decimal(38, 12))) as active
  from weekdays
),

chances as (
  select
    source, series, meter, past_weeks, active,
    cast(cardinality(active) as double) as active_days,
    power(
      1 - cast(sum(cast(cardinality(active) as bigint)) over whole_series as double)
        / cast(sum(past_weeks) over whole_series as double),
      cast(past_weeks as double)
    ) >= 0.05 as may_be_chance
  from counted
  window whole_series as (partition by source, series, meter)
),

shares as (
  select
    source,
    series,
    meter,
    coalesce(
      1 - sum(active_days) / cast(sum(past_weeks) filter (where active_days > 0) as double), cast(0 as double)
    ) as used_share,
    coalesce(
      1 - sum(active_days) / cast(sum(past_weeks) filter (where active_days > 0 or may_be_chance) as double),
      cast(0 as double)
    ) as chance_share,
    array_sort(flatten(array_agg(active))) as active
  from chances
  group by source, series, meter
),

habits as (
  select
    source,
    series,
    meter,
    case when used_share > 0.1 then chance_share else used_share end as irregular_share,
    active
  from shares
),

-- Medians of logarithms serve the irregular ones only.
active_days as (
  select
    source,
    series,
    meter,
    unnest(active) as quantity,
    active[(cast(cardinality(active) as bigint) + 1) / 2] as middle
  from habits
  where irregular_share > 0.3
),

log_scatters as (
  select
    source,
    series,
    meter,
    median(abs(ln(cast(quantity as double)) - ln(cast(middle as double)))) as log_scatter
  from active_days
  where quantity > 0 and middle > 0
  group by source, series, meter
)

select
  h.source,
  h.series,
  h.meter,
  h.irregular_share,
  h.irregular_share > 0.3 as is_irregular,
  coalesce(s.residual_days, 0) as residual_days,
  case
    when s.residual_days >= 7 then greatest(cast(0.05 as double), 1.4826 * s.residual)
    else cast(0.25 as double)
  end as scatter,
  cast(cardinality(h.active) as bigint) as active_days,
  h.active[(cast(cardinality(h.active) as bigint) + 1) / 2] as active_median,
  h.active[cast(cardinality(h.active) as bigint) - 1] as second_largest,
  l.log_scatter
from habits as h
left join scatters as s on s.source = h.source and s.series = h.series and s.meter = h.meter
left join log_scatters as l on l.source = h.source and l.series = h.series and l.meter = h.meter
