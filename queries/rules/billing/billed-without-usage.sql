-- Usage charges with an amount for a period in which nothing was used, beyond what the price asks for no usage at all.
-- A charge for time after the end of its subscription or item is the finding of billed-after-end.
with sources_with_usage as (
  -- A source that exports no usage says nothing about what was used.
  select source from usage_daily group by source
),

subscription_ends as (
  select
    source,
    subscription_id as ended_subscription_id,
    coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as subscription_ends_at
  from subscriptions
),

item_ends as (
  select source, item_id as ended_item_id, effective_to as item_ends_at
  from subscription_items
  where effective_to is not null
),

charges as (
  select
    c.source, c.line_id, c.line_count, c.invoice_id, c.invoice_number, c.invoice_status, c.bill_run_id, c.target_date,
    c.customer_id, c.subscription_id, c.item_id, c.price_id, c.meter, c.period_start, c.period_end, c.currency,
    c.amount, c.charge_model, c.product_name, c.aggregation, c.used_quantity, c.used_records,
    c.quantity as billed_quantity,
    -- What was rated elsewhere has no amount without usage.
    case
      when c.charge_model in ('prerated', 'custom', 'capacity') then cast(0 as decimal(38, 12))
      else rate(c.price, cast(0 as decimal(38, 12)))
    end as expected
  from usage_charges as c
  join sources_with_usage as s on s.source = c.source
  left join subscription_ends as e on e.source = c.source and e.ended_subscription_id = c.subscription_id
  left join item_ends as i on i.source = c.source and i.ended_item_id = c.item_id
  where c.used_quantity = 0
    and c.amount > 0
    and not coalesce(c.period_start >= least(e.subscription_ends_at, i.item_ends_at), false)
    and (c.price_currency is null or c.currency is null or upper(c.currency) = upper(c.price_currency))
),

unexplained as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount, charge_model, product_name,
    aggregation, used_quantity, used_records, billed_quantity, expected
  from charges
  where amount - expected > $tolerance
),

-- The last usage before the period tells a subscription that stopped from one that never used the meter.
last_use as (
  select
    c.source,
    c.line_id,
    max(u.last_occurred_at) as last_used_at
  from unexplained as c
  join item_usage as u
    on u.source = c.source
    and u.item_id = c.item_id
    and (c.meter is null or u.meter is null or u.meter = c.meter)
    and u.last_occurred_at < c.period_start
  group by c.source, c.line_id
)

select
  c.source,
  'invoice_line' as entity_type,
  c.line_id as entity_id,
  c.invoice_number as entity_number,
  c.customer_id,
  c.subscription_id,
  c.item_id,
  c.invoice_id,
  c.line_id as invoice_line_id,
  c.bill_run_id,
  c.price_id,
  c.meter,
  c.period_start,
  c.period_end,
  c.target_date,
  c.invoice_status as entity_status,
  c.expected,
  c.amount as actual,
  c.currency,
  'billed_without_usage' as reason,
  case when l.last_used_at is null then 'never_used' else 'not_used_in_period' end as explanation,
  -- Records of the item do arrive, and none of them gives the quantity that the line tells: an old or copied figure, or
  -- records that are gone. Of an item that never used its meter neither is known.
  case when l.last_used_at is not null and c.billed_quantity > 0 then 'data_quality' else 'unknown' end as root_cause,
  c.used_quantity,
  c.used_records,
  c.billed_quantity,
  l.last_used_at,
  c.charge_model,
  c.aggregation,
  c.product_name,
  c.line_count
from unexplained as c
left join last_use as l on l.source = c.source and l.line_id = c.line_id
