-- Discount lines on charges for a time after the end of the discount, as far as the platform sends that end along.
with dated_invoices as (
  select
    source,
    invoice_id,
    number as invoice_number,
    status as invoice_status,
    customer_id as invoice_customer_id,
    subscription_id as invoice_subscription_id,
    currency as invoice_currency,
    bill_run_id,
    target_date,
    period_start as invoice_start,
    coalesce(
      created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'), period_end
    ) as made_at
  from invoices
  where coalesce(status, '') <> 'void'
),

judged as (
  select
    source, invoice_id, invoice_number, invoice_status, invoice_customer_id, invoice_subscription_id, invoice_currency,
    bill_run_id, target_date, invoice_start, made_at
  from dated_invoices
  where made_at <= $window_end
),

-- The earliest time that the invoice charges for: a discount that held then held for a part of it.
charged as (
  select source, invoice_id as charged_invoice_id, min(period_start) as charged_from
  from invoice_lines
  where kind in ('usage', 'recurring', 'minimum', 'one_time')
  group by source, invoice_id
),

discounts as (
  select
    l.source, l.line_id, l.invoice_id, l.item_id, l.price_id, l.meter, l.description, l.amount, l.period_start,
    -- Without a period, the moment by which the window takes it in or leaves it out.
    coalesce(l.period_end, v.made_at) as period_end,
    coalesce(l.customer_id, v.invoice_customer_id) as customer_id,
    coalesce(l.subscription_id, v.invoice_subscription_id) as subscription_id,
    coalesce(l.currency, v.invoice_currency) as currency,
    v.invoice_number, v.invoice_status, v.bill_run_id, v.target_date,
    coalesce(least(l.period_start, c.charged_from), v.invoice_start) as discounted_from,
    coalesce(
      regexp_match(
        l.attributes,
        concat(
          '"(?:(?:discount|coupon)_(?:end|ends_at|end_date|expires_at|valid_until)',
          '|ends_at|ends_on|end_date|valid_until|valid_to|valid_till|expires_at|expires_on|till)"',
          '\s*:\s*"?([0-9][0-9T:.+Z -]{7,38})'
        )
      )[1],
      regexp_match(
        l.attributes,
        concat(
          '"(?:discounts?|coupons?)"\s*:\s*\[?\s*\{[^{}]*"(?:end|till)"',
          '\s*:\s*"?([0-9][0-9T:.+Z -]{7,38})'
        )
      )[1]
    ) as end_text
  from judged as v
  join invoice_lines as l on l.source = v.source and l.invoice_id = v.invoice_id
  left join charged as c on c.source = v.source and c.charged_invoice_id = v.invoice_id
  where l.kind = 'discount'
    and l.amount <> 0
    and l.attributes is not null
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(v.made_at, l.period_end) > $window_start
),

dated as (
  select
    source, line_id, invoice_id, item_id, price_id, meter, description, amount, period_start, period_end, customer_id,
    subscription_id, currency, invoice_number, invoice_status, bill_run_id, target_date, discounted_from,
    trim(end_text) as end_text,
    case
      -- Seconds since 1970.
      when regexp_like(trim(end_text), '^[0-9]{10}$')
        then arrow_cast(
          cast(trim(end_text) as bigint) * 1000000, 'Timestamp(Microsecond, Some("UTC"))'
        )
      -- A bare date may mean the day to be the last one.
      when regexp_like(trim(end_text), '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')
        then arrow_cast(try_cast(trim(end_text) as date), 'Timestamp(Microsecond, Some("UTC"))') + interval '1 day'
      else arrow_cast(try_cast(trim(end_text) as timestamp), 'Timestamp(Microsecond, Some("UTC"))')
    end as discount_ended_at
  from discounts
  where end_text is not null
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
  cast(0 as decimal(38, 12)) as expected,
  -- A discount lowers what is owed, whatever sign the line has.
  -abs(amount) as actual,
  currency,
  'after_its_end' as reason,
  'discount_expired' as explanation,
  'configuration' as root_cause,
  description,
  end_text,
  discount_ended_at,
  discounted_from
from dated
where discounted_from >= discount_ended_at
