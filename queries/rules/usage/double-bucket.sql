-- The same usage billed twice. By two meters: two usage lines of one subscription for the same period and quantity,
-- whose meters agree day by day in quantity, number of records, and the moments of the first and the last of them. Or by
-- two filters of one item: one line bills all that it used, and rightly, and others bill a part of it again.
-- Days are compared as one text for each line, so that twins are equal neighbours of one order and nothing is joined.
with charges as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, meter, period_start, period_end, currency, quantity, amount, unit,
    product_name
  from usage_charges
  where quantity > 0
    and amount > 0
    and subscription_id is not null
    and meter is not null
    and used_records >= $min_days
  qualify count(*) over (partition by source, subscription_id, period_start, period_end, quantity) > 1
),

item_subscriptions as (
  select source, item_id as known_item_id, subscription_id as item_subscription_id
  from item_terms
),

-- Whatever usage is recorded under, it is that of a subscription and a meter.
used as (
  select
    u.source,
    coalesce(i.item_subscription_id, u.subscription_id) as used_subscription_id,
    u.meter as used_meter,
    u.usage_date,
    u.quantity_sum,
    u.record_count,
    u.first_occurred_at,
    u.last_occurred_at
  from item_usage as u
  left join item_subscriptions as i on i.source = u.source and i.known_item_id = u.item_id
  where u.usage_date >= cast($window_start - interval '400 days' as date)
    and u.record_count > 0
),

-- Days that an edge of the period cuts may hold records of the period beside it on one side only: they are left out.
-- Only what the charges ask for is added up.
days as (
  select
    c.source, c.line_id, c.invoice_id, c.invoice_number, c.invoice_status, c.bill_run_id, c.target_date,
    c.customer_id, c.subscription_id, c.item_id, c.price_id, c.meter, c.period_start, c.period_end, c.currency,
    c.quantity, c.amount, c.unit, c.product_name,
    d.usage_date,
    cast(sum(cast(d.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as day_quantity,
    sum(d.record_count) as day_records,
    min(d.first_occurred_at) as first_at,
    max(d.last_occurred_at) as last_at
  from charges as c
  join used as d
    on d.source = c.source
    and d.used_subscription_id = c.subscription_id
    and d.used_meter = c.meter
    and arrow_cast(d.usage_date, 'Timestamp(Microsecond, Some("UTC"))') >= c.period_start
    and arrow_cast(d.usage_date, 'Timestamp(Microsecond, Some("UTC"))') + interval '1 day' <= c.period_end
  group by
    c.source, c.line_id, c.invoice_id, c.invoice_number, c.invoice_status, c.bill_run_id, c.target_date,
    c.customer_id, c.subscription_id, c.item_id, c.price_id, c.meter, c.period_start, c.period_end, c.currency,
    c.quantity, c.amount, c.unit, c.product_name,
    d.usage_date
),

described as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date,
    customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency,
    quantity, amount, unit, product_name,
    count(*) as used_days,
    count(distinct day_quantity) as different_quantities,
    sum(day_records) as record_count,
    string_agg(
      concat(
        cast(cast(usage_date as int) as varchar), '=', cast(day_quantity as varchar), '/',
        cast(day_records as varchar), '@', cast(cast(first_at as bigint) as varchar), '-',
        cast(cast(last_at as bigint) as varchar)
      ),
      ' ' order by usage_date
    ) as days_used
  from days
  group by
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date,
    customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency,
    quantity, amount, unit, product_name
),

-- Quantities must vary: constant ones agree by themselves.
compared as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, meter, period_start, period_end, currency, quantity, amount, unit,
    product_name, used_days, record_count,
    min(meter) over twins as first_meter,
    max(meter) over twins as last_meter,
    lag(meter) over in_order as meter_before,
    lag(line_id) over in_order as line_before,
    lag(price_id) over in_order as price_before,
    lag(amount) over in_order as amount_before,
    lead(meter) over in_order as meter_after,
    lead(line_id) over in_order as line_after,
    lead(price_id) over in_order as price_after,
    lead(amount) over in_order as amount_after
  from described
  where used_days >= $min_days and different_quantities >= 3
  window
    twins as (partition by source, subscription_id, period_start, period_end, quantity, days_used),
    in_order as (
      partition by source, subscription_id, period_start, period_end, quantity, days_used order by meter, line_id
    )
),

-- Charges of which one line alone bills all that was used.
whole_lines as (
  select
    source, line_id as whole_line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date,
    customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount as whole_amount,
    unit, product_name, used_records
  from usage_charges
  where is_billed_in_one
),

filtered as (
  select
    w.source, w.whole_line_id, w.invoice_id, w.invoice_number, w.invoice_status, w.bill_run_id, w.target_date,
    w.customer_id, w.subscription_id, w.item_id, w.price_id, w.meter, w.period_start, w.period_end, w.currency,
    w.whole_amount, w.unit, w.product_name, w.used_records, l.line_id, l.quantity, l.amount
  from whole_lines as w
  join line_terms as l
    on l.source = w.source
    and l.invoice_id = w.invoice_id
    and l.item_id = w.item_id
    and l.price_id = w.price_id
    and l.period_start = w.period_start
    and l.period_end = w.period_end
  where l.kind = 'usage'
    and l.line_id <> w.whole_line_id
    and (l.meter is not distinct from w.meter)
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
  -- Which of the two is too much only the contract says.
  cast(null as decimal(38, 12)) as expected,
  cast(null as decimal(38, 12)) as actual,
  cast(null as varchar) as currency,
  'same_usage' as reason,
  'meters_share_records' as explanation,
  'configuration' as root_cause,
  concat(first_meter, ' + ', last_meter) as meter_pair,
  coalesce(meter_before, meter_after) as other_meter,
  case when meter_before is not null then line_before else line_after end as other_line_id,
  case when meter_before is not null then price_before else price_after end as other_price_id,
  quantity as billed_quantity,
  unit as quantity_unit,
  used_days as twin_days,
  record_count as twin_records,
  amount as billed_amount,
  case when meter_before is not null then amount_before else amount_after end as other_amount,
  least(amount, case when meter_before is not null then amount_before else amount_after end) as least_at_stake,
  currency as billed_currency,
  product_name
from compared
where first_meter <> last_meter
union all
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
  amount as actual,
  currency,
  'part_billed_again' as reason,
  'filters_overlap' as explanation,
  'configuration' as root_cause,
  meter as meter_pair,
  meter as other_meter,
  whole_line_id as other_line_id,
  price_id as other_price_id,
  quantity as billed_quantity,
  unit as quantity_unit,
  cast(null as bigint) as twin_days,
  used_records as twin_records,
  amount as billed_amount,
  whole_amount as other_amount,
  amount as least_at_stake,
  currency as billed_currency,
  product_name
from filtered
