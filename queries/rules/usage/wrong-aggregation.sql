-- Usage charges whose quantity is exactly another aggregation of the period's records than the one that the price names:
-- the sum where the peak was agreed, the number of records where a sum was. Only charges whose quantity is not the used
-- one, and makes a difference in money, are looked into record by record.
with mismatched as (
  select
    source, line_id, line_count, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, meter, period_start, period_end, currency, amount, charge_model,
    product_name, aggregation, unit, used_quantity, used_records, billed_quantity, expected, actual
  from mismatched_charges
  where billed_quantity > 0
    and used_records >= $min_records
    and abs(actual - expected) > $tolerance
    and (greatest(period_end, invoice_made_at) > $window_start or invoice_status in ('draft', 'pending'))
    and period_end <= $window_end
),

-- By item, and where one side has none, by subscription, as in line_usage. UNION makes each day of a line one row.
line_days as (
  select m.source, m.line_id, m.period_start, m.period_end, u.meter, u.usage_key, u.usage_date
  from mismatched as m
  join item_usage as u
    on u.source = m.source
    and u.item_id = m.item_id
    and (m.meter is null or u.meter is null or u.meter = m.meter)
    and u.last_occurred_at >= m.period_start
    and u.first_occurred_at < m.period_end
  union
  select m.source, m.line_id, m.period_start, m.period_end, u.meter, u.usage_key, u.usage_date
  from mismatched as m
  join item_usage as u
    on u.source = m.source
    and u.subscription_id = m.subscription_id
    and coalesce(u.meter, '') = coalesce(m.meter, '')
    and (u.item_id is null or m.item_id is null)
    and u.last_occurred_at >= m.period_start
    and u.first_occurred_at < m.period_end
),

line_records as (
  select
    d.source, d.line_id, d.period_start, d.period_end, r.usage_id, r.usage_date, r.quantity, r.unique_value,
    r.occurred_at, r.recorded_at
  from line_days as d
  join usage_records as r
    on r.source = d.source
    and r.usage_date = d.usage_date
    and coalesce(r.meter, '') = coalesce(d.meter, '')
    and case
      when r.item_id is not null then concat('i:', r.item_id)
      when r.subscription_id is not null then concat('s:', r.subscription_id)
      when r.customer_id is not null then concat('c:', r.customer_id)
    end = d.usage_key
  where r.usage_date >= cast($window_start - interval '400 days' as date)
    and r.occurred_at >= d.period_start
    and r.occurred_at < d.period_end
    and coalesce(r.status, '') not in ('voided', 'error')
),

counted as (
  select
    r.source, r.line_id, r.period_start, r.period_end, r.usage_id, r.usage_date, r.quantity, r.unique_value,
    r.occurred_at, r.recorded_at
  from line_records as r
  left anti join usage_duplicates as d on d.source = r.source and d.usage_id = r.usage_id
),

by_day as (
  select
    source,
    line_id,
    usage_date,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as day_sum,
    count(*) as day_count,
    max(quantity) as day_max,
    min(quantity) as day_min,
    max(occurred_at) as last_at,
    last_value(quantity order by occurred_at, recorded_at, usage_id) as day_last,
    cast(
      sum(
        cast(quantity as decimal(76, 12))
        * cast(cast(period_end as bigint) - cast(occurred_at as bigint) as decimal(20, 0))
      ) / cast(cast(max(period_end) as bigint) - cast(max(period_start) as bigint) as decimal(20, 0))
      as decimal(38, 12)
    ) as day_weighted
  from counted
  group by source, line_id, usage_date
),

uniques as (
  select source, line_id, count(distinct unique_value) as unique_values
  from counted
  where unique_value is not null
  group by source, line_id
),

totals as (
  select
    source,
    line_id,
    cast(sum(cast(day_sum as decimal(76, 12))) as decimal(38, 12)) as total_sum,
    cast(sum(day_count) as decimal(38, 12)) as total_count,
    max(day_max) as total_max,
    min(day_min) as total_min,
    last_value(day_last order by last_at) as total_last,
    cast(sum(cast(day_weighted as decimal(76, 12))) as decimal(38, 12)) as total_weighted,
    cast(sum(cast(day_max as decimal(76, 12))) as decimal(38, 12)) as sum_of_days,
    cast(count(*) as decimal(38, 12)) as used_days
  from by_day
  group by source, line_id
),

-- One row for each aggregation that could have been taken, in the order in which they are believed.
hypotheses as (
  select
    t.source,
    t.line_id,
    unnest(make_array(
      'sum', 'count', 'unique_count', 'max', 'last', 'min', 'weighted_sum', 'sum_of_daily_max', 'mean_of_daily_max', 'mean'
    )) as other_aggregation,
    unnest(make_array(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)) as preference,
    unnest(make_array(
      t.total_sum,
      t.total_count,
      cast(u.unique_values as decimal(38, 12)),
      t.total_max,
      t.total_last,
      t.total_min,
      t.total_weighted,
      t.sum_of_days,
      cast(cast(t.sum_of_days as decimal(76, 12)) / cast(t.used_days as decimal(20, 0)) as decimal(38, 12)),
      cast(cast(t.total_sum as decimal(76, 12)) / cast(t.total_count as decimal(20, 0)) as decimal(38, 12))
    )) as other_quantity
  from totals as t
  left join uniques as u on u.source = t.source and u.line_id = t.line_id
),

-- What is divided may have lost digits on the way; the others must be met exactly.
matched as (
  select
    m.source,
    m.line_id as matched_line_id,
    first_value(h.other_aggregation order by h.preference) as other_aggregation
  from mismatched as m
  join hypotheses as h on h.source = m.source and h.line_id = m.line_id
  where h.other_aggregation <> m.aggregation
    and (
      h.other_quantity = m.billed_quantity
      or (
        h.other_aggregation in ('weighted_sum', 'mean_of_daily_max', 'mean')
        and abs(h.other_quantity - m.billed_quantity) <= 0.000001
      )
    )
  group by m.source, m.line_id
)

select
  m.source,
  'invoice_line' as entity_type,
  m.line_id as entity_id,
  m.invoice_number as entity_number,
  m.customer_id,
  m.subscription_id,
  m.item_id,
  m.invoice_id,
  m.line_id as invoice_line_id,
  m.bill_run_id,
  m.price_id,
  m.meter,
  m.period_start,
  m.period_end,
  m.target_date,
  m.invoice_status as entity_status,
  m.expected,
  m.actual,
  m.currency,
  m.aggregation as reason,
  concat('billed_as_', x.other_aggregation) as explanation,
  'configuration' as root_cause,
  m.aggregation as agreed_aggregation,
  x.other_aggregation as billed_aggregation,
  m.used_quantity,
  m.billed_quantity,
  m.used_records,
  m.unit as quantity_unit,
  m.amount as billed_amount,
  m.charge_model,
  m.product_name,
  m.line_count
from mismatched as m
join matched as x on x.source = m.source and x.matched_line_id = m.line_id
