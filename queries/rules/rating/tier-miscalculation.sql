-- Usage charges whose amount is not what the price in force makes of the quantity.
-- The rating alone is judged: where the billed quantity is not the used one, the billed one is rated here, and the
-- quantity is the finding of quantity-mismatch. One mistake, one finding. Which mistake gives the billed amount is
-- found out afterwards, for the wrong lines alone. Where the minimum binds and is billed as a line of its own, that line
-- makes up for any usage line, and is judged by minimum-charge.
with charges as (
  select
    source,
    line_id,
    line_count,
    invoice_id,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    customer_id,
    subscription_id,
    item_id,
    price_id,
    price_effective_from,
    meter,
    period_start,
    period_end,
    currency,
    amount,
    charge_model,
    price,
    product_name,
    aggregation,
    used_quantity,
    quantity as billed_quantity,
    coalesce(quantity, used_quantity) as rated_quantity
  from usage_charges
  where not is_prorated
    and charge_model not in ('prerated', 'custom', 'capacity')
    -- Another currency is the finding of invoice-total: the amounts cannot be compared.
    and (price_currency is null or currency is null or upper(currency) = upper(price_currency))
),

rated as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, price_effective_from, meter, period_start, period_end, currency, amount,
    charge_model, price, product_name, aggregation, used_quantity, billed_quantity, rated_quantity,
    rate(price, rated_quantity) as expected,
    rate(price, cast(0 as decimal(38, 12))) as amount_at_zero
  from charges
  -- A quantity below zero has an amount only where the price mirrors it.
  where rated_quantity >= 0 or get_field(price, 'negative_policy') = 'mirror'
),

-- Some platforms bill what is missing to the minimum as a line of its own.
minimum_lines as (
  select
    source,
    invoice_id,
    item_id,
    cast(sum(cast(amount as decimal(76, 12))) as decimal(38, 12)) as minimum_billed
  from invoice_lines
  where kind = 'minimum' and item_id is not null
  group by source, invoice_id, item_id
),

wrong as (
  select
    r.source, r.line_id, r.line_count, r.invoice_id, r.invoice_number, r.invoice_status, r.bill_run_id, r.target_date,
    r.customer_id, r.subscription_id, r.item_id, r.price_id, r.price_effective_from, r.meter, r.period_start,
    r.period_end, r.currency, r.amount, r.charge_model, r.price, r.product_name, r.aggregation, r.used_quantity,
    r.billed_quantity, r.rated_quantity, r.expected
  from rated as r
  left join minimum_lines as m
    on m.source = r.source and m.invoice_id = r.invoice_id and m.item_id = r.item_id
  where abs(r.amount - r.expected) > $tolerance
    and (m.minimum_billed is null or abs(r.amount + m.minimum_billed - r.expected) > $tolerance)
    and not coalesce(
      m.minimum_billed is not null and r.expected = get_field(r.price, 'minimum_amount') and r.amount <= r.expected,
      false
    )
    -- Without a billed quantity, an amount as if nothing was used, or any amount where nothing was, is a matter of
    -- the quantity: quantity-mismatch and billed-without-usage.
    and not (
      r.billed_quantity is null
      and (r.used_quantity = 0 or r.amount is not distinct from r.amount_at_zero)
    )
)

select
  e.source,
  'invoice_line' as entity_type,
  e.line_id as entity_id,
  e.invoice_number as entity_number,
  e.customer_id,
  e.subscription_id,
  e.item_id,
  e.invoice_id,
  e.line_id as invoice_line_id,
  e.bill_run_id,
  e.price_id,
  e.meter,
  e.period_start,
  e.period_end,
  e.target_date,
  e.invoice_status as entity_status,
  e.expected,
  e.amount as actual,
  e.currency,
  case when e.amount > e.expected then 'overbilled' else 'underbilled' end as reason,
  'unexplained' as explanation,
  'unknown' as root_cause,
  e.used_quantity,
  e.billed_quantity,
  rate_tiers(e.price, e.rated_quantity) as expected_tiers,
  l.billed_tiers,
  e.charge_model,
  rate_unrounded(e.price, e.rated_quantity) as unrounded,
  e.aggregation,
  e.product_name,
  e.price_effective_from,
  e.line_count
from wrong as e
left join invoice_lines as l on l.source = e.source and l.line_id = e.line_id
