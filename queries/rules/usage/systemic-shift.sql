-- Days on which many customers of a meter used far more, or far less, at once (systemic_days): one row an item, one
-- signal a meter, or a source where most of its meters moved. Such days are left out of usage-spike.
-- Records lost by the source are the finding of source-coverage, a factor between units is unit-slip's.
with day_bounds as (
  select
    cast(cast($window_start as date) as int) as first_day,
    cast(cast($window_end as date) as int) - 1 as last_day
),

shifts as (
  select
    s.source as shift_source, s.meter as shift_meter, s.day as shift_day, s.direction, s.judged_series, s.customers,
    s.usual_customers, s.scope
  from systemic_days as s
  cross join day_bounds as b
  where s.day >= b.first_day
    and s.day <= b.last_day
    and s.customers >= $min_customers
    and not (s.direction = 'down' and strpos($holidays, to_char(cast(s.day as date), '%m-%d')) > 0)
),

losses as (
  select distinct source as loss_source, day as loss_day, 'down' as loss_direction
  from source_losses
),

slips as (
  select source as slip_source, series as slip_series, meter as slip_meter, day as slip_day
  from unit_slips
),

unexplained as (
  select
    s.shift_source, s.shift_meter, s.shift_day, s.direction, s.judged_series, s.customers, s.usual_customers, s.scope
  from shifts as s
  left anti join losses as l
    on l.loss_source = s.shift_source and l.loss_day = s.shift_day and l.loss_direction = s.direction
),

items as (
  select
    d.source, d.series, d.meter, d.item_id, d.subscription_id, d.customer_id, d.day, d.quantity, d.baseline,
    u.direction, u.judged_series, u.customers, u.usual_customers, u.scope,
    cast(d.quantity - d.baseline as double) / sqrt(
      greatest(cast(d.baseline as double), cast(1 as double)) + power(l.scatter * cast(d.baseline as double), 2)
    ) as score
  from usage_days as d
  join unexplained as u on u.shift_source = d.source and u.shift_meter = d.meter and u.shift_day = d.day
  join usage_levels as l on l.source = d.source and l.series = d.series and l.meter = d.meter
  left anti join slips as f
    on f.slip_source = d.source and f.slip_series = d.series and f.slip_meter = d.meter and f.slip_day = d.day
  where not l.is_irregular
    and abs(cast(d.quantity - d.baseline as double))
      >= 0.35 * greatest(cast(d.baseline as double), cast(1 as double))
),

-- One row for each item and direction: its farthest day.
shifted as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, baseline, direction, judged_series,
    customers, usual_customers, scope, score,
    count(*) over (partition by source, series, meter, direction) as shifted_days,
    min(day) over (partition by source, series, meter, direction) as first_day
  from items
  where case when direction = 'up' then score >= 4 else score <= -4 and quantity > 0 end
  qualify row_number() over (partition by source, series, meter, direction order by abs(score) desc, day) = 1
),

many as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, baseline, direction, judged_series,
    customers, usual_customers, scope, score, shifted_days, first_day,
    count(*) over (partition by source, meter, direction) as shifted_series
  from shifted
),

item_terms_of as (
  select
    source as item_source, item_id as item, subscription_id as item_subscription_id,
    customer_id as item_customer_id, price_id, unit as item_unit
  from item_terms
),

meter_units as (
  select source as unit_source, meter as unit_meter, unit as meter_unit from meters
)

select
  s.source,
  case
    when s.item_id is not null then 'subscription_item'
    when s.subscription_id is not null then 'subscription'
    else 'customer'
  end as entity_type,
  coalesce(s.item_id, s.subscription_id, s.customer_id) as entity_id,
  coalesce(i.item_customer_id, s.customer_id) as customer_id,
  coalesce(i.item_subscription_id, s.subscription_id) as subscription_id,
  s.item_id,
  i.price_id,
  s.meter,
  arrow_cast(cast(s.day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(s.day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  s.baseline as expected,
  s.quantity as actual,
  coalesce(i.item_unit, m.meter_unit) as unit,
  s.direction as reason,
  case when s.scope = 'source' then 'source_shifted' else 'meter_shifted' end as explanation,
  'unknown' as root_cause,
  -- What one signal is about: the meter, or the whole source.
  case when s.scope = 'source' then s.source else s.meter end as subject,
  round(s.score, 2) as score,
  s.customers as shifted_customers,
  s.judged_series as judged_items,
  round(s.usual_customers, 2) as usual_customers,
  s.shifted_days,
  cast(s.first_day as date) as first_day
from many as s
left join item_terms_of as i on i.item_source = s.source and i.item = s.item_id
left join meter_units as m on m.unit_source = s.source and m.unit_meter = s.meter
where s.shifted_series >= 3
