-- materialise
-- One row per price version, with everything that rating needs packed into the struct `price`.
-- `platform` travels in the struct because a rounding or zero rule that the price leaves open is the platform's own.
select
  p.source,
  p.price_id,
  p.product_id,
  p.product_name,
  p.currency,
  p.charge_model,
  p.charge_type,
  p.meter,
  p.unit,
  p.aggregation,
  p.effective_from,
  p.effective_to,
  p.is_active,
  p.tiers,
  named_struct(
    'price_id', p.price_id,
    'platform', s.platform,
    'currency', p.currency,
    'charge_model', p.charge_model,
    'unit_price', p.unit_price,
    'flat_fee', p.flat_fee,
    'package_size', p.package_size,
    'package_rounding', p.package_rounding,
    'included_quantity', p.included_quantity,
    'overage_price', p.overage_price,
    'percentage_rate', p.percentage_rate,
    'minimum_amount', p.minimum_amount,
    'maximum_amount', p.maximum_amount,
    'tiers', p.tiers,
    'rounding_stage', p.rounding_stage,
    'rounding_mode', p.rounding_mode,
    'rounding_scale', p.rounding_scale,
    'rounding_increment', p.rounding_increment,
    'quantity_rounding', p.quantity_rounding,
    'quantity_scale', p.quantity_scale,
    'tier_pick', p.tier_pick,
    'flat_fee_at_zero', p.flat_fee_at_zero,
    'negative_policy', p.negative_policy
  ) as price
from prices as p
left join run_sources as s on s.source = p.source
