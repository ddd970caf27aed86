-- Invoice lines above the limit on invoices that are not final. Put your own question in its place: one row
-- for each record that is concerned, no rows where all is well. Columns that are not in docs/rules.md are evidence.
select
  l.source,
  'invoice_line' as entity_type,
  l.line_id as entity_id,
  l.line_id as invoice_line_id,
  l.invoice_id,
  i.number as entity_number,
  i.status as entity_status,
  l.customer_id,
  l.price_id,
  l.meter,
  l.period_start,
  l.period_end,
  'above_limit' as reason,
  l.amount as line_amount,
  l.currency as line_currency
from invoice_lines l
join invoices i on i.source = l.source and i.invoice_id = l.invoice_id
where l.amount > $most
  and i.status in ('draft', 'pending')
  and l.period_end > $window_start
  and l.period_end <= $window_end
