-- Usage that was changed or voided after the invoice for its day was final, so that the invoice no longer has the
-- quantity of its records. Records that arrived only after the invoice are the finding of late-usage.
-- That a record was touched proves nothing by itself: the quantity of the charge must have come apart.
with mismatched as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, bill_run_id, target_date, customer_id,
    subscription_id, item_id, price_id, meter, period_start, period_end, currency, aggregation, unit, used_quantity,
    used_records, billed_quantity, expected, actual,
    coalesce(finalized_at, invoice_created_at) as closed_at
  from mismatched_charges
  where invoice_status not in ('draft', 'pending')
    and coalesce(finalized_at, invoice_created_at) is not null
    and abs(actual - expected) > $tolerance
    and period_end > $window_start
    and period_end <= $window_end
),

-- A platform may touch a record when it bills it: only what was touched well after that counts.
touched as (
  select
    source, usage_id, item_id, subscription_id, meter, quantity, status, occurred_at, recorded_at, updated_at,
    usage_date
  from usage_records
  where usage_date >= cast($window_start - interval '400 days' as date)
    and updated_at is not null
    and updated_at < $window_end
    and coalesce(updated_at > recorded_at, true)
),

-- By item, else by subscription: a day whose records are all void has no row in the roll-up to lead to them.
restated as (
  select
    m.source, m.line_id, m.aggregation, r.usage_id, r.usage_date, r.quantity, r.updated_at,
    coalesce(r.status, '') in ('voided', 'error') as is_void
  from mismatched as m
  join touched as r
    on r.source = m.source
    and r.item_id = m.item_id
    and (m.meter is null or r.meter is null or r.meter = m.meter)
    and r.occurred_at >= m.period_start
    and r.occurred_at < m.period_end
    and r.updated_at >= m.closed_at + cast($touch as interval)
    and coalesce(r.recorded_at <= m.closed_at, true)
  union all
  select
    m.source, m.line_id, m.aggregation, r.usage_id, r.usage_date, r.quantity, r.updated_at,
    coalesce(r.status, '') in ('voided', 'error') as is_void
  from mismatched as m
  join touched as r
    on r.source = m.source
    and r.subscription_id = m.subscription_id
    and coalesce(r.meter, '') = coalesce(m.meter, '')
    and r.item_id is null
    and r.occurred_at >= m.period_start
    and r.occurred_at < m.period_end
    and r.updated_at >= m.closed_at + cast($touch as interval)
    and coalesce(r.recorded_at <= m.closed_at, true)
),

counted as (
  select r.source, r.line_id, r.aggregation, r.usage_id, r.usage_date, r.quantity, r.updated_at, r.is_void
  from restated as r
  left anti join usage_duplicates as d on d.source = r.source and d.usage_id = r.usage_id
),

totals as (
  select
    source,
    line_id as restated_line_id,
    count(*) filter (where is_void) as voided_records,
    count(*) filter (where not is_void) as changed_records,
    cast(sum(cast(
      case
        when not is_void then cast(0 as decimal(38, 12))
        when aggregation = 'count' then cast(1 as decimal(38, 12))
        else quantity
      end as decimal(76, 12)
    )) as decimal(38, 12)) as voided_quantity,
    cast(sum(cast(
      case
        when is_void then cast(0 as decimal(38, 12))
        when aggregation = 'count' then cast(1 as decimal(38, 12))
        else quantity
      end as decimal(76, 12)
    )) as decimal(38, 12)) as changed_quantity,
    min(usage_date) as first_day,
    max(usage_date) as last_day,
    count(distinct usage_date) as day_count,
    min(updated_at) as first_restated_at,
    max(updated_at) as last_restated_at
  from counted
  group by source, line_id
),

judged as (
  select
    m.source, m.line_id, m.invoice_id, m.invoice_number, m.invoice_status, m.bill_run_id, m.target_date,
    m.customer_id, m.subscription_id, m.item_id, m.price_id, m.meter, m.period_start, m.period_end, m.currency,
    m.aggregation, m.unit, m.used_quantity, m.used_records, m.billed_quantity, m.closed_at, m.expected, m.actual,
    t.voided_records, t.changed_records, t.voided_quantity, t.changed_quantity, t.first_day, t.last_day, t.day_count,
    t.first_restated_at, t.last_restated_at,
    case
      when m.aggregation in ('sum', 'count')
        and t.voided_records > 0
        and m.used_quantity + t.voided_quantity = m.billed_quantity
        then 'voided_after_invoice'
      -- What the changed records must have been before cannot have been less than nothing.
      when t.changed_records > 0
        and t.changed_records * 2 <= m.used_records
        and (
          m.aggregation not in ('sum', 'count')
          or m.billed_quantity - m.used_quantity + t.changed_quantity - t.voided_quantity >= 0
        )
        then 'changed_after_invoice'
    end as explanation
  from mismatched as m
  join totals as t on t.source = m.source and t.restated_line_id = m.line_id
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
  'usage_restated' as reason,
  explanation,
  'manual' as root_cause,
  closed_at,
  first_restated_at,
  last_restated_at,
  first_day,
  last_day,
  day_count,
  voided_records,
  changed_records,
  voided_quantity,
  changed_quantity,
  used_quantity,
  billed_quantity,
  unit as quantity_unit
from judged
where explanation is not null
