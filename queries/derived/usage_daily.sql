-- One day's usage of every item and meter. `records` holds the day's records that count (no repeats,
-- nothing voided or in error), `repeats` those that repeat an earlier record's idempotency key.
with counted as (
  select
    source, item_id, customer_id, subscription_id, meter, usage_date,
    -- decimal(76): a sum that does not fit is an error, never a wrapped number
    cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity_sum,
    count(1) as record_count,
    max(quantity) as quantity_max,
    min(quantity) as quantity_min,
    last_value(quantity order by occurred_at, usage_id) as quantity_last,
    max(occurred_at) as last_occurred_at,
    min(occurred_at) as first_occurred_at,
    sum(case when recorded_at > occurred_at + interval '24 hours' then 1 else 0 end) as late_count
  from records
  group by source, item_id, customer_id, subscription_id, meter, usage_date
),
repeated as (
  select source, item_id, customer_id, subscription_id, meter, usage_date, count(1) as duplicate_count
  from repeats
  group by source, item_id, customer_id, subscription_id, meter, usage_date
)
select
  c.source, c.item_id, c.customer_id, c.subscription_id, c.meter,
  cast(0 as int) as segment,
  c.quantity_sum, c.record_count, c.quantity_max, c.quantity_min, c.quantity_last,
  c.last_occurred_at, c.first_occurred_at, c.late_count,
  coalesce(r.duplicate_count, 0) as duplicate_count,
  c.usage_date
from counted c
left join repeated r
  on r.source = c.source
  and r.usage_date = c.usage_date
  and (r.item_id is not distinct from c.item_id)
  and (r.customer_id is not distinct from c.customer_id)
  and (r.subscription_id is not distinct from c.subscription_id)
  and (r.meter is not distinct from c.meter)
