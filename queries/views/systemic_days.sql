-- materialise
-- Days on which many series of a meter left their level at once and in one direction, one row each (`scope` is 'source'
-- where most meters of the source did). What many customers share has one cause upstream of them.
-- Many: three customers, a tenth of the series that have a baseline, and more than the days before let expect. A day
-- without usage is not counted: a meter or source that falls silent is a matter of its own. What as many customers did
-- about a month before belongs to the calendar.
with scored as (
  select
    d.source,
    d.series,
    d.meter,
    d.customer_id,
    d.day,
    case
      when abs(cast(d.quantity - d.baseline as double)) < 0.35 * greatest(cast(d.baseline as double), cast(1 as double))
        then 0
      else
        cast(d.quantity - d.baseline as double) / sqrt(
          greatest(cast(d.baseline as double), cast(1 as double)) + power(l.scatter * cast(d.baseline as double), 2)
        )
    end as score,
    d.quantity
  from usage_days as d
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  where not l.is_irregular
    -- A factor between units is unit_slips' matter.
    and cast(d.quantity as double) < 40 * greatest(cast(d.baseline as double), cast(1 as double))
    and (cast(d.baseline as double) < 40 * cast(d.quantity as double) or d.quantity <= 0)
),

counted as (
  select
    source,
    meter,
    day,
    count(*) as judged_series,
    count(distinct case when score >= 4 then coalesce(customer_id, series) end) as up_customers,
    count(distinct case when score <= -4 and quantity > 0 then coalesce(customer_id, series) end) as down_customers
  from scored
  group by source, meter, day
),

directions as (
  select source, meter, day, judged_series, 'up' as direction, up_customers as customers from counted
  union all
  select source, meter, day, judged_series, 'down' as direction, down_customers as customers from counted
),

expected as (
  select
    source,
    meter,
    day,
    judged_series,
    direction,
    customers,
    coalesce(
      avg(cast(customers as double)) over (
        partition by source, meter, direction order by day rows between 42 preceding and 1 preceding
      ),
      cast(0 as double)
    ) as usual_customers,
    coalesce(
      max(customers) over (
        partition by source, meter, direction order by day range between 33 preceding and 27 preceding
      ),
      0
    ) as customers_a_month_before
  from directions
),

shifted as (
  select
    source,
    meter,
    day,
    judged_series,
    direction,
    customers,
    usual_customers,
    customers >= 3
      and cast(customers as double) >= 0.1 * cast(judged_series as double)
      and cast(customers as double) >= usual_customers + 4 * sqrt(usual_customers) + 2
      and cast(customers as double) > 1.5 * cast(customers_a_month_before as double) as is_shifted
  from expected
),

scoped as (
  select
    source,
    meter,
    day,
    judged_series,
    direction,
    customers,
    usual_customers,
    is_shifted,
    count(*) filter (where is_shifted) over (partition by source, direction, day) as shifted_meters,
    count(*) filter (where judged_series >= 3) over (partition by source, direction, day) as judged_meters
  from shifted
)

select
  source,
  meter,
  day,
  direction,
  judged_series,
  customers,
  usual_customers,
  case when shifted_meters >= 2 and 2 * shifted_meters > judged_meters then 'source' else 'meter' end as scope
from scoped
where is_shifted
