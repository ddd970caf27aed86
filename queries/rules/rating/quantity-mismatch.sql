-- Usage charges for another quantity than was used in their period, in the money that the difference makes.
-- Both quantities are rated with the price in force, so that a wrong rating, the finding of tier-miscalculation, does
-- not enter, and two quantities of one price (free units, one package, one step) are no finding. Which mistake gives
-- the billed quantity is found out afterwards, for these lines alone.
with charges as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id,
    target_date, customer_id, subscription_id, item_id, price_id, meter, period_start, period_end,
    coalesce(price_currency, currency) as currency, amount, charge_model, price, product_name, aggregation, unit,
    used_quantity, used_records, quantity as billed_quantity
  from usage_charges
  where used_quantity > 0
    and abs(coalesce(quantity, cast(0 as decimal(38, 12))) - used_quantity) > $quantity_tolerance
    and not is_prorated
    and charge_model not in ('prerated', 'custom', 'capacity')
),

-- A charge below zero gives back what another line of the item and period, or for lines without item of its meter, bills.
reversals as (
  select distinct c.source, c.line_id as reversal_id
  from charges as c
  join line_terms as l
    on l.source = c.source
    and coalesce(l.subscription_id, l.item_id) = coalesce(c.subscription_id, c.item_id)
    and coalesce(l.meter, '') = coalesce(c.meter, '')
    and l.period_start < c.period_end
    and l.period_end > c.period_start
  where c.billed_quantity < 0
    and l.kind = 'usage'
    and l.amount > 0
    and coalesce(l.invoice_status, '') <> 'void'
    and (l.item_id is null or c.item_id is null or (l.item_id = c.item_id and l.invoice_id <> c.invoice_id))
),

rated as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id,
    target_date, customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount,
    charge_model, product_name, aggregation, unit, used_quantity, used_records, billed_quantity,
    rate(price, used_quantity) as expected,
    -- A quantity below zero has no amount under the price: what stands on the invoice is what was billed.
    case when billed_quantity < 0 then amount else rate(price, coalesce(billed_quantity, cast(0 as decimal(38, 12)))) end
      as actual
  from charges as c
  left anti join reversals as r on r.source = c.source and r.reversal_id = c.line_id
),

mismatched as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id,
    target_date, customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount,
    charge_model, product_name, aggregation, unit, used_quantity, used_records, billed_quantity, expected, actual
  from rated
  where abs(actual - expected) > $tolerance
    -- A platform that tells no quantity is taken to have billed none only where the amount says so.
    and (billed_quantity is not null or amount = actual)
)

select
  source,
  'invoice_line' as entity_type,
  line_id as entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  period_start,
  period_end,
  target_date,
  invoice_status as entity_status,
  expected,
  actual,
  currency,
  case
    when billed_quantity < 0 then 'less_than_nothing'
    when coalesce(billed_quantity, cast(0 as decimal(38, 12))) = 0 then 'usage_not_billed'
    when billed_quantity > used_quantity then 'more_than_used'
    else 'less_than_used'
  end as reason,
  'unexplained' as explanation,
  'unknown' as root_cause,
  used_quantity,
  billed_quantity,
  used_records,
  unit as quantity_unit,
  aggregation,
  amount as billed_amount,
  charge_model,
  product_name,
  invoice_created_at,
  line_count
from mismatched
