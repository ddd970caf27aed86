-- materialise
-- One row per subscription item, with its subscription's state and the meter, unit and aggregation it is billed by.
-- The item's own meter comes first, then that of its price's latest version.
-- Columns that both sides of a join have are renamed before it: a filter that is moved below a join goes by names.
with latest_price as (
  select
    source,
    price_id,
    last_value(meter order by effective_from) as price_meter,
    last_value(unit order by effective_from) as price_unit,
    last_value(aggregation order by effective_from) as price_aggregation,
    last_value(charge_type order by effective_from) as charge_type
  from prices
  group by source, price_id
),

subscription_terms as (
  select
    source,
    subscription_id,
    customer_id as subscription_customer_id,
    number as subscription_number,
    status as subscription_status,
    trial_end_at,
    ended_at
  from subscriptions
),

items as (
  select
    i.source,
    i.item_id,
    i.subscription_id,
    coalesce(i.customer_id, s.subscription_customer_id) as customer_id,
    i.price_id,
    coalesce(i.meter, p.price_meter) as meter,
    p.price_unit,
    p.price_aggregation,
    p.charge_type,
    i.effective_from,
    i.effective_to,
    s.subscription_number,
    s.subscription_status,
    s.trial_end_at,
    s.ended_at
  from subscription_items as i
  left join subscription_terms as s on s.source = i.source and s.subscription_id = i.subscription_id
  left join latest_price as p on p.source = i.source and p.price_id = i.price_id
),

meter_terms as (
  select source, meter as meter_name, unit as meter_unit, aggregation as meter_aggregation
  from meters
)

select
  i.source,
  i.item_id,
  i.subscription_id,
  i.customer_id,
  i.price_id,
  i.meter,
  coalesce(i.price_unit, m.meter_unit) as unit,
  coalesce(i.price_aggregation, m.meter_aggregation, 'sum') as aggregation,
  i.charge_type,
  i.effective_from,
  i.effective_to,
  i.subscription_number,
  i.subscription_status,
  i.trial_end_at,
  i.ended_at
from items as i
left join meter_terms as m on m.source = i.source and m.meter_name = i.meter
