-- The usage charges that a rule judges: void invoices left out, period closed before the end of the rule's window. It
-- closed, or its invoice was made, inside the window, or the invoice is not final yet: an old period may be billed late.
-- Lines of one invoice for one item, price and period are the parts of one charge (some platforms print a line a tier,
-- or the flat fee as a line of its own), so they are added up; `line_id` is the first of them. Lines that are all the
-- same are one charge printed twice, the finding of period-overlap: here they count once. Where one of the lines bills
-- all that was used, and rightly, the others bill a part of it again: `is_billed_in_one` is the finding of double-bucket,
-- and the charge is that one line.
-- A price that is wrong in itself has no amount to hold a charge against: its charges are left out here, the price is
-- a finding of tier-gap.
with parts as (
  select
    source,
    invoice_id,
    customer_id,
    subscription_id,
    item_id,
    price_id,
    price_effective_from,
    meter,
    period_start,
    period_end,
    currency,
    min(line_id) as line_id,
    count(*) as line_count,
    -- The line that could hold all of the usage, were the others too many.
    first_value(line_id order by quantity desc nulls last, amount desc, line_id) as greatest_line_id,
    max(quantity) as greatest_quantity,
    first_value(amount order by quantity desc nulls last, amount desc, line_id) as greatest_amount,
    count(quantity) as quantity_count,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as total_quantity,
    cast(sum(cast(amount as decimal(76, 12))) as decimal(38, 12)) as total_amount,
    min(quantity) as least_quantity,
    min(amount) as least_amount,
    count(*) > 1
      and count(quantity) in (0, count(*))
      and coalesce(min(quantity) = max(quantity), true)
      and min(amount) = max(amount) as is_repeated,
    bool_or(coalesce(is_prorated, false)) as is_prorated,
    min(invoice_number) as invoice_number,
    min(invoice_status) as invoice_status,
    min(bill_run_id) as bill_run_id,
    min(target_date) as target_date,
    min(finalized_at) as finalized_at,
    min(invoice_created_at) as invoice_created_at,
    max(invoice_made_at) as invoice_made_at
  from line_terms
  where kind = 'usage'
    and coalesce(invoice_status, '') <> 'void'
    and (greatest(period_end, invoice_made_at) > $window_start or invoice_status in ('draft', 'pending'))
    and period_end <= $window_end
  group by
    source, invoice_id, customer_id, subscription_id, item_id, price_id, price_effective_from, meter,
    period_start, period_end, currency,
    -- Without an item nothing says that two lines are parts of one charge.
    case when item_id is null then line_id end
),

rateable as (
  select
    p.source, p.invoice_id, p.line_id, p.line_count, p.customer_id, p.subscription_id, p.item_id, p.price_id,
    p.price_effective_from, p.meter, p.period_start, p.period_end, p.currency, p.is_repeated,
    p.greatest_line_id, p.greatest_quantity, p.greatest_amount,
    p.line_count > 1
      and not p.is_repeated
      and not p.is_prorated
      and p.quantity_count = p.line_count
      and p.least_quantity > 0
      and p.least_amount > 0 as has_whole_lines,
    case when p.is_repeated then p.least_quantity else p.total_quantity end as quantity,
    case when p.is_repeated then p.least_amount else p.total_amount end as amount,
    p.is_prorated, p.invoice_number, p.invoice_status, p.bill_run_id, p.target_date, p.finalized_at,
    p.invoice_created_at, p.invoice_made_at
  from parts as p
  left anti join price_faults as f
    on f.source = p.source
    and f.price_id = p.price_id
    and f.effective_from = p.price_effective_from
    and f.stops_rating
),

rated as (
  select
    p.source, p.invoice_id, p.line_id, p.line_count, p.customer_id, p.subscription_id, p.item_id, p.price_id,
    p.price_effective_from, p.meter, p.period_start, p.period_end, p.quantity, p.amount, p.currency, p.is_repeated,
    p.is_prorated, p.invoice_number, p.invoice_status, p.bill_run_id, p.target_date, p.finalized_at,
    p.invoice_created_at, p.invoice_made_at, p.greatest_line_id, p.greatest_quantity, p.greatest_amount,
    t.price, t.charge_model,
    t.currency as price_currency,
    coalesce(t.aggregation, 'sum') as aggregation,
    t.unit, t.product_name, u.used_quantity, u.used_records,
    case
      when p.has_whole_lines
        and p.greatest_quantity = u.used_quantity
        and t.charge_model not in ('prerated', 'custom', 'capacity')
        then coalesce(p.greatest_amount = rate(t.price, u.used_quantity), false)
      else false
    end as is_billed_in_one
  from rateable as p
  join price_terms as t
    on t.source = p.source and t.price_id = p.price_id and t.effective_from = p.price_effective_from
  left join line_usage as u on u.source = p.source and u.line_id = p.line_id
)

select
  source,
  invoice_id,
  case when is_billed_in_one then greatest_line_id else line_id end as line_id,
  line_count,
  customer_id,
  subscription_id,
  item_id,
  price_id,
  price_effective_from,
  meter,
  period_start,
  period_end,
  case when is_billed_in_one then greatest_quantity else quantity end as quantity,
  case when is_billed_in_one then greatest_amount else amount end as amount,
  currency,
  is_repeated,
  is_billed_in_one,
  is_prorated,
  invoice_number,
  invoice_status,
  bill_run_id,
  target_date,
  finalized_at,
  invoice_created_at,
  invoice_made_at,
  price,
  charge_model,
  price_currency,
  aggregation,
  unit,
  product_name,
  used_quantity,
  used_records
from rated
