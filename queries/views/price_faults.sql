-- materialise
-- What is wrong with a price version in itself, one row per fault. With `stops_rating` the price has no defined amount,
-- so no charge of it can be judged; the others leave a hole only for some quantities or dates.
-- `missing` names what a price with the fault missing_value does not say.
with numbered as (
  select
    source,
    price_id,
    effective_from,
    charge_model,
    overage_price,
    package_size as price_package_size,
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
    -- A free tier says 0. Of one that says nothing rating makes 0 too, so it has to be told apart here.
    case
      when charge_model = 'graduated_percentage' then
        case when coalesce(tier['percentage_rate'], tier['flat_fee']) is null then 'percentage_rate' end
      when charge_model in (
          'graduated', 'volume', 'stairstep', 'tiered_overage', 'graduated_block', 'volume_block', 'capacity'
        )
        and coalesce(tier['unit_price'], tier['flat_fee']) is null
        then case when charge_model in ('stairstep', 'capacity') then 'flat_fee' else 'unit_price' end
      when charge_model in ('graduated_block', 'volume_block')
        and coalesce(tier['package_size'], price_package_size) is null
        then 'package_size'
    end as missing,
    lag(tier['up_to']) over (
      partition by source, price_id, effective_from order by tier_number
    ) as previous_up_to
  from numbered
),

tier_faults as (
  -- Every tier must end above the one before it, and none can follow an open one.
  select
    source, price_id, effective_from, 'tiers_out_of_order' as fault, true as stops_rating,
    min(tier_number) as tier_number, min(up_to) as up_to, cast(null as varchar) as missing
  from bounded
  where up_to < 0
    or (tier_number > 1 and (previous_up_to is null or up_to <= previous_up_to))
  group by source, price_id, effective_from
  union all
  -- Usage above a closed last tier has no price. Block models count blocks; tiered overage may have one for the rest.
  select
    source, price_id, effective_from, 'no_open_tier' as fault, false as stops_rating, tier_number, up_to,
    cast(null as varchar) as missing
  from bounded
  where tier_number = tier_count
    and up_to is not null
    and (
      charge_model in ('graduated', 'volume', 'stairstep', 'graduated_percentage')
      or (charge_model = 'tiered_overage' and overage_price is null)
    )
  union all
  select
    source, price_id, effective_from, 'impossible_value' as fault, true as stops_rating,
    min(tier_number) as tier_number, min(up_to) as up_to, cast(null as varchar) as missing
  from bounded
  where package_size <= 0
  group by source, price_id, effective_from
  union all
  select
    source, price_id, effective_from, 'missing_value' as fault, true as stops_rating,
    min(tier_number) as tier_number,
    first_value(up_to order by tier_number) as up_to,
    first_value(missing order by tier_number) as missing
  from bounded
  where missing is not null
  group by source, price_id, effective_from
),

-- What a model without tiers cannot be rated without.
untiered as (
  select
    source,
    price_id,
    effective_from,
    case charge_model
      when 'flat' then case when coalesce(flat_fee, unit_price) is null then 'flat_fee' end
      when 'per_unit' then case when coalesce(unit_price, flat_fee) is null then 'unit_price' end
      when 'overage' then case when coalesce(overage_price, unit_price) is null then 'overage_price' end
      when 'percentage' then case when percentage_rate is null then 'percentage_rate' end
      when 'package' then
        case
          when package_size is null and coalesce(unit_price, flat_fee) is null then 'package_size and unit_price'
          when package_size is null then 'package_size'
          when coalesce(unit_price, flat_fee) is null then 'unit_price'
        end
    end as missing
  from prices
),

price_level_faults as (
  select
    source, price_id, effective_from, 'no_tiers' as fault, true as stops_rating,
    cast(null as bigint) as tier_number, cast(null as decimal(38, 12)) as up_to, cast(null as varchar) as missing
  from prices
  where charge_model in (
      'graduated', 'volume', 'stairstep', 'graduated_percentage', 'tiered_overage', 'graduated_block', 'volume_block'
    )
    and coalesce(array_length(tiers), 0) = 0
  union all
  select
    source, price_id, effective_from, 'missing_value' as fault, true as stops_rating,
    cast(null as bigint) as tier_number, cast(null as decimal(38, 12)) as up_to, missing
  from untiered
  where missing is not null
  union all
  select
    source, price_id, effective_from, 'impossible_value' as fault, true as stops_rating,
    cast(null as bigint) as tier_number, cast(null as decimal(38, 12)) as up_to, cast(null as varchar) as missing
  from prices
  where package_size <= 0
    or included_quantity < 0
    or rounding_increment <= 0
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
  f.up_to,
  f.missing
from tier_faults as f
union all
select
  f.source,
  f.price_id,
  f.effective_from,
  f.fault,
  f.stops_rating,
  f.tier_number,
  f.up_to,
  f.missing
from price_level_faults as f
