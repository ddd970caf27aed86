-- A charge printed twice on one invoice, and a one-time charge that stands on two.
-- The same period of a usage or recurring charge on two invoices is the finding of duplicate-period.
-- The line whose period or id comes later is the one too many.
with charges as (
  select
    source,
    line_id,
    invoice_id,
    customer_id,
    subscription_id,
    item_id,
    price_id,
    meter,
    kind,
    quantity,
    unit_price,
    amount,
    currency,
    period_start,
    period_end,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    made_at,
    coalesce(item_id, subscription_id) as charge_id,
    coalesce(price_id, '') as charge_price,
    coalesce(meter, '') as charge_meter
  from billed_lines
  where kind in ('usage', 'recurring', 'minimum', 'one_time')
    and amount > 0
    and not is_prorated
    -- What was credited in full is no longer charged.
    and not is_made_good
    and credited < amount
    -- Without an item only a price says what a line is for.
    and (item_id is not null or (subscription_id is not null and price_id is not null))
),

recent as (
  select
    source, line_id, invoice_id, customer_id, subscription_id, item_id, price_id, meter, kind, quantity, unit_price,
    amount, currency, period_start, period_end, invoice_number, invoice_status, bill_run_id, target_date, made_at,
    charge_id, charge_price, charge_meter
  from charges
  -- A line is over with its period, or when it is made: the later of the two.
  where greatest(coalesce(made_at, period_start), period_end) >= $window_start
    and coalesce(made_at, period_start) < $window_end
),

same_invoice as (
  select
    b.source, b.line_id,
    a.line_id as other_line_id,
    a.invoice_id as other_invoice_id,
    a.invoice_number as other_invoice_number,
    a.amount as other_amount,
    a.period_start as other_period_start,
    a.period_end as other_period_end,
    case
      when coalesce(a.period_start = b.period_start and a.period_end = b.period_end, true) then 'same_line'
      else 'near_period'
    end as reason
  from recent as b
  join recent as a
    on a.source = b.source
    and a.invoice_id = b.invoice_id
    and a.charge_id = b.charge_id
    and a.charge_price = b.charge_price
    and a.charge_meter = b.charge_meter
    and a.kind = b.kind
  where (
      -- Parts of one charge share its period and differ in amount or quantity: a tier, a flat fee, a region.
      (a.period_start is not distinct from b.period_start)
      and (a.period_end is not distinct from b.period_end)
      and a.line_id < b.line_id
      and a.amount = b.amount
      and coalesce(a.quantity, 0) = coalesce(b.quantity, 0)
      and coalesce(a.unit_price = b.unit_price, true)
    )
    or (
      -- Two jobs that ran at once see the time of the period a moment apart.
      (a.period_start <> b.period_start or a.period_end <> b.period_end)
      and (a.period_start < b.period_start or (a.period_start = b.period_start and a.line_id < b.line_id))
      and a.period_start + cast($near as interval) >= b.period_start
      and a.period_end + cast($near as interval) >= b.period_end
      and b.period_end + cast($near as interval) >= a.period_end
    )
),

-- A one-time charge of an item is due once.
other_invoice as (
  select
    b.source, b.line_id,
    a.line_id as other_line_id,
    a.invoice_id as other_invoice_id,
    a.invoice_number as other_invoice_number,
    a.amount as other_amount,
    a.period_start as other_period_start,
    a.period_end as other_period_end,
    'one_time_again' as reason
  from recent as b
  join charges as a
    on a.source = b.source
    and a.item_id = b.item_id
    and a.price_id = b.price_id
    and a.kind = b.kind
  where b.kind = 'one_time'
    and a.invoice_id <> b.invoice_id
    and (a.made_at < b.made_at or (a.made_at = b.made_at and a.line_id < b.line_id))
    and a.amount = b.amount
    and coalesce(a.quantity, 0) = coalesce(b.quantity, 0)
    and (
      (a.period_start is null and b.period_start is null)
      or (
        a.period_start + cast($near as interval) >= b.period_start
        and b.period_start + cast($near as interval) >= a.period_start
      )
    )
),

line_texts as (
  select source, line_id as text_line_id, description
  from invoice_lines
),

pairs as (
  select
    source, line_id, other_line_id, other_invoice_id, other_invoice_number, other_amount, other_period_start,
    other_period_end, reason
  from same_invoice
  union all
  select
    source, line_id, other_line_id, other_invoice_id, other_invoice_number, other_amount, other_period_start,
    other_period_end, reason
  from other_invoice
),

-- One row for each line too many. Lines with different descriptions are parts of one charge.
doubled as (
  select
    p.source as doubled_source,
    p.line_id as doubled_line_id,
    p.other_line_id, p.other_invoice_id, p.other_invoice_number, p.other_amount, p.other_period_start,
    p.other_period_end, p.reason,
    d.description
  from pairs as p
  left join line_texts as d on d.source = p.source and d.text_line_id = p.line_id
  left join line_texts as e on e.source = p.source and e.text_line_id = p.other_line_id
  where p.reason = 'near_period' or coalesce(d.description = e.description, true)
  qualify row_number() over (partition by p.source, p.line_id order by p.reason desc, p.other_line_id) = 1
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
  -- Without a period, the moment by which the window takes it in or leaves it out.
  coalesce(c.period_end, c.made_at + interval '1 microsecond') as period_end,
  c.target_date,
  c.invoice_status as entity_status,
  cast(0 as decimal(38, 12)) as expected,
  c.amount as actual,
  c.currency,
  d.reason,
  case d.reason
    when 'same_line' then 'line_twice'
    when 'near_period' then 'parallel_jobs'
    else 'charged_again'
  end as explanation,
  'engine_defect' as root_cause,
  c.kind,
  c.quantity,
  d.description,
  c.made_at,
  d.other_line_id,
  d.other_invoice_id,
  d.other_invoice_number,
  d.other_amount,
  d.other_period_start,
  d.other_period_end
from recent as c
join doubled as d on d.doubled_source = c.source and d.doubled_line_id = c.line_id
