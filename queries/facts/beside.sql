-- What stands beside a wrong line: other charges for its item and period, what already reduces its invoice, and the
-- discounts that its item, or its subscription, has on other invoices.
with lines as (
  select source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, period_start, period_end
  from wrong_terms
),

others as (
  select
    l.source as other_source,
    l.line_id as other_id,
    l.invoice_id as other_invoice,
    l.subscription_id as other_subscription,
    l.item_id as other_item,
    l.kind,
    l.amount,
    l.period_start as other_start,
    l.period_end as other_end
  from invoice_lines as l
  join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
  where coalesce(v.status, '') <> 'void' and l.amount is not null
)

select w.source, w.line_id, 'charge' as beside, o.other_id, o.amount
from lines as w
join others as o
  on o.other_source = w.source
  and o.other_item = w.item_id
  and o.other_start < w.period_end
  and o.other_end > w.period_start
where o.other_id <> w.line_id
  and o.kind in ('usage', 'recurring', 'one_time', 'minimum', 'adjustment')
  and o.amount <> 0
union all
select w.source, w.line_id, 'reduction' as beside, o.other_id, o.amount
from lines as w
join others as o on o.other_source = w.source and o.other_invoice = w.invoice_id
where o.kind in ('credit', 'discount')
  and (o.other_item is null or w.item_id is null or o.other_item = w.item_id)
  and o.amount <> 0
union all
select w.source, w.line_id, 'reduction' as beside, a.adjustment_id as other_id, a.amount
from lines as w
join adjustments as a on a.source = w.source and a.invoice_id = w.invoice_id
where a.kind = 'credit'
  and (a.line_id is null or a.line_id = w.line_id)
  and a.amount <> 0
union all
select w.source, w.line_id, 'discount_elsewhere' as beside, o.other_id, o.amount
from lines as w
join others as o on o.other_source = w.source and o.other_subscription = w.subscription_id
where o.kind = 'discount'
  and o.other_invoice <> w.invoice_id
  and (o.other_item is null or w.item_id is null or o.other_item = w.item_id)
  and o.amount <> 0
