-- materialise
-- Days of the last seven weeks on which fewer than half of the usual number of items used a meter, one row each. Usual
-- is the median of the same weekday in the six weeks before; the number must also lie far outside its own scatter.
-- A meter whose items have ended has not fallen silent.
with spans as (
  select source, meter, max(age) as first_age
  from usage_flow
  group by source, meter
),

dense as (
  select
    s.source,
    s.meter,
    s.first_age,
    g.age,
    coalesce(f.items, 0) as items,
    coalesce(f.records, 0) as records
  from spans as s
  cross join (select cast(value as int) as age from generate_series(0, 97)) as g
  left join usage_flow as f on f.source = s.source and f.meter = s.meter and f.age = g.age
  where g.age <= s.first_age
),

pasts as (
  select
    source,
    meter,
    first_age,
    age,
    items,
    records,
    least((first_age - age) / 7, 6) as past_weeks,
    array_sort(
      make_array(
        lag(items, 7) over past,
        lag(items, 14) over past,
        lag(items, 21) over past,
        lag(items, 28) over past,
        lag(items, 35) over past,
        lag(items, 42) over past
      ),
      'ASC',
      'NULLS LAST'
    ) as past
  from dense
  window past as (partition by source, meter order by age desc)
),

based as (
  select
    source,
    meter,
    age,
    items,
    records,
    cast(past[(past_weeks + 1) / 2] + past[(past_weeks + 2) / 2] as double) / 2 as usual_items
  from pasts
  where past_weeks >= 3
),

scattered as (
  select
    source,
    meter,
    age,
    items,
    records,
    usual_items,
    median(abs(cast(items as double) - usual_items)) over (partition by source, meter) as scatter
  from based
),

fallen as (
  select
    source,
    meter,
    age,
    cast(cast($as_of - interval '6 hours' as date) as int) - 1 - age as day,
    items,
    records,
    usual_items
  from scattered
  where age < 49
    and usual_items >= 3
    and cast(items as double) < usual_items / 2
    and usual_items - cast(items as double) >= 4 * (1.4826 * scatter + 0.05 * usual_items + 0.25)
),

item_lives as (
  select
    source as item_source,
    meter as item_meter,
    cast(cast(effective_from as date) as int) as from_day,
    cast(cast(least(effective_to, ended_at) as date) as int) as to_day
  from item_terms
  where meter is not null
),

-- Metering systems have no items: nothing is known to have ended there.
living as (
  select f.source, f.meter, f.day, count(*) as living_items
  from fallen as f
  join item_lives as i
    on i.item_source = f.source
    and i.item_meter = f.meter
    and (i.from_day is null or i.from_day <= f.day)
    and (i.to_day is null or i.to_day > f.day)
  group by f.source, f.meter, f.day
),

metered as (
  select item_source, item_meter, count(*) as meter_items
  from item_lives
  group by item_source, item_meter
)

select
  f.source,
  f.meter,
  f.day,
  f.age,
  f.items,
  f.records,
  f.usual_items
from fallen as f
left join living as l on l.source = f.source and l.meter = f.meter and l.day = f.day
left join metered as m on m.item_source = f.source and m.item_meter = f.meter
where m.meter_items is null or 2 * coalesce(l.living_items, 0) >= f.usual_items
