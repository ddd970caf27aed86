-- Items whose usage lies at a factor between units above or below its baseline (unit_slips), one row each: the first
-- stretch of such days. Where several items of the meter slip on one day they are one signal, the meter's.
with days as (
  select
    source, series, meter, item_id, subscription_id, customer_id, day, quantity, baseline, direction, factor,
    is_systemic
  from unit_slips
  where day >= cast(cast($window_start as date) as int)
    and day < cast(cast($window_end as date) as int)
),

-- Once the weeks behind a slip have slipped too, the way back looks like a slip the other way: the first one counts.
stretches as (
  select
    source,
    series,
    meter,
    direction,
    factor,
    max(item_id) as item_id,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id,
    bool_or(is_systemic) as is_systemic,
    count(*) as slipped_days,
    min(day) as first_day,
    max(day) as last_day,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
    cast(sum(cast(baseline as decimal(76, 12))) as decimal(38, 12)) as baseline
  from days
  group by source, series, meter, direction, factor
  qualify row_number() over (
    partition by source, series, meter order by min(day), count(*) desc, factor
  ) = 1
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
  arrow_cast(cast(s.first_day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(s.last_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  s.baseline as expected,
  s.quantity as actual,
  coalesce(i.item_unit, m.meter_unit) as unit,
  s.direction as reason,
  case when s.is_systemic then 'meter_unit_changed' else 'item_unit_changed' end as explanation,
  case when s.is_systemic then 'configuration' else 'data_quality' end as root_cause,
  case when s.is_systemic and s.factor >= 100 then 'critical' end as severity,
  -- What one signal is about: the meter, or the one item.
  case when s.is_systemic then s.meter else s.series end as subject,
  s.factor,
  s.slipped_days,
  cast(s.first_day as date) as first_day,
  cast(s.last_day as date) as last_day
from stretches as s
left join item_terms_of as i on i.item_source = s.source and i.item = s.item_id
left join meter_units as m on m.unit_source = s.source and m.unit_meter = s.meter
