-- Credits that give back more than was billed, that were given or applied twice, or that have the wrong sign.
-- Amounts of a finding are what is left of the charge: nothing at the least; below it, money was given away.
with invoice_terms as (
  select
    source,
    invoice_id as term_invoice_id,
    number as invoice_number,
    status as invoice_status,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    total,
    coalesce(tax, cast(0 as decimal(38, 12))) as invoice_tax,
    coalesce(created_at, finalized_at, period_end) as made_at
  from invoices
),

-- Adjustments, of which some platforms write a credit as a positive amount and some as a negative one.
notes as (
  select
    source,
    adjustment_id,
    invoice_id,
    line_id,
    customer_id,
    kind,
    reason,
    amount,
    abs(amount) as size,
    currency,
    created_at,
    coalesce(created_at, updated_at) as noted_at,
    coalesce(created_at, updated_at) >= $window_start and coalesce(created_at, updated_at) < $window_end as is_recent
  from adjustments
  where amount <> 0
    and kind in ('credit', 'debit', 'refund')
    and coalesce(created_at < $window_end, true)
),

-- Everything adjusted on a line, and on an invoice with its lines. A credit and the refund that pays it out are the
-- same money: the larger of the two counts. A debit is billed, and can be given back too.
line_sums as (
  select
    source,
    line_id as summed_line_id,
    max(invoice_id) as summed_invoice_id,
    greatest(
      coalesce(cast(sum(cast(size as decimal(76, 12))) filter (where kind = 'credit') as decimal(38, 12)), 0),
      coalesce(cast(sum(cast(size as decimal(76, 12))) filter (where kind = 'refund') as decimal(38, 12)), 0)
    ) as credited,
    coalesce(cast(sum(cast(size as decimal(76, 12))) filter (where kind = 'debit') as decimal(38, 12)), 0) as debited,
    count(*) filter (where kind = 'credit') as credit_count,
    count(distinct size) filter (where kind = 'credit') as size_count,
    max(created_at) as last_credit_at,
    max(noted_at) as noted_at,
    bool_or(is_recent) as is_recent
  from notes
  where line_id is not null
  group by source, line_id
),

invoice_sums as (
  select
    source,
    invoice_id as summed_invoice_id,
    greatest(
      coalesce(cast(sum(cast(size as decimal(76, 12))) filter (where kind = 'credit') as decimal(38, 12)), 0),
      coalesce(cast(sum(cast(size as decimal(76, 12))) filter (where kind = 'refund') as decimal(38, 12)), 0)
    ) as credited,
    coalesce(cast(sum(cast(size as decimal(76, 12))) filter (where kind = 'debit') as decimal(38, 12)), 0) as debited,
    count(*) filter (where kind = 'credit') as credit_count,
    count(distinct size) filter (where kind = 'credit') as size_count,
    max(created_at) as last_credit_at,
    max(noted_at) as noted_at,
    bool_or(is_recent) as is_recent
  from notes
  where invoice_id is not null
  group by source, invoice_id
),

line_terms_of_invoice as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.price_id, l.meter, l.kind, l.description, l.quantity, l.amount,
    l.is_prorated, l.period_start, l.period_end, l.attributes,
    coalesce(l.customer_id, v.invoice_customer_id) as customer_id,
    coalesce(l.subscription_id, v.invoice_subscription_id) as subscription_id,
    coalesce(l.currency, v.invoice_currency) as currency,
    v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date, v.total, v.invoice_tax, v.made_at
  from invoice_lines as l
  join invoice_terms as v on v.source = l.source and v.term_invoice_id = l.invoice_id
  where coalesce(v.invoice_status, '') <> 'void'
),

-- What an invoice billed before any credit: its lines, and the tax where it is no line.
billed as (
  select
    source,
    invoice_id as billed_invoice_id,
    greatest(
      cast(sum(cast(case when amount > 0 then amount else 0 end as decimal(76, 12))) as decimal(38, 12))
        + case when bool_or(kind = 'tax') then cast(0 as decimal(38, 12)) else max(invoice_tax) end,
      coalesce(max(total), cast(0 as decimal(38, 12)))
    ) as billed_amount,
    greatest(
      cast(
        sum(cast(case when kind = 'tax' and amount > 0 then amount else 0 end as decimal(76, 12))) as decimal(38, 12)
      ),
      max(invoice_tax)
    ) as billed_tax
  from line_terms_of_invoice
  group by source, invoice_id
),

over_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.price_id, l.meter, l.customer_id, l.subscription_id, l.currency,
    l.period_start, l.period_end, l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date,
    l.amount + s.debited as billed_amount,
    s.credited,
    s.credit_count,
    s.last_credit_at,
    s.noted_at,
    s.credit_count > 1 and s.size_count < s.credit_count as has_repeats
  from line_sums as s
  join line_terms_of_invoice as l on l.source = s.source and l.line_id = s.summed_line_id
  join billed as b on b.source = l.source and b.billed_invoice_id = l.invoice_id
  where s.is_recent
    and l.amount > 0
    -- The credit of a line may have its tax in it, which is at most the invoice's.
    and s.credited > l.amount + s.debited + b.billed_tax + $tolerance
),

over_invoices as (
  select
    v.source, v.term_invoice_id as invoice_id, v.invoice_customer_id as customer_id,
    v.invoice_subscription_id as subscription_id, v.invoice_currency as currency, v.invoice_number, v.invoice_status,
    v.bill_run_id, v.target_date,
    coalesce(b.billed_amount, v.total) + s.debited as billed_amount,
    s.credited,
    s.credit_count,
    s.last_credit_at,
    s.noted_at,
    s.credit_count > 1 and s.size_count < s.credit_count as has_repeats
  from invoice_sums as s
  join invoice_terms as v on v.source = s.source and v.term_invoice_id = s.summed_invoice_id
  left join billed as b on b.source = v.source and b.billed_invoice_id = v.term_invoice_id
  left anti join over_lines as o on o.source = s.source and o.invoice_id = s.summed_invoice_id
  where s.is_recent
    and coalesce(v.invoice_status, '') <> 'void'
    and s.credited > coalesce(b.billed_amount, v.total) + s.debited + $tolerance
),

-- Two credits that are alike and came shortly after each other: one job that ran twice, or two people at once.
repeated as (
  select
    source,
    invoice_id,
    line_id as repeated_line_id,
    max(customer_id) as note_customer_id,
    max(currency) as note_currency,
    size,
    max(reason) as note_reason,
    count(*) as credit_count,
    max(created_at) as last_credit_at,
    max(noted_at) as noted_at,
    bool_or(is_recent) as is_recent
  from notes
  where kind = 'credit' and invoice_id is not null and created_at is not null
  group by source, invoice_id, line_id, size, coalesce(reason, '')
  having count(*) > 1
    and max(created_at) <= min(created_at) + cast($race as interval)
    -- The lines of one credit note, where none names the line it is for, share a time.
    and (line_id is not null or max(created_at) > min(created_at))
),

repeated_credits as (
  select
    r.source, r.repeated_line_id, r.invoice_id, r.size, r.note_reason, r.credit_count, r.last_credit_at, r.noted_at,
    coalesce(v.invoice_customer_id, r.note_customer_id) as customer_id,
    coalesce(r.note_currency, v.invoice_currency) as currency,
    v.invoice_subscription_id as subscription_id, v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date
  from repeated as r
  join invoice_terms as v on v.source = r.source and v.term_invoice_id = r.invoice_id
  left anti join over_lines as l on l.source = r.source and l.invoice_id = r.invoice_id
  left anti join over_invoices as o on o.source = r.source and o.invoice_id = r.invoice_id
  where r.is_recent and coalesce(v.invoice_status, '') <> 'void'
),

credit_lines as (
  select
    source, line_id, invoice_id, item_id, price_id, meter, description, quantity, amount, is_prorated, period_start,
    period_end, attributes, customer_id, subscription_id, currency, invoice_number, invoice_status, bill_run_id,
    target_date, made_at,
    made_at >= $window_start and made_at < $window_end as is_recent
  from line_terms_of_invoice
  where kind = 'credit' and amount <> 0
),

-- A credit line that stands twice: the same period of an item, or the same words on one invoice.
numbered_lines as (
  select
    source, line_id, invoice_id, item_id, price_id, meter, amount, period_start, period_end, customer_id,
    subscription_id, currency, invoice_number, invoice_status, bill_run_id, target_date, made_at, is_recent,
    first_value(line_id) over same_period as first_of_period,
    first_value(line_id) over same_words as first_of_words,
    item_id is not null and period_start is not null as has_period
  from credit_lines
  where amount < 0 and not coalesce(is_prorated, false)
  window same_period as (
    partition by source, item_id, coalesce(price_id, ''), period_start, period_end, amount, coalesce(quantity, 0),
      coalesce(description, '')
    order by made_at nulls first, line_id
  ),
  same_words as (
    partition by source, invoice_id, coalesce(item_id, ''), coalesce(price_id, ''), amount, coalesce(description, ''),
      period_start, period_end, coalesce(quantity, 0)
    order by line_id
  )
),

-- A credit line names the credit note that it applies; a credit note applied in full by two lines was applied twice.
named_notes as (
  select
    l.source,
    l.line_id as named_line_id,
    first_value(l.line_id) over (
      partition by l.source, n.adjustment_id order by l.made_at nulls first, l.line_id
    ) as first_of_note
  from credit_lines as l
  join notes as n
    on n.source = l.source
    and n.customer_id = l.customer_id
    and n.size = abs(l.amount)
  where n.kind = 'credit'
    and l.amount < 0
    and (
      strpos(coalesce(l.description, ''), n.adjustment_id) > 0
      or strpos(coalesce(l.attributes, ''), n.adjustment_id) > 0
    )
),

doubled_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.price_id, l.meter, l.amount, l.period_start, l.period_end,
    l.customer_id, l.subscription_id, l.currency, l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date,
    l.made_at as noted_at,
    case
      when n.first_of_note <> l.line_id then n.first_of_note
      when l.has_period and l.first_of_period <> l.line_id then l.first_of_period
      else l.first_of_words
    end as other_line_id
  from numbered_lines as l
  left join named_notes as n on n.source = l.source and n.named_line_id = l.line_id
  where l.is_recent
    and (
      coalesce(n.first_of_note <> l.line_id, false)
      or (l.has_period and l.first_of_period <> l.line_id)
      or l.first_of_words <> l.line_id
    )
),

-- What a source writes for a credit, by most of its credits.
note_signs as (
  select
    source as sign_source,
    count(*) filter (where amount > 0) as above_count,
    count(*) filter (where amount < 0) as below_count
  from notes
  where kind = 'credit'
  group by source
),

line_signs as (
  select
    source as sign_source,
    count(*) filter (where amount > 0) as above_count,
    count(*) filter (where amount < 0) as below_count
  from credit_lines
  group by source
),

wrong_notes as (
  select
    n.source, n.adjustment_id, n.invoice_id, n.line_id, n.customer_id, n.amount, n.size, n.currency, n.created_at,
    n.noted_at, n.reason
  from notes as n
  join note_signs as s on s.sign_source = n.source
  where n.kind = 'credit'
    and n.is_recent
    and case
      when n.amount > 0 then s.below_count >= 5 and s.above_count * 10 <= s.below_count
      else s.above_count >= 5 and s.below_count * 10 <= s.above_count
    end
),

-- A credit of the other sign that equals an earlier one takes it back.
taken_back_notes as (
  select distinct w.source as taken_source, w.adjustment_id as taken_adjustment_id
  from wrong_notes as w
  join notes as n
    on n.source = w.source
    and n.invoice_id = w.invoice_id
    and n.amount = -w.amount
  where n.kind = 'credit'
    and coalesce(n.created_at <= w.created_at, true)
),

taken_back_lines as (
  select distinct w.source as taken_source, w.line_id as taken_line_id
  from credit_lines as w
  join credit_lines as n
    on n.source = w.source
    and n.customer_id = w.customer_id
    and n.amount = -w.amount
  where w.amount > 0
    and coalesce(n.made_at <= w.made_at, true)
),

wrong_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.price_id, l.meter, l.amount, l.period_start, l.period_end,
    l.customer_id, l.subscription_id, l.currency, l.invoice_number, l.invoice_status, l.bill_run_id, l.target_date,
    l.made_at as noted_at
  from credit_lines as l
  join line_signs as s on s.sign_source = l.source
  left anti join taken_back_lines as t on t.taken_source = l.source and t.taken_line_id = l.line_id
  where l.is_recent
    and l.amount > 0
    -- Where every other credit is written so, the source writes credits so.
    and s.above_count <= s.below_count
),

findings as (
  select
    source,
    'invoice_line' as entity_type,
    line_id as entity_id,
    invoice_id,
    line_id as invoice_line_id,
    item_id,
    price_id,
    meter,
    customer_id,
    subscription_id,
    currency,
    noted_at,
    period_start,
    period_end,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    cast(0 as decimal(38, 12)) as expected,
    billed_amount - credited as actual,
    case when has_repeats then 'credited_twice' else 'more_than_billed' end as explanation,
    'line' as reason,
    billed_amount,
    credited,
    credit_count,
    last_credit_at,
    cast(null as varchar) as other_line_id,
    cast(null as varchar) as adjustment_id
  from over_lines
  union all
  select
    source,
    'invoice' as entity_type,
    invoice_id as entity_id,
    invoice_id,
    cast(null as varchar) as invoice_line_id,
    cast(null as varchar) as item_id,
    cast(null as varchar) as price_id,
    cast(null as varchar) as meter,
    customer_id,
    subscription_id,
    currency,
    noted_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as period_start,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    cast(0 as decimal(38, 12)) as expected,
    billed_amount - credited as actual,
    case when has_repeats then 'credited_twice' else 'more_than_billed' end as explanation,
    'invoice' as reason,
    billed_amount,
    credited,
    credit_count,
    last_credit_at,
    cast(null as varchar) as other_line_id,
    cast(null as varchar) as adjustment_id
  from over_invoices
  union all
  select
    source,
    case when repeated_line_id is null then 'invoice' else 'invoice_line' end as entity_type,
    coalesce(repeated_line_id, invoice_id) as entity_id,
    invoice_id,
    repeated_line_id as invoice_line_id,
    cast(null as varchar) as item_id,
    cast(null as varchar) as price_id,
    cast(null as varchar) as meter,
    customer_id,
    subscription_id,
    currency,
    noted_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as period_start,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    -size as expected,
    cast(-size * cast(credit_count as decimal(10, 0)) as decimal(38, 12)) as actual,
    'credited_twice' as explanation,
    case when repeated_line_id is null then 'invoice' else 'line' end as reason,
    cast(null as decimal(38, 12)) as billed_amount,
    cast(size * cast(credit_count as decimal(10, 0)) as decimal(38, 12)) as credited,
    credit_count,
    last_credit_at,
    cast(null as varchar) as other_line_id,
    cast(null as varchar) as adjustment_id
  from repeated_credits
  union all
  select
    source,
    'invoice_line' as entity_type,
    line_id as entity_id,
    invoice_id,
    line_id as invoice_line_id,
    item_id,
    price_id,
    meter,
    customer_id,
    subscription_id,
    currency,
    noted_at,
    period_start,
    period_end,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    cast(0 as decimal(38, 12)) as expected,
    amount as actual,
    'applied_twice' as explanation,
    'credit_line' as reason,
    cast(null as decimal(38, 12)) as billed_amount,
    -amount as credited,
    cast(null as bigint) as credit_count,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as last_credit_at,
    other_line_id,
    cast(null as varchar) as adjustment_id
  from doubled_lines
  union all
  select
    source,
    'invoice_line' as entity_type,
    line_id as entity_id,
    invoice_id,
    line_id as invoice_line_id,
    item_id,
    price_id,
    meter,
    customer_id,
    subscription_id,
    currency,
    noted_at,
    period_start,
    period_end,
    invoice_number,
    invoice_status,
    bill_run_id,
    target_date,
    -amount as expected,
    amount as actual,
    'wrong_sign' as explanation,
    'credit_line' as reason,
    cast(null as decimal(38, 12)) as billed_amount,
    amount as credited,
    cast(null as bigint) as credit_count,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as last_credit_at,
    cast(null as varchar) as other_line_id,
    cast(null as varchar) as adjustment_id
  from wrong_lines
  union all
  select
    w.source,
    case
      when w.line_id is not null then 'invoice_line'
      when w.invoice_id is not null then 'invoice'
      else 'customer'
    end as entity_type,
    coalesce(w.line_id, w.invoice_id, w.customer_id, w.adjustment_id) as entity_id,
    w.invoice_id,
    w.line_id as invoice_line_id,
    cast(null as varchar) as item_id,
    cast(null as varchar) as price_id,
    cast(null as varchar) as meter,
    coalesce(w.customer_id, v.invoice_customer_id) as customer_id,
    v.invoice_subscription_id as subscription_id,
    coalesce(w.currency, v.invoice_currency) as currency,
    w.noted_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as period_start,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    v.invoice_number,
    v.invoice_status,
    v.bill_run_id,
    v.target_date,
    -w.size as expected,
    w.size as actual,
    'wrong_sign' as explanation,
    'adjustment' as reason,
    cast(null as decimal(38, 12)) as billed_amount,
    w.amount as credited,
    cast(1 as bigint) as credit_count,
    w.created_at as last_credit_at,
    cast(null as varchar) as other_line_id,
    w.adjustment_id
  from wrong_notes as w
  left join invoice_terms as v on v.source = w.source and v.term_invoice_id = w.invoice_id
  left anti join taken_back_notes as t on t.taken_source = w.source and t.taken_adjustment_id = w.adjustment_id
)

select
  source,
  entity_type,
  entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
  noted_at as period_start,
  noted_at + interval '1 microsecond' as period_end,
  target_date,
  invoice_status as entity_status,
  expected,
  actual,
  currency,
  reason,
  explanation,
  case when explanation in ('more_than_billed', 'wrong_sign') then 'manual' else 'engine_defect' end as root_cause,
  billed_amount,
  credited,
  credit_count,
  last_credit_at,
  other_line_id,
  adjustment_id,
  period_start as line_period_start,
  period_end as line_period_end
from findings
