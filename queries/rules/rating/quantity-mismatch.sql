-- Usage charges for another quantity than was used in their period, in the money that the difference makes.
-- Both quantities are rated with the price in force, so that a wrong rating, the finding of tier-miscalculation, does
-- not enter, and two quantities of one price (free units, one package, one step) are no finding.
with charges as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id,
    target_date, customer_id, subscription_id, item_id, price_id, meter, period_start, period_end,
    coalesce(price_currency, currency) as currency, amount, charge_model, price, product_name, aggregation, unit,
    used_quantity, used_records, quantity as billed_quantity
  from usage_charges
  where used_quantity > 0
    and (quantity is null or quantity >= 0)
    and abs(coalesce(quantity, cast(0 as decimal(38, 12))) - used_quantity) > $quantity_tolerance
    and not is_prorated
    and charge_model not in ('prerated', 'custom', 'capacity')
),

rated as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id,
    target_date, customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount,
    charge_model, product_name, aggregation, unit, used_quantity, used_records, billed_quantity,
    rate(price, used_quantity) as expected,
    rate(price, coalesce(billed_quantity, cast(0 as decimal(38, 12)))) as actual
  from charges
),

mismatched as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id,
    target_date, customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount,
    charge_model, product_name, aggregation, unit, used_quantity, used_records, billed_quantity, expected, actual
  from rated
  where abs(actual - expected) > $tolerance
    -- A platform that tells no quantity is taken to have billed none only where the amount says so.
    and (billed_quantity is not null or amount = actual)
),

-- Records that repeat an earlier one, inside the period: what a count that does not see repeats would add.
-- By item, and where one side has none, by subscription, as in line_usage: two joins on equal keys, never an OR of them.
repeats as (
  select m.source, m.line_id, m.aggregation, d.quantity
  from mismatched as m
  join usage_duplicates as d
    on d.source = m.source
    and d.item_id = m.item_id
    and d.meter = m.meter
    and d.occurred_at >= m.period_start
    and d.occurred_at < m.period_end
  where m.aggregation in ('sum', 'count')
  union all
  select m.source, m.line_id, m.aggregation, d.quantity
  from mismatched as m
  join usage_duplicates as d
    on d.source = m.source
    and d.subscription_id = m.subscription_id
    and d.meter = m.meter
    and (d.item_id is null or m.item_id is null)
    and d.occurred_at >= m.period_start
    and d.occurred_at < m.period_end
  where m.aggregation in ('sum', 'count')
),

repeated as (
  select
    source,
    line_id,
    cast(
      case max(aggregation)
        when 'count' then cast(count(*) as decimal(76, 12))
        else sum(cast(quantity as decimal(76, 12)))
      end as decimal(38, 12)
    ) as duplicate_quantity
  from repeats
  group by source, line_id
),

-- Days that can hold records received after the invoice was made: those with late records, and the last before it.
-- UNION makes each day of a line one row.
late_days as (
  select
    m.source, m.line_id, m.aggregation, m.period_start, m.period_end, m.invoice_created_at,
    u.meter, u.usage_key, u.usage_date
  from mismatched as m
  join item_usage as u
    on u.source = m.source
    and u.item_id = m.item_id
    and u.meter = m.meter
    and u.last_occurred_at >= m.period_start
    and u.first_occurred_at < m.period_end
    and (u.late_count > 0 or u.last_occurred_at > m.invoice_created_at - interval '24 hours')
  where m.aggregation in ('sum', 'count')
  union
  select
    m.source, m.line_id, m.aggregation, m.period_start, m.period_end, m.invoice_created_at,
    u.meter, u.usage_key, u.usage_date
  from mismatched as m
  join item_usage as u
    on u.source = m.source
    and u.subscription_id = m.subscription_id
    and u.meter = m.meter
    and (u.item_id is null or m.item_id is null)
    and u.last_occurred_at >= m.period_start
    and u.first_occurred_at < m.period_end
    and (u.late_count > 0 or u.last_occurred_at > m.invoice_created_at - interval '24 hours')
  where m.aggregation in ('sum', 'count')
),

late as (
  select
    l.source,
    l.line_id,
    cast(
      case max(l.aggregation)
        when 'count' then cast(count(*) as decimal(76, 12))
        else sum(cast(r.quantity as decimal(76, 12)))
      end as decimal(38, 12)
    ) as late_quantity
  from late_days as l
  join usage_records as r
    on r.source = l.source
    and r.usage_date = l.usage_date
    and r.meter = l.meter
    and case
      when r.item_id is not null then concat('i:', r.item_id)
      when r.subscription_id is not null then concat('s:', r.subscription_id)
      else concat('c:', r.customer_id)
    end = l.usage_key
  left anti join usage_duplicates as d on d.source = r.source and d.usage_id = r.usage_id
  where r.recorded_at >= l.invoice_created_at
    and r.occurred_at >= l.period_start
    and r.occurred_at < l.period_end
    and coalesce(r.status, '') not in ('voided', 'error')
  group by l.source, l.line_id
),

-- The factor between two units, exactly, one way or the other.
unit_slips as (
  select m.source, m.line_id, max(f.factor) as factor
  from mismatched as m
  cross join (
    values (10), (60), (100), (1000), (1024), (3600), (10000), (1000000), (1048576), (1000000000), (1073741824)
  ) as f (factor)
  where m.billed_quantity > 0
    and (
      cast(m.billed_quantity as decimal(76, 12)) = cast(m.used_quantity as decimal(76, 12)) * f.factor
      or cast(m.used_quantity as decimal(76, 12)) = cast(m.billed_quantity as decimal(76, 12)) * f.factor
    )
  group by m.source, m.line_id
),

-- A hypothesis counts only when it gives the billed quantity exactly.
explained as (
  select
    m.source, m.line_id, m.line_count, m.invoice_id, m.invoice_number, m.invoice_status, m.invoice_created_at,
    m.bill_run_id, m.target_date, m.customer_id, m.subscription_id, m.item_id, m.price_id, m.meter, m.period_start,
    m.period_end, m.currency, m.amount, m.charge_model, m.product_name, m.aggregation, m.unit, m.used_quantity,
    m.used_records, m.billed_quantity, m.expected, m.actual,
    r.duplicate_quantity,
    l.late_quantity,
    f.factor as unit_factor,
    case
      when m.billed_quantity = m.used_quantity + r.duplicate_quantity then 'duplicates_counted'
      when coalesce(m.billed_quantity, cast(0 as decimal(38, 12))) = m.used_quantity - l.late_quantity
        then 'late_usage_missing'
      when f.factor is not null then 'unit_factor'
      else 'unexplained'
    end as explanation
  from mismatched as m
  left join repeated as r on r.source = m.source and r.line_id = m.line_id
  left join late as l on l.source = m.source and l.line_id = m.line_id
  left join unit_slips as f on f.source = m.source and f.line_id = m.line_id
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
  expected,
  actual,
  currency,
  case
    when coalesce(billed_quantity, cast(0 as decimal(38, 12))) = 0 then 'usage_not_billed'
    when billed_quantity > used_quantity then 'more_than_used'
    else 'less_than_used'
  end as reason,
  explanation,
  case explanation
    when 'duplicates_counted' then 'data_quality'
    when 'unit_factor' then 'data_quality'
    when 'late_usage_missing' then 'timing'
    else 'unknown'
  end as root_cause,
  used_quantity,
  billed_quantity,
  duplicate_quantity,
  late_quantity,
  cast(unit_factor as bigint) as unit_factor,
  used_records,
  unit as quantity_unit,
  aggregation,
  amount as billed_amount,
  charge_model,
  product_name,
  invoice_created_at,
  line_count
from explained
