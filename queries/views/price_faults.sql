-- What is wrong with a price version in itself, one row per fault. With `stops_rating` the price has no defined amount,
-- so no charge of it can be judged; the others leave a hole only for some quantities or dates.
with numbered as (
  select
    source,
    price_id,
    effective_from,
    charge_model,
    overage_price,
    cast(array_length(tiers) as bigint) as tier_count,
    unnest(tiers) as tier,
    unnest(range(1, cast(array_length(tiers) as bigint) + 1)) as tier_number
  from prices
  where array_length(tiers) > 0
),

bounded as (
  select
    source,
    price_id,
    effective_from,
    charge_model,
    overage_price,
    tier_count,
    tier_number,
    tier['up_to'] as up_to,
    tier['package_size'] as package_size,
    lag(tier['up_to']) over (
      partition by source, price_id, effective_from order by tier_number
    ) as previous_up_to
  from numbered
),

tier_faults as (
  -- Every tier must end above the one before it, and none can follow an open one.
  select
    source, price_id, effective_from, 'tiers_out_of_order' as fault, true as stops_rating,
    min(tier_number) as tier_number, min(up_to) as up_to
  from bounded
  where up_to < 0
    or (tier_number > 1 and (previous_up_to is null or up_to <= previous_up_to))
  group by source, price_id, effective_from
  union all
  -- Usage above a closed last tier has no price. Block models count blocks; tiered overage has a price for the rest.
  select
    source, price_id, effective_from, 'no_open_tier' as fault, false as stops_rating, tier_number, up_to
  from bounded
  where tier_number = tier_count
    and up_to is not null
    and charge_model in ('graduated', 'volume', 'stairstep', 'graduated_percentage')
  union all
  select
    source, price_id, effective_from, 'impossible_value' as fault, true as stops_rating,
    min(tier_number) as tier_number, min(up_to) as up_to
  from bounded
  where package_size <= 0
  group by source, price_id, effective_from
),

price_level_faults as (
  select
    source, price_id, effective_from, 'no_tiers' as fault, false as stops_rating,
    cast(null as bigint) as tier_number, cast(null as decimal(38, 12)) as up_to
  from prices
  where charge_model in (
      'graduated', 'volume', 'stairstep', 'graduated_percentage', 'tiered_overage', 'graduated_block', 'volume_block'
    )
    and coalesce(array_length(tiers), 0) = 0
  union all
  select
    source, price_id, effective_from, 'impossible_value' as fault, true as stops_rating,
    cast(null as bigint) as tier_number, cast(null as decimal(38, 12)) as up_to
  from prices
  where package_size <= 0
    or included_quantity < 0
    or minimum_amount > maximum_amount
    or charge_model is null
    or charge_model not in (
      'flat', 'per_unit', 'graduated', 'volume', 'stairstep', 'package', 'percentage', 'graduated_percentage',
      'overage', 'tiered_overage', 'graduated_block', 'volume_block', 'capacity', 'prerated', 'custom'
    )
)

select
  f.source,
  f.price_id,
  f.effective_from,
  f.fault,
  f.stops_rating,
  cast(f.tier_number as bigint) as tier_number,
  f.up_to
from tier_faults as f
union all
select
  f.source,
  f.price_id,
  f.effective_from,
  f.fault,
  f.stops_rating,
  f.tier_number,
  f.up_to
from price_level_faults as f
