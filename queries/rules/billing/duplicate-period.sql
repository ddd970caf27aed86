-- The same item charged for the very same period on more than one invoice: every line of the later ones.
-- Lines of one invoice are one charge, whose parts may be printed as a line a tier; a line printed twice on one invoice
-- is the finding of duplicate-line, and periods that overlap without being the same are that of period-overlap.
with candidates as (
  select
    source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, meter, kind, quantity, amount,
    credited, currency, period_start, period_end, is_prorated, is_made_good, invoice_number, invoice_status,
    bill_run_id, target_date, made_at,
    -- Without an item the price tells one charge of a subscription from another.
    coalesce(item_id, concat(subscription_id, '/', coalesce(price_id, ''))) as charge_id,
    coalesce(meter, '') as charge_meter,
    -- Parts of a period may be charged several times, for one change each: only equal ones are taken as the same.
    case when is_prorated then concat(cast(amount as varchar), '/', coalesce(cast(quantity as varchar), '')) else '' end
      as charge_part
  from billed_lines
  where kind in ('usage', 'recurring')
    and amount > 0
    and period_start < period_end
    and period_end > $window_start - interval '400 days'
    and coalesce(item_id, subscription_id) is not null
),

usage_of_lines as (
  select source, line_id as used_line_id, used_quantity
  from line_usage
),

licences as (
  select source, item_id as licensed_item_id, quantity as licensed_quantity
  from subscription_items
  where quantity is not null
),

charges as (
  select
    c.source, c.charge_id, c.charge_meter, c.kind, c.charge_part, c.period_start, c.period_end, c.invoice_id,
    min(c.line_id) as first_line_id,
    min(c.price_id) as price_id,
    min(c.made_at) as made_at,
    min(c.invoice_number) as invoice_number,
    min(c.invoice_status) as invoice_status,
    bool_and(c.is_made_good) as is_made_good,
    cast(sum(cast(c.quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
    cast(sum(cast(c.amount as decimal(76, 12))) as decimal(38, 12)) as amount,
    coalesce(max(u.used_quantity), max(s.licensed_quantity)) as due_quantity
  from candidates as c
  left join usage_of_lines as u on u.source = c.source and u.used_line_id = c.line_id and c.kind = 'usage'
  left join licences as s on s.source = c.source and s.licensed_item_id = c.item_id and c.kind = 'recurring'
  group by
    c.source, c.charge_id, c.charge_meter, c.kind, c.charge_part, c.period_start, c.period_end, c.invoice_id
),

compared as (
  select
    source, charge_id, charge_meter, kind, charge_part, period_start, period_end, invoice_id, price_id, made_at,
    row_number() over in_order as charge_number,
    first_value(invoice_id) over in_order as other_invoice_id,
    first_value(first_line_id) over in_order as other_line_id,
    first_value(invoice_number) over in_order as other_invoice_number,
    first_value(invoice_status) over in_order as other_invoice_status,
    first_value(price_id) over in_order as other_price_id,
    first_value(amount) over in_order as other_amount,
    count(*) over same_charge as invoice_count,
    -- Once any of the charges is given back, the customer is whole.
    bool_or(is_made_good) over same_charge as is_one_made_good,
    -- What was used or licensed after the first invoice may stand on a second one.
    cast(sum(cast(quantity as decimal(76, 12))) over same_charge as decimal(38, 12)) as billed_quantity,
    max(due_quantity) over same_charge as due_quantity
  from charges
  window
    in_order as (
      partition by source, charge_id, charge_meter, kind, charge_part, period_start, period_end
      order by made_at nulls first, invoice_id
    ),
    same_charge as (
      partition by source, charge_id, charge_meter, kind, charge_part, period_start, period_end
    )
),

repeated as (
  select
    source, charge_id, charge_meter, kind, charge_part, period_start, period_end, invoice_id, other_invoice_id,
    other_line_id, other_invoice_number, other_invoice_status, other_amount, invoice_count, billed_quantity,
    due_quantity,
    case when price_id <> other_price_id then 'other_price' else 'second_invoice' end as explanation
  from compared
  where charge_number > 1
    and not is_one_made_good
    and not coalesce(billed_quantity <= due_quantity, false)
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(made_at, period_end) >= $window_start
    and coalesce(made_at, period_end) < $window_end
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
  cast(0 as decimal(38, 12)) as expected,
  c.amount - c.credited as actual,
  c.currency,
  'same_period' as reason,
  r.explanation,
  'engine_defect' as root_cause,
  c.kind,
  c.made_at,
  r.other_line_id,
  r.other_invoice_id,
  r.other_invoice_number,
  r.other_invoice_status,
  r.other_amount,
  r.invoice_count,
  r.billed_quantity,
  r.due_quantity
from repeated as r
join candidates as c
  on c.source = r.source
  and c.charge_id = r.charge_id
  and c.charge_meter = r.charge_meter
  and c.kind = r.kind
  and c.charge_part = r.charge_part
  and c.period_start = r.period_start
  and c.period_end = r.period_end
  and c.invoice_id = r.invoice_id
