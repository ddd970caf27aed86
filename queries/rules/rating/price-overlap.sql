-- Prices with two versions in force at once, and prices with none in force between two versions while items use them.
-- Versions in different currencies stand side by side: they are no rivals.
with versions as (
  select
    source,
    price_id,
    product_id,
    upper(coalesce(currency, '')) as price_currency,
    charge_model,
    meter,
    unit,
    effective_from,
    effective_to,
    is_active,
    max(case when effective_to is null then 1 else 0 end) over earlier as earlier_open,
    max(effective_to) over earlier as held_until
  from prices
  -- A version that ends as it begins was never in force.
  where effective_to is null or effective_to > effective_from
  window earlier as (
    partition by source, price_id, upper(coalesce(currency, ''))
    order by effective_from rows between unbounded preceding and 1 preceding
  )
),

item_spans as (
  select
    i.source,
    i.item_id,
    i.price_id,
    i.effective_from,
    least(i.effective_to, coalesce(s.ended_at, case when s.status in ('cancelled', 'ended') then s.cancelled_at end))
      as used_until
  from subscription_items as i
  left join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
  where coalesce(s.status, '') <> 'draft'
),

items_of_price as (
  select source, price_id, count(*) as item_count
  from item_spans
  where used_until is null or used_until > $window_start
  group by source, price_id
),

-- Two versions of a price in force at once: which one bills is chance.
overlaps as (
  select
    a.source, a.price_id, a.product_id, a.price_currency, a.charge_model, a.meter, a.unit, a.effective_from,
    a.effective_to, b.is_active,
    b.effective_from as next_effective_from,
    b.effective_from as fault_start,
    least(a.effective_to, b.effective_to) as fault_end,
    coalesce(i.item_count, 0) as item_count,
    'overlapping_versions' as fault
  from versions as b
  join versions as a
    on a.source = b.source
    and a.price_id = b.price_id
    and a.price_currency = b.price_currency
    and a.effective_from < b.effective_from
    and (a.effective_to is null or a.effective_to > b.effective_from)
  left join items_of_price as i on i.source = b.source and i.price_id = b.price_id
  where (b.earlier_open = 1 or b.held_until > b.effective_from)
    -- An earlier version that is marked as retired does not bill, whatever its end.
    and (coalesce(a.is_active, true) or b.is_active = false)
    and (coalesce(b.is_active, true) or i.item_count > 0)
),

holes as (
  select
    source, price_id, product_id, price_currency, charge_model, meter, unit, is_active,
    held_until as fault_start,
    effective_from as fault_end
  from versions
  where earlier_open = 0
    and held_until + cast($min_gap as interval) < effective_from
    and effective_from > $window_start
),

gaps as (
  select
    h.source, h.price_id, h.product_id, h.price_currency, h.charge_model, h.meter, h.unit, h.is_active,
    h.fault_start,
    h.fault_end,
    count(*) as item_count
  from holes as h
  join item_spans as i
    on i.source = h.source
    and i.price_id = h.price_id
    and (i.effective_from is null or i.effective_from < h.fault_end)
    and (i.used_until is null or i.used_until > h.fault_start)
  group by
    h.source, h.price_id, h.product_id, h.price_currency, h.charge_model, h.meter, h.unit, h.is_active, h.fault_start,
    h.fault_end
),

faults as (
  select
    source, price_id, product_id, price_currency, charge_model, meter, unit, effective_from, effective_to, is_active,
    next_effective_from, fault_start, fault_end, item_count, fault
  from overlaps
  where fault_end is null or fault_end > $window_start
  union all
  select
    g.source, g.price_id, g.product_id, g.price_currency, g.charge_model, g.meter, g.unit,
    a.effective_from,
    a.effective_to,
    g.is_active,
    g.fault_end as next_effective_from,
    g.fault_start,
    g.fault_end,
    g.item_count,
    -- The last day of a version, given as a date that is meant to be included, ends here as it begins.
    case when g.fault_start + interval '1 day' = g.fault_end then 'last_day_left_out' else 'gap_between_versions' end
      as fault
  from gaps as g
  join versions as a
    on a.source = g.source
    and a.price_id = g.price_id
    and a.price_currency = g.price_currency
    and a.effective_to = g.fault_start
),

-- One row for each price and kind of fault, the latest of them.
latest as (
  select
    source, price_id, product_id, price_currency, charge_model, meter, unit, effective_from, effective_to, is_active,
    next_effective_from, fault_start, fault_end, item_count, fault,
    count(*) over (partition by source, price_id, fault) as fault_count
  from faults
  qualify row_number() over (
    partition by source, price_id, fault order by fault_start desc, effective_from desc, price_currency
  ) = 1
)

select
  source,
  'price' as entity_type,
  price_id as entity_id,
  price_id,
  meter,
  fault_start as period_start,
  fault_end as period_end,
  case when coalesce(is_active, true) then 'active' else 'inactive' end as entity_status,
  unit,
  fault as reason,
  fault as explanation,
  case when fault = 'last_day_left_out' then 'integration' else 'configuration' end as root_cause,
  product_id,
  nullif(price_currency, '') as price_currency,
  charge_model,
  effective_from,
  effective_to,
  next_effective_from,
  fault_count,
  item_count
from latest
