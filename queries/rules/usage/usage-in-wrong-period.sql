-- Usage that was billed in another period than the one it happened in.
-- Either a record names a line whose period does not hold it; or the quantity of a line is not what was used in its
-- period but exactly what was used in that period by the customer's own clock, or with the records at an edge moved to
-- the other side. A record that came too late for its own period may be billed in a later one.
with mismatched as (
  select
    source, line_id, invoice_id, invoice_number, invoice_status, invoice_created_at, bill_run_id, target_date,
    customer_id, subscription_id, item_id, price_id, meter, period_start, period_end, currency, aggregation, unit,
    used_quantity, used_records, billed_quantity, expected, actual
  from mismatched_charges
  where aggregation in ('sum', 'count')
    and abs(actual - expected) > $tolerance
    and (greatest(period_end, invoice_made_at) > $window_start or invoice_status in ('draft', 'pending'))
    and period_end <= $window_end
),

clocks as (
  select source, customer_id as clock_customer_id, timezone
  from customers
  where timezone is not null
),

-- Both edges of the period, and where they lie when its wall time is read on the customer's clock, or the other way
-- round. A zone that is not known gives NULL.
edges as (
  select
    m.source, m.line_id, m.item_id, m.subscription_id, m.meter, m.aggregation, m.invoice_created_at, 'start' as edge,
    m.period_start as edge_at,
    c.timezone,
    arrow_cast(
      try_cast(
        concat(cast(arrow_cast(m.period_start, 'Timestamp(Microsecond, None)') as varchar), ' ', c.timezone) as timestamp
      ),
      'Timestamp(Microsecond, None)'
    ) as local_at
  from mismatched as m
  left join clocks as c on c.source = m.source and c.clock_customer_id = m.customer_id
  union all
  select
    m.source, m.line_id, m.item_id, m.subscription_id, m.meter, m.aggregation, m.invoice_created_at, 'end' as edge,
    m.period_end as edge_at,
    c.timezone,
    arrow_cast(
      try_cast(
        concat(cast(arrow_cast(m.period_end, 'Timestamp(Microsecond, None)') as varchar), ' ', c.timezone) as timestamp
      ),
      'Timestamp(Microsecond, None)'
    ) as local_at
  from mismatched as m
  left join clocks as c on c.source = m.source and c.clock_customer_id = m.customer_id
),

-- By item, and where one side has none, by subscription, as in line_usage. UNION makes each day of an edge one row.
edge_days as (
  select
    e.source, e.line_id, e.edge, e.edge_at, e.local_at, e.timezone, e.aggregation, e.invoice_created_at, u.meter,
    u.usage_key, u.usage_date
  from edges as e
  join item_usage as u
    on u.source = e.source
    and u.item_id = e.item_id
    and (e.meter is null or u.meter is null or u.meter = e.meter)
    and u.last_occurred_at >= e.edge_at - interval '27 hours'
    and u.first_occurred_at < e.edge_at + interval '27 hours'
  union
  select
    e.source, e.line_id, e.edge, e.edge_at, e.local_at, e.timezone, e.aggregation, e.invoice_created_at, u.meter,
    u.usage_key, u.usage_date
  from edges as e
  join item_usage as u
    on u.source = e.source
    and u.subscription_id = e.subscription_id
    and coalesce(u.meter, '') = coalesce(e.meter, '')
    and (u.item_id is null or e.item_id is null)
    and u.last_occurred_at >= e.edge_at - interval '27 hours'
    and u.first_occurred_at < e.edge_at + interval '27 hours'
),

edge_records as (
  select
    d.source, d.line_id, d.edge, d.timezone, d.invoice_created_at, r.usage_id, r.occurred_at, r.recorded_at,
    case d.aggregation when 'count' then cast(1 as decimal(38, 12)) else r.quantity end as quantity,
    cast(r.occurred_at as bigint) - cast(d.edge_at as bigint) as distance,
    cast(d.local_at as bigint) - cast(d.edge_at as bigint) as local_shift
  from edge_days as d
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
    and r.occurred_at >= d.edge_at - interval '27 hours'
    and r.occurred_at < d.edge_at + interval '27 hours'
    and coalesce(r.status, '') not in ('voided', 'error')
),

counted as (
  select
    r.source, r.line_id, r.edge, r.timezone, r.invoice_created_at, r.usage_id, r.occurred_at, r.recorded_at,
    r.quantity, r.distance, r.local_shift
  from edge_records as r
  left anti join usage_duplicates as d on d.source = r.source and d.usage_id = r.usage_id
),

-- What the period gains and loses when both of its edges move with the clock, one way and the other; and the records
-- outwards from an edge added up: before it from the last one back, behind it from the first one on. What arrived after
-- the invoice was made was not there to be counted: that is late-usage's.
added as (
  select
    source, line_id, edge, timezone, distance,
    cast(sum(cast(
      case
        when distance >= 0 and distance < local_shift then quantity
        when distance < 0 and distance >= local_shift then -quantity
        else cast(0 as decimal(38, 12))
      end * case edge when 'start' then -1 else 1 end as decimal(76, 12)
    )) over (partition by source, line_id) as decimal(38, 12)) as gain_local,
    cast(sum(cast(
      case
        when distance >= 0 and distance < -local_shift then quantity
        when distance < 0 and distance >= -local_shift then -quantity
        else cast(0 as decimal(38, 12))
      end * case edge when 'start' then -1 else 1 end as decimal(76, 12)
    )) over (partition by source, line_id) as decimal(38, 12)) as gain_utc,
    max(local_shift) over (partition by source, line_id) as local_shift,
    coalesce(recorded_at < invoice_created_at, true)
      and abs(distance) <= cast($window_start + cast($edge as interval) as bigint) - cast($window_start as bigint)
      as may_have_moved,
    cast(sum(cast(quantity as decimal(76, 12))) over outwards as decimal(38, 12)) as total,
    row_number() over outwards as steps,
    count(distinct quantity) over (
      partition by
        source, line_id, edge, distance >= 0, coalesce(recorded_at < invoice_created_at, true)
        and abs(distance) <= cast($window_start + cast($edge as interval) as bigint) - cast($window_start as bigint)
    ) as different_quantities
  from counted
  window outwards as (
    partition by
      source, line_id, edge, distance >= 0, coalesce(recorded_at < invoice_created_at, true)
      and abs(distance) <= cast($window_start + cast($edge as interval) as bigint) - cast($window_start as bigint)
    order by abs(distance), usage_id
    rows between unbounded preceding and current row
  )
),

neighbours as (
  select
    source,
    line_id as neighbour_of,
    lag(period_end) over in_order as previous_end,
    lag(billed_quantity - used_quantity) over in_order as previous_surplus,
    lead(period_start) over in_order as next_start,
    lead(billed_quantity - used_quantity) over in_order as next_surplus
  from mismatched
  window in_order as (partition by source, coalesce(item_id, subscription_id), meter order by period_start, line_id)
),

-- Missing: records inside the period at its edge. Too many: records outside of it. The neighbour that has what is
-- missing here is proof; else only different quantities make a sum no chance.
tried as (
  select
    m.source, m.line_id, a.edge, a.timezone, a.local_shift, a.steps, a.distance,
    m.billed_quantity - m.used_quantity as moved_quantity,
    case
      when a.gain_local <> 0 and m.used_quantity + a.gain_local = m.billed_quantity then 'counted_in_local_time'
      when a.gain_utc <> 0 and m.used_quantity + a.gain_utc = m.billed_quantity then 'counted_in_utc'
      when a.may_have_moved
        and a.total > 0
        and a.total = abs(m.billed_quantity - m.used_quantity)
        and (m.billed_quantity < m.used_quantity) = ((a.edge = 'start') = (a.distance >= 0))
        and (
          (
            a.edge = 'end'
            and n.next_start = m.period_end
            and coalesce(n.next_surplus = m.used_quantity - m.billed_quantity, false)
          )
          or (
            a.edge = 'start'
            and n.previous_end = m.period_start
            and coalesce(n.previous_surplus = m.used_quantity - m.billed_quantity, false)
          )
          or (m.aggregation = 'sum' and a.different_quantities >= 3)
        )
        then 'moved_over_edge'
    end as explanation
  from mismatched as m
  join added as a on a.source = m.source and a.line_id = m.line_id
  left join neighbours as n on n.source = m.source and n.neighbour_of = m.line_id
),

found as (
  select
    source,
    line_id as found_line_id,
    explanation,
    case when explanation = 'moved_over_edge' then 'timing' else 'configuration' end as root_cause,
    case when explanation <> 'moved_over_edge' then timezone end as timezone,
    case explanation
      when 'counted_in_local_time' then local_shift
      when 'counted_in_utc' then -local_shift
      else distance
    end / 1000000 as shift_seconds,
    case when explanation = 'moved_over_edge' then edge end as edge,
    case when explanation = 'moved_over_edge' then steps end as moved_records,
    moved_quantity
  from tried
  where explanation is not null
  qualify row_number() over (partition by source, line_id order by explanation, steps, edge) = 1
),

-- Records that name the line that billed them.
usage_lines as (
  select
    source, line_id as naming_line_id, invoice_id, customer_id, subscription_id, item_id, price_id, meter, quantity,
    currency, period_start, period_end, invoice_number, invoice_status, bill_run_id, target_date, made_at
  from billed_lines
  where kind = 'usage'
    and period_start < period_end
    and period_end > $window_start
    and coalesce(made_at, period_end) < $window_end
),

linked as (
  select source, usage_id, item_id, subscription_id, meter, quantity, occurred_at, recorded_at, invoice_line_id
  from usage_records
  where invoice_line_id is not null
    and usage_date >= cast($window_start - interval '400 days' as date)
    and coalesce(status, '') not in ('voided', 'error')
),

-- A record that came after the invoice of its own period was made, or for which there is none, is billed where it can be.
outside as (
  select
    l.source, l.naming_line_id, l.period_start, l.period_end, r.usage_id, r.quantity, r.occurred_at, r.recorded_at,
    min(w.made_at) as own_made_at
  from usage_lines as l
  join linked as r on r.source = l.source and r.invoice_line_id = l.naming_line_id
  left join usage_lines as w
    on w.source = l.source
    and w.item_id = l.item_id
    and r.occurred_at >= w.period_start
    and r.occurred_at < w.period_end
  where r.occurred_at < l.period_start or r.occurred_at >= l.period_end
  group by
    l.source, l.naming_line_id, l.period_start, l.period_end, r.usage_id, r.quantity, r.occurred_at, r.recorded_at
),

misplaced as (
  select
    source,
    naming_line_id as misplaced_line_id,
    count(*) as record_count,
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as outside_quantity,
    min(occurred_at) as first_used_at,
    max(occurred_at) as last_used_at,
    min(usage_id) as first_usage_id
  from outside
  where occurred_at >= period_end or coalesce(recorded_at < coalesce(own_made_at, period_start), false)
  group by source, naming_line_id
),

-- What records say of themselves comes before what a quantity suggests.
reasons as (
  select
    source, misplaced_line_id as line_id, 1 as preference, 'linked_outside_period' as explanation,
    'engine_defect' as root_cause, cast(null as varchar) as timezone, cast(null as bigint) as shift_seconds,
    cast(null as varchar) as edge, record_count as moved_records, outside_quantity as moved_quantity, first_used_at,
    last_used_at, first_usage_id
  from misplaced
  union all
  select
    source, found_line_id as line_id, 2 as preference, explanation, root_cause, timezone,
    cast(shift_seconds as bigint) as shift_seconds, edge, cast(moved_records as bigint) as moved_records,
    moved_quantity,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as first_used_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as last_used_at,
    cast(null as varchar) as first_usage_id
  from found
),

reason as (
  select
    source, line_id as reason_line_id, explanation, root_cause, timezone, shift_seconds, edge, moved_records,
    moved_quantity, first_used_at, last_used_at, first_usage_id
  from reasons
  qualify row_number() over (partition by source, line_id order by preference) = 1
)

select
  l.source,
  'invoice_line' as entity_type,
  l.naming_line_id as entity_id,
  l.invoice_number as entity_number,
  l.customer_id,
  l.subscription_id,
  l.item_id,
  l.invoice_id,
  l.naming_line_id as invoice_line_id,
  l.bill_run_id,
  l.price_id,
  l.meter,
  l.period_start,
  l.period_end,
  l.target_date,
  l.invoice_status as entity_status,
  m.expected,
  m.actual,
  m.currency,
  case
    when r.explanation = 'linked_outside_period' then 'record_outside_period'
    when m.billed_quantity > m.used_quantity then 'more_than_used'
    else 'less_than_used'
  end as reason,
  r.explanation,
  r.root_cause,
  m.used_quantity,
  coalesce(m.billed_quantity, l.quantity) as billed_quantity,
  r.timezone,
  r.shift_seconds,
  r.edge,
  r.moved_records,
  r.moved_quantity,
  r.first_used_at,
  r.last_used_at,
  r.first_usage_id
from usage_lines as l
join reason as r on r.source = l.source and r.reason_line_id = l.naming_line_id
left join mismatched as m on m.source = l.source and m.line_id = l.naming_line_id
