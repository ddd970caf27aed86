-- Price changes that reach many at once: many prices changed within a short time, one price that many subscriptions
-- use, or a change by a factor that only a slip of a unit or a decimal point makes. And a price that became a multiple
-- or a fraction of itself under running subscriptions, however few: contracts are raised by a part of the price.
-- Two versions are compared part by part; a price whose model, unit or billing period changed with it is another price.
with versions as (
  select
    source,
    price_id,
    product_name,
    upper(coalesce(currency, '')) as price_currency,
    charge_model,
    meter,
    unit,
    billing_period,
    billing_period_count,
    unit_price,
    flat_fee,
    overage_price,
    percentage_rate,
    package_size,
    tiers,
    effective_from,
    updated_at,
    is_active,
    row_number() over (
      partition by source, price_id, upper(coalesce(currency, '')) order by effective_from
    ) as version_number
  from prices
),

pairs as (
  select
    b.source, b.price_id, b.product_name, b.price_currency, b.charge_model, b.meter, b.unit, b.version_number,
    b.effective_from, b.updated_at, b.is_active,
    a.effective_from as previous_effective_from,
    a.unit_price as old_unit_price, b.unit_price as new_unit_price,
    a.flat_fee as old_flat_fee, b.flat_fee as new_flat_fee,
    a.overage_price as old_overage_price, b.overage_price as new_overage_price,
    a.percentage_rate as old_percentage_rate, b.percentage_rate as new_percentage_rate,
    coalesce(a.package_size, 1) as old_package_size, coalesce(b.package_size, 1) as new_package_size,
    a.tiers as old_tiers, b.tiers as new_tiers
  from versions as b
  join versions as a
    on a.source = b.source
    and a.price_id = b.price_id
    and a.price_currency = b.price_currency
    and a.version_number + 1 = b.version_number
  where a.charge_model = b.charge_model
    and coalesce(a.unit, '') = coalesce(b.unit, '')
    and coalesce(a.billing_period, '') = coalesce(b.billing_period, '')
    and coalesce(a.billing_period_count, 1) = coalesce(b.billing_period_count, 1)
),

old_tiers as (
  select
    source, price_id, price_currency, version_number,
    unnest(old_tiers) as tier,
    unnest(range(1, cast(array_length(old_tiers) as bigint) + 1)) as tier_number
  from pairs
  where array_length(old_tiers) > 0
),

new_tiers as (
  select
    source, price_id, price_currency, version_number,
    unnest(new_tiers) as tier,
    unnest(range(1, cast(array_length(new_tiers) as bigint) + 1)) as tier_number
  from pairs
  where array_length(new_tiers) > 0
),

parts as (
  -- Where a package grows with its price, the unit costs what it did.
  select source, price_id, price_currency, version_number, 'unit_price' as part, cast(null as bigint) as tier_number,
    old_unit_price as old_value, new_unit_price as new_value,
    cast(old_unit_price as double) / cast(nullif(old_package_size, 0) as double) as old_weight,
    cast(new_unit_price as double) / cast(nullif(new_package_size, 0) as double) as new_weight
  from pairs
  union all
  select source, price_id, price_currency, version_number, 'flat_fee', null, old_flat_fee, new_flat_fee,
    cast(old_flat_fee as double), cast(new_flat_fee as double)
  from pairs
  union all
  select source, price_id, price_currency, version_number, 'overage_price', null, old_overage_price, new_overage_price,
    cast(old_overage_price as double), cast(new_overage_price as double)
  from pairs
  union all
  select source, price_id, price_currency, version_number, 'percentage_rate', null, old_percentage_rate,
    new_percentage_rate, cast(old_percentage_rate as double), cast(new_percentage_rate as double)
  from pairs
  union all
  -- A tier that is as many times longer as its unit is cheaper says the same in another unit.
  select a.source, a.price_id, a.price_currency, a.version_number, 'unit_price', a.tier_number,
    a.tier['unit_price'], b.tier['unit_price'],
    cast(a.tier['unit_price'] as double),
    case
      when abs(
          cast(b.tier['unit_price'] as double) * cast(b.tier['up_to'] as double)
          - cast(a.tier['unit_price'] as double) * cast(a.tier['up_to'] as double)
        ) < 0.01e0 * cast(a.tier['unit_price'] as double) * cast(a.tier['up_to'] as double)
        then cast(a.tier['unit_price'] as double)
      else cast(b.tier['unit_price'] as double)
    end
  from old_tiers as a
  join new_tiers as b
    on b.source = a.source
    and b.price_id = a.price_id
    and b.price_currency = a.price_currency
    and b.version_number = a.version_number
    and b.tier_number = a.tier_number
  union all
  select a.source, a.price_id, a.price_currency, a.version_number, 'flat_fee', a.tier_number,
    a.tier['flat_fee'], b.tier['flat_fee'],
    cast(a.tier['flat_fee'] as double), cast(b.tier['flat_fee'] as double)
  from old_tiers as a
  join new_tiers as b
    on b.source = a.source
    and b.price_id = a.price_id
    and b.price_currency = a.price_currency
    and b.version_number = a.version_number
    and b.tier_number = a.tier_number
),

changed_parts as (
  select
    source, price_id, price_currency, version_number, part, tier_number, old_value, new_value,
    -- How many times the price it is, whichever way; from or to nothing it is all of it.
    case
      when old_weight = 0 or new_weight = 0 then cast(1000000000 as double)
      else greatest(new_weight / old_weight, old_weight / new_weight)
    end as times,
    old_weight > 0 and new_weight > 0 as has_factor,
    new_weight > old_weight as is_dearer
  from parts
  where old_weight >= 0
    and new_weight >= 0
    and abs(new_weight - old_weight) > cast($min_change as double) * old_weight
),

-- The part that changed most stands for the price.
changes as (
  select
    source, price_id, price_currency, version_number, part, tier_number, old_value, new_value, times, has_factor,
    is_dearer,
    count(*) over (partition by source, price_id, price_currency, version_number) as changed_part_count
  from changed_parts
  qualify row_number() over (
    partition by source, price_id, price_currency, version_number
    order by has_factor desc, times desc, tier_number nulls first, part
  ) = 1
),

-- Who uses a price when it changes. An item that began with the version was sold at it.
items as (
  select
    i.source,
    i.item_id,
    i.subscription_id,
    i.price_id,
    i.effective_from,
    least(i.effective_to, coalesce(s.ended_at, case when s.status in ('cancelled', 'ended') then s.cancelled_at end))
      as used_until
  from subscription_items as i
  left join subscriptions as s on s.source = i.source and s.subscription_id = i.subscription_id
  where coalesce(s.status, '') not in ('draft', 'trialing')
),

users as (
  select
    p.source,
    p.price_id,
    p.price_currency,
    p.version_number,
    count(distinct case when i.effective_from < p.effective_from - cast($span as interval) or i.effective_from is null
      then coalesce(i.subscription_id, i.item_id) end) as subscription_count,
    count(distinct case when i.effective_from >= p.effective_from - cast($span as interval)
        and i.effective_from <= p.effective_from + cast($span as interval)
      then coalesce(i.subscription_id, i.item_id) end) as new_subscription_count
  from pairs as p
  join items as i
    on i.source = p.source
    and i.price_id = p.price_id
    and (i.used_until is null or i.used_until > p.effective_from)
  group by p.source, p.price_id, p.price_currency, p.version_number
),

-- Changes that hit somebody by surprise: not entered long before, and not part of new contracts.
surprises as (
  select
    p.source, p.price_id, p.product_name, p.price_currency, p.charge_model, p.meter, p.unit, p.effective_from,
    p.previous_effective_from, p.updated_at, p.is_active,
    c.part, c.tier_number, c.old_value, c.new_value, c.times, c.is_dearer, c.changed_part_count,
    u.subscription_count,
    u.new_subscription_count,
    -- To or from nothing is unpriced-usage's.
    c.has_factor and c.times >= cast($steep_change as double) as is_steep,
    c.has_factor and (
      abs(c.times - 10e0) < 0.05e0 or abs(c.times - 100e0) < 0.5e0 or abs(c.times - 1000e0) < 5e0
      or abs(c.times - 10000e0) < 50e0 or abs(c.times - 1000000e0) < 5000e0
      or abs(c.times - 60e0) < 0.3e0 or abs(c.times - 3600e0) < 18e0 or abs(c.times - 1024e0) < 5e0
    ) as is_factor
  from changes as c
  join pairs as p
    on p.source = c.source
    and p.price_id = c.price_id
    and p.price_currency = c.price_currency
    and p.version_number = c.version_number
  join users as u
    on u.source = c.source
    and u.price_id = c.price_id
    and u.price_currency = c.price_currency
    and u.version_number = c.version_number
  where u.subscription_count > u.new_subscription_count
    and coalesce(p.updated_at + cast($notice as interval) > p.effective_from, true)
),

-- Changes that follow each other within the span belong together, and keep their day when the window moves on.
marked as (
  select
    source, price_id, product_name, price_currency, charge_model, meter, unit, effective_from,
    previous_effective_from, updated_at, is_active, part, tier_number, old_value, new_value, times, is_dearer,
    changed_part_count, subscription_count, is_steep, is_factor,
    case
      when lag(effective_from) over (partition by source order by effective_from, price_id)
        + cast($span as interval) >= effective_from then 0
      else 1
    end as is_first
  from surprises
),

numbered as (
  select
    source, price_id, product_name, price_currency, charge_model, meter, unit, effective_from,
    previous_effective_from, updated_at, is_active, part, tier_number, old_value, new_value, times, is_dearer,
    changed_part_count, subscription_count, is_steep, is_factor,
    sum(is_first) over (
      partition by source order by effective_from, price_id rows between unbounded preceding and current row
    ) as batch
  from marked
),

batches as (
  select
    source, price_id, product_name, price_currency, charge_model, meter, unit, effective_from,
    previous_effective_from, updated_at, is_active, part, tier_number, old_value, new_value, times, is_dearer,
    changed_part_count, subscription_count, is_steep, is_factor,
    count(*) over (partition by source, batch) as changed_price_count,
    min(effective_from) over (partition by source, batch) as first_change_at
  from numbered
)

select
  source,
  'price' as entity_type,
  price_id as entity_id,
  price_id,
  meter,
  -- What has left the window is not over.
  effective_from as period_start,
  effective_from as period_end,
  case when coalesce(is_active, true) then 'active' else 'inactive' end as entity_status,
  unit,
  case when is_factor then 'critical' else 'high' end as severity,
  case when is_dearer then 'dearer' else 'cheaper' end as reason,
  case
    when is_factor then 'factor_change'
    when changed_price_count >= $min_prices then 'many_prices'
    when subscription_count >= $min_subscriptions then 'many_subscriptions'
    else 'steep_change'
  end as explanation,
  case when is_factor then 'configuration' else 'manual' end as root_cause,
  cast(cast(first_change_at as date) as varchar) as changed_on,
  product_name,
  nullif(price_currency, '') as price_currency,
  charge_model,
  part,
  tier_number,
  old_value,
  new_value,
  case when old_value > 0 and new_value > 0 then cast(round(times, 4) as decimal(20, 4)) end as times,
  changed_part_count,
  changed_price_count,
  subscription_count,
  effective_from,
  previous_effective_from,
  updated_at
from batches
where effective_from > $window_start
  and (is_factor or is_steep or changed_price_count >= $min_prices or subscription_count >= $min_subscriptions)
