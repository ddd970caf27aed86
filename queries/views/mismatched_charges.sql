-- materialise
-- Usage charges, as in usage_charges, whose quantity is not the used one: what the rules that ask why look into, few
-- where billing is sound. Both quantities are rated with the price in force; prorated lines and prices without a formula
-- are left out. Rules take those of their own window, and differences in money above their own tolerance.
select
  source,
  line_id,
  line_count,
  invoice_id,
  invoice_number,
  invoice_status,
  invoice_created_at,
  invoice_made_at,
  finalized_at,
  bill_run_id,
  target_date,
  customer_id,
  subscription_id,
  item_id,
  price_id,
  meter,
  period_start,
  period_end,
  coalesce(price_currency, currency) as currency,
  amount,
  charge_model,
  product_name,
  aggregation,
  unit,
  used_quantity,
  used_records,
  quantity as billed_quantity,
  rate(price, used_quantity) as expected,
  rate(price, quantity) as actual
from usage_charges
where used_quantity >= 0
  and quantity >= 0
  and quantity <> used_quantity
  and not is_prorated
  and charge_model not in ('prerated', 'custom', 'capacity')
