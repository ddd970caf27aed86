-- Invoices whose totals do not follow from their lines, and lines whose invoice is not there: no rule that asks for the
-- invoice sees those. A line in another currency than its invoice or its price is the finding of currency-mismatch.
with dated_invoices as (
  select
    source, invoice_id, number, customer_id, subscription_id, bill_run_id, status, target_date,
    currency as invoice_currency,
    period_start, period_end, subtotal, discount, tax, total,
    -- Prices that include tax: it is inside the lines and adds nothing to the total.
    -- Told by a flag that is set, or as a word among other values.
    regexp_like(coalesce(attributes, ''), 'tax_inclusive\\?"\s*:\s*(\\?")?(true|yes|1)(\\?")?\s*[,}]', 'i')
      or regexp_like(coalesce(attributes, ''), '[:,\[]\s*\\?"tax_inclusive\\?"\s*[,}\]]', 'i') as is_tax_inclusive,
    coalesce(
      created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'), period_end
    ) as made_at
  from invoices
  where coalesce(status, '') <> 'void'
),

-- An invoice is over with its period, or when it is made: the later of the two, and without a period the latter.
judged as (
  select
    source, invoice_id, number, customer_id, subscription_id, bill_run_id, status, target_date, invoice_currency,
    period_start, coalesce(period_end, made_at) as period_end, subtotal, discount, tax, total, is_tax_inclusive
  from dated_invoices
  where made_at <= $window_end
    and greatest(made_at, period_end) > $window_start
),

sums as (
  select
    l.source,
    l.invoice_id,
    count(*) as line_count,
    count(*) filter (where upper(l.currency) <> upper(v.invoice_currency)) as foreign_lines,
    count(*) filter (where l.kind = 'discount') as discount_lines,
    count(*) filter (where l.kind = 'tax') as tax_lines,
    cast(sum(cast(case when l.kind in ('discount', 'tax', 'credit') then 0 else l.amount end as decimal(76, 12)))
      as decimal(38, 12)) as charges,
    cast(sum(cast(case when l.kind = 'credit' then l.amount else 0 end as decimal(76, 12)))
      as decimal(38, 12)) as credits,
    cast(sum(cast(case when l.kind = 'discount' then l.amount else 0 end as decimal(76, 12)))
      as decimal(38, 12)) as discounts,
    cast(sum(cast(case when l.kind = 'tax' then l.amount else 0 end as decimal(76, 12)))
      as decimal(38, 12)) as taxes
  from judged as v
  join invoice_lines as l on l.source = v.source and l.invoice_id = v.invoice_id
  group by l.source, l.invoice_id
),

-- Discount and tax come from the lines where there are such lines, else from the invoice, where some platforms keep
-- them.
compared as (
  select
    v.source, v.invoice_id, v.number, v.customer_id, v.subscription_id, v.bill_run_id, v.status,
    v.invoice_currency as currency, v.target_date, v.period_start, v.period_end, v.subtotal, v.discount, v.tax,
    -- An invoice without any line has to come to nothing.
    v.total, coalesce(s.line_count, 0) as line_count,
    coalesce(s.charges, cast(0 as decimal(38, 12))) as charges,
    coalesce(s.credits, cast(0 as decimal(38, 12))) as credits,
    case when s.discount_lines > 0 then s.discounts else -abs(coalesce(v.discount, 0)) end as discount_applied,
    case
      when s.tax_lines > 0 then s.taxes
      when v.is_tax_inclusive then cast(0 as decimal(38, 12))
      else coalesce(v.tax, cast(0 as decimal(38, 12)))
    end as tax_applied,
    coalesce(s.charges + s.credits, cast(0 as decimal(38, 12))) as lines_subtotal
  from judged as v
  left join sums as s on s.source = v.source and s.invoice_id = v.invoice_id
  -- Amounts of two currencies have no sum.
  where coalesce(s.foreign_lines, 0) = 0
),

tested as (
  select
    source, invoice_id, number, customer_id, subscription_id, bill_run_id, status, currency, target_date,
    period_start, period_end, subtotal, discount, tax, total, line_count, charges, credits, discount_applied,
    tax_applied, lines_subtotal,
    lines_subtotal + discount_applied + tax_applied as lines_total,
    -- Platforms differ in whether credits and discounts are in the subtotal; it is wrong when no reading gives it.
    subtotal is not null
      and abs(subtotal - charges) > $tolerance
      and abs(subtotal - lines_subtotal) > $tolerance
      and abs(subtotal - charges - discount_applied) > $tolerance
      and abs(subtotal - lines_subtotal - discount_applied) > $tolerance
      as is_subtotal_wrong,
    -- Credits may be applied to the total, or only to what is due.
    total is not null
      and abs(total - charges - discount_applied - tax_applied) > $tolerance
      and abs(total - lines_subtotal - discount_applied - tax_applied) > $tolerance
      as is_total_wrong
  from compared
),

wrong_totals as (
  select
    source, invoice_id, number, customer_id, subscription_id, bill_run_id, status, currency, target_date,
    period_start, period_end, subtotal, discount, tax, total, line_count, credits, discount_applied, tax_applied,
    lines_subtotal, lines_total,
    case when is_total_wrong then lines_total else lines_subtotal end as expected,
    case when is_total_wrong then total else subtotal end as actual,
    case
      when is_total_wrong and is_subtotal_wrong then 'total_and_subtotal'
      when is_total_wrong then 'total'
      else 'subtotal'
    end as reason
  from tested
  where is_subtotal_wrong or is_total_wrong
),

-- The amount by which a total is off names the line that it leaves out or counts twice.
matching_lines as (
  select
    w.source,
    w.invoice_id,
    min(case when l.amount = w.actual - w.expected then l.line_id end) as line_counted_twice,
    min(case when l.amount = w.expected - w.actual then l.line_id end) as line_left_out
  from wrong_totals as w
  join invoice_lines as l on l.source = w.source and l.invoice_id = w.invoice_id
  where l.amount > 0
  group by w.source, w.invoice_id
),

explained_totals as (
  select
    w.source, w.invoice_id, w.number, w.customer_id, w.subscription_id, w.bill_run_id, w.status, w.currency,
    w.target_date, w.period_start, w.period_end, w.subtotal, w.discount, w.tax, w.total, w.line_count,
    w.lines_subtotal, w.lines_total, w.expected, w.actual, w.reason, m.line_counted_twice, m.line_left_out,
    case
      when w.discount_applied <> 0 and w.actual - w.expected = -w.discount_applied then 'discount_missing'
      when w.credits <> 0 and w.actual - w.expected = w.credits then 'credit_applied_twice'
      when w.expected <> 0 and (
          w.actual in (w.expected * 100, w.expected * 1000)
          or w.actual <> 0 and w.expected in (w.actual * 100, w.actual * 1000)
        )
        then 'minor_unit_slip'
      when m.line_counted_twice is not null then 'billed_twice'
      else 'unexplained'
    end as explanation
  from wrong_totals as w
  left join matching_lines as m on m.source = w.source and m.invoice_id = w.invoice_id
),

-- A source that exports no invoices says nothing about which are there. Lines may be delivered before their invoices:
-- what the source itself changed inside the settling time is left.
sources_with_invoices as (
  select source from invoices group by source
),

lost_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.customer_id, l.subscription_id, l.item_id, l.period_start, l.period_end,
    l.amount, l.currency
  from invoice_lines as l
  join sources_with_invoices as s on s.source = l.source
  left anti join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
  where coalesce(l.period_end > $window_start, true)
    and coalesce(l.updated_at <= $window_end, true)
    and l.amount <> 0
)

select
  source,
  'invoice' as entity_type,
  invoice_id as entity_id,
  number as entity_number,
  customer_id,
  subscription_id,
  invoice_id,
  bill_run_id,
  period_start,
  period_end,
  target_date,
  status as entity_status,
  expected,
  actual,
  currency,
  reason,
  explanation,
  case explanation
    when 'discount_missing' then 'configuration'
    when 'minor_unit_slip' then 'data_quality'
    when 'unexplained' then 'unknown'
    else 'engine_defect'
  end as root_cause,
  subtotal as invoice_subtotal,
  discount as invoice_discount,
  tax as invoice_tax,
  total as invoice_total,
  lines_subtotal,
  lines_total,
  line_count,
  line_counted_twice,
  line_left_out,
  cast(null as varchar) as item_id,
  cast(null as varchar) as invoice_line_id
from explained_totals
union all
select
  source,
  'invoice_line' as entity_type,
  line_id as entity_id,
  cast(null as varchar) as entity_number,
  customer_id,
  subscription_id,
  invoice_id,
  cast(null as varchar) as bill_run_id,
  period_start,
  period_end,
  cast(null as date) as target_date,
  cast(null as varchar) as entity_status,
  cast(null as decimal(38, 12)) as expected,
  amount as actual,
  currency,
  'no_invoice' as reason,
  'invoice_not_delivered' as explanation,
  'integration' as root_cause,
  cast(null as decimal(38, 12)) as invoice_subtotal,
  cast(null as decimal(38, 12)) as invoice_discount,
  cast(null as decimal(38, 12)) as invoice_tax,
  cast(null as decimal(38, 12)) as invoice_total,
  cast(null as decimal(38, 12)) as lines_subtotal,
  cast(null as decimal(38, 12)) as lines_total,
  cast(null as bigint) as line_count,
  cast(null as varchar) as line_counted_twice,
  cast(null as varchar) as line_left_out,
  item_id,
  line_id as invoice_line_id
from lost_lines
