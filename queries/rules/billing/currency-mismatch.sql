-- Records that belong together and are in different currencies: a line and its invoice, an invoice and its subscription,
-- a line and its price, and the price of an item and its subscription. One row for each, at the record that is out of
-- line with the one above it; where an invoice as a whole is in another currency its lines are not reported once more.
with subscription_terms as (
  select
    source,
    subscription_id as known_subscription_id,
    status as subscription_status,
    upper(currency) as subscription_currency,
    coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as ends_at
  from subscriptions
),

-- A price sold in several currencies has each of them in one of its versions.
price_currencies as (
  select
    source,
    price_id as known_price_id,
    min(upper(currency)) as price_currency,
    array_agg(distinct upper(currency)) as currencies
  from prices
  where currency is not null
  group by source, price_id
),

lines as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.customer_id, l.subscription_id,
    l.item_id, l.price_id, l.meter, l.kind, l.amount, l.currency, l.bill_run_id, l.target_date, l.period_start,
    l.made_at,
    -- Without a period, the moment by which the window takes it in or leaves it out.
    coalesce(l.period_end, l.made_at + interval '1 microsecond') as period_end,
    upper(l.currency) as line_currency,
    upper(l.invoice_currency) as invoice_currency,
    s.subscription_currency,
    p.price_currency,
    case
      when upper(l.currency) <> upper(l.invoice_currency) then 'line_and_invoice'
      when l.kind in ('usage', 'recurring', 'one_time', 'minimum')
        and p.currencies is not null
        and not array_has(p.currencies, upper(l.currency))
        then 'line_and_price'
      when upper(l.currency) <> s.subscription_currency then 'line_and_subscription'
    end as reason
  from billed_lines as l
  left join subscription_terms as s on s.source = l.source and s.known_subscription_id = l.subscription_id
  left join price_currencies as p on p.source = l.source and p.known_price_id = l.price_id
  where l.amount <> 0
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(l.made_at, l.period_end) >= $window_start
    and coalesce(l.made_at, l.period_end) < $window_end
),

judged_invoices as (
  select
    v.source, v.invoice_id, v.number, v.status, v.customer_id, v.subscription_id, v.bill_run_id, v.target_date,
    v.period_start, v.total, v.currency, s.subscription_currency,
    coalesce(v.period_end, coalesce(v.created_at, v.finalized_at) + interval '1 microsecond') as period_end
  from invoices as v
  join subscription_terms as s on s.source = v.source and s.known_subscription_id = v.subscription_id
  where coalesce(v.status, '') <> 'void'
    and upper(v.currency) <> s.subscription_currency
    and coalesce(v.total <> 0, true)
    and greatest(coalesce(v.created_at, v.finalized_at), v.period_end) >= $window_start
    and coalesce(v.created_at, v.finalized_at, v.period_end) < $window_end
),

-- An item in effect whose price cannot be had in the subscription's currency: no line of it is wrong yet.
judged_items as (
  select
    i.source, i.item_id, i.subscription_id, i.customer_id, i.price_id, i.meter, i.effective_from, i.effective_to,
    s.subscription_status, s.subscription_currency, p.price_currency
  from subscription_items as i
  join subscription_terms as s on s.source = i.source and s.known_subscription_id = i.subscription_id
  join price_currencies as p on p.source = i.source and p.known_price_id = i.price_id
  where s.subscription_status in ('trialing', 'active', 'paused', 'past_due')
    and (i.effective_to is null or i.effective_to > $window_end)
    and (s.ends_at is null or s.ends_at > $window_end)
    and s.subscription_currency is not null
    and not array_has(p.currencies, s.subscription_currency)
),

-- What is said of the item or of the invoice is not said of its lines again.
told_items as (
  select source, item_id as told_item_id from judged_items
),

told_invoices as (
  select source, invoice_id as told_invoice_id from judged_invoices
),

judged_lines as (
  select
    l.source, l.line_id, l.invoice_id, l.invoice_number, l.invoice_status, l.customer_id, l.subscription_id,
    l.item_id, l.price_id, l.meter, l.kind, l.amount, l.currency, l.bill_run_id, l.target_date, l.period_start,
    l.period_end, l.line_currency, l.invoice_currency, l.subscription_currency, l.price_currency, l.reason
  from lines as l
  left join told_items as i on i.source = l.source and i.told_item_id = l.item_id
  left join told_invoices as v on v.source = l.source and v.told_invoice_id = l.invoice_id
  where l.reason is not null
    and (
      l.reason = 'line_and_invoice'
      or (l.reason = 'line_and_price' and i.told_item_id is null and v.told_invoice_id is null)
      or (l.reason = 'line_and_subscription' and v.told_invoice_id is null)
    )
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
  -- What it should be in the right currency is not known; the amount itself is at stake.
  cast(null as decimal(38, 12)) as expected,
  amount as actual,
  currency,
  reason,
  'other_currency' as explanation,
  'configuration' as root_cause,
  line_currency as found_currency,
  case reason
    when 'line_and_invoice' then invoice_currency
    when 'line_and_price' then price_currency
    else subscription_currency
  end as wanted_currency,
  invoice_currency,
  subscription_currency,
  price_currency,
  kind
from judged_lines
union all
select
  source,
  'invoice' as entity_type,
  invoice_id as entity_id,
  number as entity_number,
  customer_id,
  subscription_id,
  cast(null as varchar) as item_id,
  invoice_id,
  cast(null as varchar) as invoice_line_id,
  bill_run_id,
  cast(null as varchar) as price_id,
  cast(null as varchar) as meter,
  period_start,
  period_end,
  target_date,
  status as entity_status,
  cast(null as decimal(38, 12)) as expected,
  total as actual,
  currency,
  'invoice_and_subscription' as reason,
  'other_currency' as explanation,
  'configuration' as root_cause,
  upper(currency) as found_currency,
  subscription_currency as wanted_currency,
  upper(currency) as invoice_currency,
  subscription_currency,
  cast(null as varchar) as price_currency,
  cast(null as varchar) as kind
from judged_invoices
union all
select
  source,
  'subscription_item' as entity_type,
  item_id as entity_id,
  cast(null as varchar) as entity_number,
  customer_id,
  subscription_id,
  item_id,
  cast(null as varchar) as invoice_id,
  cast(null as varchar) as invoice_line_id,
  cast(null as varchar) as bill_run_id,
  price_id,
  meter,
  effective_from as period_start,
  effective_to as period_end,
  cast(null as date) as target_date,
  subscription_status as entity_status,
  cast(null as decimal(38, 12)) as expected,
  cast(null as decimal(38, 12)) as actual,
  cast(null as varchar) as currency,
  'price_and_subscription' as reason,
  'other_currency' as explanation,
  'configuration' as root_cause,
  price_currency as found_currency,
  subscription_currency as wanted_currency,
  cast(null as varchar) as invoice_currency,
  subscription_currency,
  price_currency,
  cast(null as varchar) as kind
from judged_items
