-- materialise
-- Days of a series that lie at a factor between units above or below their baseline: bytes for kilobytes, seconds for
-- hours. One row each, with the factor that fits the series best. A factor counts where two days show it, or the same
-- day of three series of the meter (`is_systemic`); how near a day must come follows the scatter of the series.
with extremes as (
  select
    d.source,
    d.series,
    d.meter,
    d.item_id,
    d.subscription_id,
    d.customer_id,
    d.day,
    d.quantity,
    d.baseline,
    case when d.quantity > d.baseline then 'up' else 'down' end as direction,
    abs(ln(cast(d.quantity as double) / cast(d.baseline as double))) as distance,
    least(greatest(2.5 * l.scatter, cast(0.02 as double)), cast(0.15 as double)) as tolerance
  from usage_days as d
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  where d.quantity > 0
    and d.baseline > 0
    and not l.is_irregular
    and (
      cast(d.quantity as double) >= 40 * cast(d.baseline as double)
      -- Where usage scatters widely, a day of next to nothing is common; and a counter may start again.
      or (
        cast(d.baseline as double) >= 40 * cast(d.quantity as double)
        and l.scatter <= 0.3
        and not d.is_level
      )
    )
),

matches as (
  select
    e.source, e.series, e.meter, e.item_id, e.subscription_id, e.customer_id, e.day, e.quantity, e.baseline,
    e.direction, f.factor, e.distance - ln(cast(f.factor as double)) as deviation
  from extremes as e
  cross join (
    values
      (60), (100), (1000), (1024), (3600), (10000), (1000000), (1048576), (1000000000), (1073741824)
  ) as f (factor)
  where abs(e.distance - ln(cast(f.factor as double))) <= e.tolerance
),

counted as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, baseline, direction, factor,
    count(*) over (partition by source, series, meter, direction, factor) as series_days,
    abs(avg(deviation) over (partition by source, series, meter, direction, factor)) as series_deviation,
    count(*) over (partition by source, meter, direction, factor, day) as day_series,
    abs(avg(deviation) over (partition by source, meter, direction, factor, day)) as day_deviation
  from matches
),

-- Where many items slip at once their mean tells 1000 from 1024 better than any one of them.
named as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, baseline, direction, factor,
    max(day_series) over (partition by source, meter, direction, factor) >= 3 as is_systemic
  from counted
  where series_days >= 2 or day_series >= 3
  qualify row_number() over (
    partition by source, series, meter, day
    order by
      day_series desc,
      series_days desc,
      case when day_series >= 3 then day_deviation else series_deviation end,
      factor
  ) = 1
)

select
  source,
  series,
  meter,
  item_id,
  subscription_id,
  customer_id,
  day,
  quantity,
  baseline,
  direction,
  cast(factor as bigint) as factor,
  is_systemic
from named
