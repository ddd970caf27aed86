-- materialise
-- Usage records of the last 62 days that agree with others of their owner in everything that was sent, but not in the
-- key: same meter, moment, quantity, distinct value, attributes and end. `occurrence` counts them in the order in which
-- they arrived; 1 is the original. What repeats a key is left out: usage_duplicates has it.
-- Moments and quantities are compared first: they are numbers, and few records agree in both.
with counted as (
  select
    source, usage_id, usage_date, item_id, subscription_id, customer_id, meter, quantity, unit, unique_value,
    attributes, ended_at, status, invoice_line_id, idempotency_key, occurred_at, recorded_at,
    case
      when item_id is not null then concat('i:', item_id)
      when subscription_id is not null then concat('s:', subscription_id)
      else concat('c:', customer_id)
    end as owner
  from usage_records
  where usage_date >= cast($as_of - interval '62 days' as date)
    and usage_date <= cast($as_of as date)
    and occurred_at >= $as_of - interval '62 days'
    and occurred_at < $as_of
    and coalesce(status, '') not in ('voided', 'error')
    and quantity <> 0
),

collisions as (
  select source as collision_source, occurred_at as moment, quantity as amount
  from counted
  group by source, occurred_at, quantity
  having count(*) > 1
),

members as (
  select
    c.source, c.usage_id, c.usage_date, c.item_id, c.subscription_id, c.customer_id, c.meter, c.quantity, c.unit,
    c.unique_value, c.attributes, c.ended_at, c.status, c.invoice_line_id, c.idempotency_key, c.occurred_at,
    c.recorded_at, c.owner
  from collisions as k
  join counted as c on c.source = k.collision_source and c.occurred_at = k.moment and c.quantity = k.amount
  left anti join usage_duplicates as d on d.source = c.source and d.usage_id = c.usage_id
  where c.owner <> 'c:'
)

select
  source, usage_id, usage_date, item_id, subscription_id, customer_id, meter, quantity, unit, status, invoice_line_id,
  idempotency_key, occurred_at, recorded_at, owner,
  cast(row_number() over same_usage as bigint) as occurrence,
  first_value(usage_id) over same_usage as original_usage_id,
  first_value(recorded_at) over same_usage as original_recorded_at,
  first_value(idempotency_key) over same_usage as original_key
from members
window same_usage as (
  partition by source, owner, meter, occurred_at, quantity, unique_value, attributes, ended_at
  order by recorded_at, usage_id
)
qualify count(*) over (
  partition by source, owner, meter, occurred_at, quantity, unique_value, attributes, ended_at
) > 1
