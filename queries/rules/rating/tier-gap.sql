-- Prices in force whose terms or tiers do not say what every quantity costs.
with versions as (
  select
    source,
    price_id,
    product_id,
    currency,
    charge_model,
    meter,
    unit,
    tiers,
    effective_from,
    effective_to,
    is_active
  from prices
),

items_of_price as (
  select source, price_id, count(*) as item_count
  from subscription_items
  where effective_to is null or effective_to > $window_start
  group by source, price_id
),

-- What nobody can be billed by any more is not judged: ended before the window, or retired without any item.
judged as (
  select
    v.source, v.price_id, v.product_id, v.currency, v.charge_model, v.meter, v.unit, v.tiers, v.effective_from,
    v.effective_to, v.is_active,
    coalesce(i.item_count, 0) as item_count
  from versions as v
  left join items_of_price as i on i.source = v.source and i.price_id = v.price_id
  where (v.effective_to is null or v.effective_to > $window_start)
    and (coalesce(v.is_active, true) or i.item_count > 0)
),

faults as (
  select
    j.source, j.price_id, j.product_id, j.currency, j.charge_model, j.meter, j.unit, j.tiers, j.effective_from,
    j.effective_to, j.is_active, j.item_count,
    f.fault,
    f.tier_number,
    f.up_to,
    f.missing
  from judged as j
  join price_faults as f
    on f.source = j.source and f.price_id = j.price_id and f.effective_from = j.effective_from
),

-- One row for each price and kind of fault, of the latest version that has it.
latest as (
  select
    source, price_id, product_id, currency, charge_model, meter, unit, tiers, effective_from, effective_to, is_active,
    item_count, fault, tier_number, up_to, missing,
    count(*) over (partition by source, price_id, fault) as faulty_versions
  from faults
  qualify row_number() over (
    partition by source, price_id, fault order by effective_from desc, tier_number
  ) = 1
)

select
  source,
  'price' as entity_type,
  price_id as entity_id,
  price_id,
  meter,
  effective_from as period_start,
  effective_to as period_end,
  case when coalesce(is_active, true) then 'active' else 'inactive' end as entity_status,
  unit,
  fault as reason,
  fault as explanation,
  'configuration' as root_cause,
  product_id,
  currency as price_currency,
  charge_model,
  tiers,
  tier_number,
  up_to as tier_up_to,
  missing,
  effective_from,
  effective_to,
  faulty_versions,
  item_count
from latest
