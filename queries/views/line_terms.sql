-- Every invoice line that has a price version in force at its period_start, with its invoice and that version.
-- A line that names no price has its item's, one without a currency its invoice's or its price's, and a usage line that
-- does not tell an end of its period its invoice's.
with invoice_terms as (
  select
    source,
    invoice_id,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    number as invoice_number,
    status as invoice_status,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    finalized_at,
    created_at as invoice_created_at,
    greatest(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'))
      as invoice_made_at,
    case when period_start < period_end then period_start end as invoice_period_start,
    case when period_start < period_end then period_end end as invoice_period_end
  from invoices
),

lines as (
  select
    l.source, l.line_id, l.invoice_id, l.customer_id, l.subscription_id, l.item_id, l.price_id, l.meter, l.kind,
    l.description, l.quantity, l.unit_price, l.amount, l.currency, l.is_prorated, l.billed_tiers,
    v.invoice_customer_id, v.invoice_subscription_id, v.invoice_number, v.invoice_status, v.invoice_currency,
    v.bill_run_id, v.target_date, v.finalized_at, v.invoice_created_at, v.invoice_made_at,
    coalesce(
      l.period_start,
      case when l.kind = 'usage' and coalesce(l.period_end > v.invoice_period_start, true) then v.invoice_period_start end
    ) as period_start,
    coalesce(
      l.period_end,
      case when l.kind = 'usage' and coalesce(l.period_start < v.invoice_period_end, true) then v.invoice_period_end end
    ) as period_end
  from invoice_lines as l
  left join invoice_terms as v on v.source = l.source and v.invoice_id = l.invoice_id
),

items as (
  select
    source,
    item_id,
    subscription_id as item_subscription_id,
    price_id as item_price_id,
    meter as item_meter
  from subscription_items
),

versions as (
  select
    source,
    price_id as version_price_id,
    effective_from as price_effective_from,
    price,
    charge_model,
    charge_type,
    currency as price_currency,
    meter as price_meter,
    aggregation,
    unit,
    product_name
  from price_terms
),

periods as (
  select source, price_id as period_price_id, valid_from, valid_to, effective_from
  from price_periods
)

select
  l.source,
  l.line_id,
  l.invoice_id,
  coalesce(l.customer_id, l.invoice_customer_id) as customer_id,
  coalesce(l.subscription_id, i.item_subscription_id, l.invoice_subscription_id) as subscription_id,
  l.item_id,
  coalesce(l.price_id, i.item_price_id) as price_id,
  coalesce(l.meter, i.item_meter, t.price_meter) as meter,
  l.kind,
  l.description,
  l.quantity,
  l.unit_price,
  l.amount,
  coalesce(l.currency, l.invoice_currency, t.price_currency) as currency,
  l.period_start,
  l.period_end,
  l.is_prorated,
  l.billed_tiers,
  l.invoice_number,
  l.invoice_status,
  l.invoice_currency,
  l.bill_run_id,
  l.target_date,
  l.finalized_at,
  l.invoice_created_at,
  l.invoice_made_at,
  t.price_effective_from,
  t.price,
  t.charge_model,
  t.charge_type,
  t.price_currency,
  t.aggregation,
  t.unit,
  t.product_name
from lines as l
left join items as i on i.source = l.source and i.item_id = l.item_id
join periods as p
  on p.source = l.source
  and p.period_price_id = coalesce(l.price_id, i.item_price_id)
  and p.valid_from <= l.period_start
  and (p.valid_to is null or l.period_start < p.valid_to)
join versions as t
  on t.source = p.source
  and t.version_price_id = p.period_price_id
  and t.price_effective_from = p.effective_from
