-- materialise
-- Days on which one series of a meter lost what another series of the meter, of another customer, gained: usage that was
-- booked to the wrong owner. One row for each pair and day, in the last five weeks.
-- A day counts when both changes stand out of their own scatter and differ by no more than that; a pair when it has two
-- such days, or one on which the loser lost all but a tenth. Double precision serves the statistics alone.
-- Only series with a regular level are held against each other, and days on which the whole meter moves say nothing.
with changes as (
  select
    d.source,
    d.meter,
    d.series,
    d.item_id,
    d.customer_id,
    d.day,
    d.quantity,
    d.baseline,
    cast(d.quantity as double) - cast(d.baseline as double) as change,
    sqrt(
      greatest(cast(d.baseline as double), 1e0) + power(l.scatter * cast(d.baseline as double), 2)
    ) as noise
  from usage_days as d
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  where d.age <= 34
    and not coalesce(l.is_irregular, false)
),

moves as (
  select
    source, meter, series, item_id, customer_id, day, quantity, baseline, change, noise,
    count(*) filter (where change < 0) over (partition by source, meter, day) as losers,
    count(*) filter (where change > 0) over (partition by source, meter, day) as gainers
  from changes
  where abs(change) >= 4 * noise
    and (change > 0 or -change >= 0.3e0 * cast(baseline as double))
),

owners as (
  select
    source,
    item_id as owned_item_id,
    customer_id as item_customer_id,
    least(effective_to, ended_at) as ends_at
  from item_terms
),

parents as (
  select source, customer_id as child_id, parent_customer_id
  from customers
  where parent_customer_id is not null
),

owned as (
  select
    m.source, m.meter, m.series, m.item_id, m.day, m.quantity, m.baseline, m.change, m.noise,
    coalesce(o.item_customer_id, m.customer_id) as customer_id,
    -- Customers of one parent may share out their usage as they like.
    coalesce(p.parent_customer_id, o.item_customer_id, m.customer_id) as family
  from moves as m
  left join owners as o on o.source = m.source and o.owned_item_id = m.item_id
  left join parents as p on p.source = m.source and p.child_id = coalesce(o.item_customer_id, m.customer_id)
  where m.losers * m.gainers <= 400
    -- After its end an item loses its usage by nature.
    and (o.ends_at is null or cast(cast(o.ends_at as date) as int) > m.day)
),

pairs as (
  select
    a.source,
    a.meter,
    a.day,
    a.series as from_series,
    b.series as to_series,
    a.item_id as from_item_id,
    b.item_id as to_item_id,
    a.customer_id as from_customer_id,
    b.customer_id as to_customer_id,
    a.quantity as from_quantity,
    a.baseline as from_baseline,
    b.quantity as to_quantity,
    b.baseline as to_baseline,
    a.change as from_change,
    b.change as to_change,
    cast(a.quantity as double) <= 0.1e0 * cast(a.baseline as double) as is_all_lost
  from owned as a
  join owned as b on b.source = a.source and b.meter = a.meter and b.day = a.day
  where a.change < 0
    and b.change > 0
    and a.family <> b.family
    and abs(a.change + b.change) <= 0.25e0 * -a.change
    and abs(a.change + b.change) <= greatest(0.1e0 * -a.change, 3 * sqrt(power(a.noise, 2) + power(b.noise, 2)))
),

matched as (
  select
    source, meter, day, from_series, to_series, from_item_id, to_item_id, from_customer_id, to_customer_id,
    from_quantity, from_baseline, to_quantity, to_baseline,
    count(*) over pair as matched_days,
    bool_and(is_all_lost) over pair as is_all_lost,
    abs(sum(from_change + to_change) over pair) / -(sum(from_change) over pair) as mismatch
  from pairs
  window pair as (partition by source, meter, from_series, to_series)
),

-- Of several that fit, the pair with the most days, and then the closest, is the one: seen from either side.
ranked as (
  select
    source, meter, day, from_series, to_series, from_item_id, to_item_id, from_customer_id, to_customer_id,
    from_quantity, from_baseline, to_quantity, to_baseline,
    first_value(to_series) over (
      partition by source, meter, from_series order by matched_days desc, mismatch, to_series
    ) as best_to,
    first_value(from_series) over (
      partition by source, meter, to_series order by matched_days desc, mismatch, from_series
    ) as best_from
  from matched
  where (matched_days >= 2 and mismatch <= 0.15e0) or (is_all_lost and mismatch <= 0.1e0)
)

select
  source,
  meter,
  day,
  from_series,
  to_series,
  from_item_id,
  to_item_id,
  from_customer_id,
  to_customer_id,
  from_quantity,
  from_baseline,
  to_quantity,
  to_baseline
from ranked
where to_series = best_to and from_series = best_from
