-- Every line of an invoice that is not void, with its invoice, what names it by its item, and what was given back since.
-- `credited` is money back on the line itself: credit notes for it, and lines below zero for its item and period.
-- The end of a period that a usage line does not tell is its invoice's.
-- `is_made_good` says that this, or a credit note for the whole invoice, leaves nothing of the charge.
with signless as (
  -- Some platforms write a credit as a positive amount, some as a negative one.
  select source, invoice_id, line_id, kind, abs(amount) as amount
  from adjustments
  where kind in ('credit', 'refund')
),

-- A credit note and the refund that pays it out are the same money: the larger of the two counts.
line_credits as (
  select
    source,
    line_id as credited_line_id,
    greatest(
      coalesce(cast(sum(cast(amount as decimal(76, 12))) filter (where kind = 'credit') as decimal(38, 12)), 0),
      coalesce(cast(sum(cast(amount as decimal(76, 12))) filter (where kind = 'refund') as decimal(38, 12)), 0)
    ) as line_credit
  from signless
  where line_id is not null
  group by source, line_id
),

invoice_credits as (
  select
    source,
    invoice_id as credited_invoice_id,
    greatest(
      coalesce(cast(sum(cast(amount as decimal(76, 12))) filter (where kind = 'credit') as decimal(38, 12)), 0),
      coalesce(cast(sum(cast(amount as decimal(76, 12))) filter (where kind = 'refund') as decimal(38, 12)), 0)
    ) as invoice_credit
  from signless
  where line_id is null and invoice_id is not null
  group by source, invoice_id
),

invoice_terms as (
  select
    source,
    invoice_id,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    number as invoice_number,
    status as invoice_status,
    currency as invoice_currency,
    total as invoice_total,
    bill_run_id,
    target_date,
    finalized_at,
    case when period_start < period_end then period_start end as invoice_period_start,
    case when period_start < period_end then period_end end as invoice_period_end,
    coalesce(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))')) as made_at
  from invoices
  where coalesce(status, '') <> 'void'
),

items as (
  select
    source,
    item_id,
    subscription_id as item_subscription_id,
    customer_id as item_customer_id,
    price_id as item_price_id,
    meter as item_meter
  from subscription_items
),

lines as (
  select
    l.source,
    l.line_id,
    l.invoice_id,
    coalesce(l.customer_id, v.invoice_customer_id, i.item_customer_id) as customer_id,
    coalesce(l.subscription_id, i.item_subscription_id, v.invoice_subscription_id) as subscription_id,
    l.item_id,
    coalesce(l.price_id, i.item_price_id) as price_id,
    coalesce(l.meter, i.item_meter) as meter,
    l.kind,
    l.quantity,
    l.unit_price,
    l.amount,
    coalesce(l.currency, v.invoice_currency) as currency,
    coalesce(
      l.period_start,
      case when l.kind = 'usage' and coalesce(l.period_end > v.invoice_period_start, true) then v.invoice_period_start end
    ) as period_start,
    coalesce(
      l.period_end,
      case when l.kind = 'usage' and coalesce(l.period_start < v.invoice_period_end, true) then v.invoice_period_end end
    ) as period_end,
    coalesce(l.is_prorated, false) as is_prorated,
    v.invoice_number,
    v.invoice_status,
    v.invoice_currency,
    v.invoice_total,
    v.bill_run_id,
    v.target_date,
    v.finalized_at,
    v.made_at
  from invoice_lines as l
  join invoice_terms as v on v.source = l.source and v.invoice_id = l.invoice_id
  left join items as i on i.source = l.source and i.item_id = l.item_id
),

reversals as (
  select
    source,
    item_id as reversed_item_id,
    period_start as reversed_start,
    period_end as reversed_end,
    cast(-sum(cast(amount as decimal(76, 12))) as decimal(38, 12)) as reversed_amount
  from lines
  where amount < 0
    and item_id is not null
    and kind in ('usage', 'recurring', 'one_time', 'minimum', 'credit', 'adjustment')
  group by source, item_id, period_start, period_end
)

select
  l.source,
  l.line_id,
  l.invoice_id,
  l.customer_id,
  l.subscription_id,
  l.item_id,
  l.price_id,
  l.meter,
  l.kind,
  l.quantity,
  l.unit_price,
  l.amount,
  l.currency,
  l.period_start,
  l.period_end,
  l.is_prorated,
  l.invoice_number,
  l.invoice_status,
  l.invoice_currency,
  l.invoice_total,
  l.bill_run_id,
  l.target_date,
  l.finalized_at,
  l.made_at,
  coalesce(c.line_credit, cast(0 as decimal(38, 12))) + coalesce(r.reversed_amount, cast(0 as decimal(38, 12)))
    as credited,
  l.amount > 0 and (
    coalesce(c.line_credit, cast(0 as decimal(38, 12))) + coalesce(r.reversed_amount, cast(0 as decimal(38, 12)))
      >= l.amount
    or (l.invoice_total > 0 and coalesce(v.invoice_credit >= l.invoice_total, false))
  ) as is_made_good
from lines as l
left join line_credits as c on c.source = l.source and c.credited_line_id = l.line_id
left join invoice_credits as v on v.source = l.source and v.credited_invoice_id = l.invoice_id
left join reversals as r
  on r.source = l.source
  and r.reversed_item_id = l.item_id
  and r.reversed_start = l.period_start
  and r.reversed_end = l.period_end
