-- Money asked of customers that are marked as test, and usage marked as test that counts for real customers.
with test_customers as (
  select source, customer_id as test_customer_id, status as customer_status
  from customers
  where is_test
),

-- A customer who has paid is hardly a test.
payers as (
  select source, customer_id as paying_customer_id, count(*) as paid_invoices
  from invoices
  where status = 'paid' and total > 0
  group by source, customer_id
),

charged as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.customer_id, l.subscription_id,
    l.item_id, l.price_id, l.meter, l.kind, l.amount, l.credited, l.currency, l.bill_run_id, l.target_date,
    l.period_start, l.quantity, t.customer_status,
    -- Without a period, the moment by which the window takes it in or leaves it out.
    coalesce(l.period_end, l.made_at + interval '1 microsecond') as period_end,
    coalesce(p.paid_invoices, 0) as paid_invoices
  from billed_lines as l
  join test_customers as t on t.source = l.source and t.test_customer_id = l.customer_id
  left join payers as p on p.source = l.source and p.paying_customer_id = l.customer_id
  where l.kind in ('usage', 'recurring', 'one_time', 'minimum')
    and l.amount > 0
    and not l.is_made_good
    and coalesce(l.invoice_total > 0, true)
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(l.made_at, l.period_end) >= $window_start
    and coalesce(l.made_at, l.period_end) < $window_end
),

-- What a sender says of its records is in their attributes; few records have a word of a test in them.
marked as (
  select source, usage_id, usage_date, customer_id, subscription_id, item_id, meter, quantity, occurred_at
  from usage_records
  where usage_date >= cast($window_start as date)
    and occurred_at >= $window_start
    and occurred_at < $window_end
    and attributes is not null
    and coalesce(status, '') not in ('voided', 'error')
    and regexp_like(attributes, $test_mark)
),

item_owners as (
  select source, item_id as owned_item_id, subscription_id as item_subscription_id, customer_id as item_customer_id
  from item_terms
),

subscription_owners as (
  select source, subscription_id as owned_subscription_id, customer_id as subscription_customer_id
  from subscriptions
),

sole_owners as (
  select source as sole_source, owner, asked_meter, item_id as sole_item_id, sole_from, sole_to
  from sole_items
),

real_marked as (
  select
    m.source, m.usage_id, m.usage_date, m.meter, m.quantity, m.occurred_at,
    coalesce(m.item_id, n.sole_item_id) as item_id,
    coalesce(m.subscription_id, i.item_subscription_id) as subscription_id,
    coalesce(i.item_customer_id, s.subscription_customer_id, m.customer_id) as customer_id
  from marked as m
  left anti join usage_duplicates as d on d.source = m.source and d.usage_id = m.usage_id
  left join item_owners as i on i.source = m.source and i.owned_item_id = m.item_id
  left join subscription_owners as s on s.source = m.source and s.owned_subscription_id = m.subscription_id
  left join sole_owners as n
    on n.sole_source = m.source
    and n.owner = case
      when m.subscription_id is not null then concat('s:', m.subscription_id)
      when m.customer_id is not null then concat('c:', m.customer_id)
    end
    and n.asked_meter = coalesce(m.meter, '')
    and n.sole_from <= m.occurred_at
    and n.sole_to > m.occurred_at
    and m.item_id is null
),

usage_lines as (
  select
    source, line_id, invoice_id, item_id as line_item_id, price_id, period_start, period_end, invoice_number,
    invoice_status
  from billed_lines
  where kind = 'usage' and amount > 0 and period_end > $window_start and not is_made_good
),

-- Usage that no line with an amount covers has cost nobody anything yet.
counted as (
  select
    m.source, m.item_id, m.subscription_id, m.customer_id, m.meter, l.price_id, l.line_id, l.invoice_id,
    l.invoice_number, l.invoice_status, l.period_start, l.period_end,
    count(*) as record_count,
    cast(sum(cast(m.quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
    min(m.occurred_at) as first_usage_at,
    max(m.occurred_at) as last_usage_at
  from real_marked as m
  join usage_lines as l
    on l.source = m.source
    and l.line_item_id = m.item_id
    and m.occurred_at >= l.period_start
    and m.occurred_at < l.period_end
  left anti join test_customers as t on t.source = m.source and t.test_customer_id = m.customer_id
  group by
    m.source, m.item_id, m.subscription_id, m.customer_id, m.meter, l.price_id, l.line_id, l.invoice_id,
    l.invoice_number, l.invoice_status, l.period_start, l.period_end
)

select
  source,
  'invoice_line' as entity_type,
  line_id as entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  period_start,
  period_end,
  target_date,
  invoice_status as entity_status,
  -- Of a customer that pays, the mark is what is wrong: the money is due.
  case when paid_invoices = 0 then cast(0 as decimal(38, 12)) end as expected,
  amount - credited as actual,
  currency,
  cast(null as varchar) as unit,
  'test_customer' as reason,
  case when paid_invoices = 0 then 'test_customer_billed' else 'paying_customer_marked_test' end as explanation,
  'configuration' as root_cause,
  kind,
  customer_status,
  paid_invoices,
  cast(null as bigint) as record_count,
  arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as first_usage_at,
  arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as last_usage_at
from charged
union all
select
  source,
  'subscription_item' as entity_type,
  item_id as entity_id,
  cast(null as varchar) as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  cast(null as varchar) as bill_run_id,
  price_id,
  meter,
  -- Of the usage, by which the window takes it in or leaves it out: what has left the window is not over.
  first_usage_at as period_start,
  last_usage_at + interval '1 microsecond' as period_end,
  cast(null as date) as target_date,
  invoice_status as entity_status,
  cast(0 as decimal(38, 12)) as expected,
  quantity as actual,
  cast(null as varchar) as currency,
  'quantity' as unit,
  'test_usage' as reason,
  'test_usage_of_real_customer' as explanation,
  'data_quality' as root_cause,
  'usage' as kind,
  cast(null as varchar) as customer_status,
  cast(null as bigint) as paid_invoices,
  record_count,
  first_usage_at,
  last_usage_at
from counted
