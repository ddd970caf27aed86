-- usage_daily with the item that each row belongs to. A row that names its item keeps it. One that does not gets the
-- item of its subscription and meter, else of its customer and meter, where exactly one item has that meter; else NULL.
-- `usage_key` is the identity the usage was recorded under: the way back from a row to its raw records.
with by_subscription as (
  select source, subscription_id, meter, max(item_id) as subscription_item_id
  from item_terms
  where subscription_id is not null and meter is not null
  group by source, subscription_id, meter
  having count(*) = 1
),

by_customer as (
  select source, customer_id, meter, max(item_id) as customer_item_id
  from item_terms
  where customer_id is not null and meter is not null
  group by source, customer_id, meter
  having count(*) = 1
)

-- The small tables stand on the left, so that they are the ones hashed.
select
  u.source,
  coalesce(u.item_id, s.subscription_item_id, c.customer_item_id) as item_id,
  u.subscription_id,
  u.customer_id,
  u.meter,
  case
    when u.item_id is not null then concat('i:', u.item_id)
    when u.subscription_id is not null then concat('s:', u.subscription_id)
    else concat('c:', u.customer_id)
  end as usage_key,
  u.usage_date,
  u.quantity_sum,
  u.record_count,
  u.quantity_max,
  u.quantity_min,
  u.quantity_last,
  u.first_occurred_at,
  u.last_occurred_at,
  u.late_count,
  u.duplicate_count
from by_customer as c
right join (
  by_subscription as s
  right join usage_daily as u
    on s.source = u.source
    and s.subscription_id = u.subscription_id
    and s.meter = u.meter
    and u.item_id is null
)
  on c.source = u.source
  and c.customer_id = u.customer_id
  and c.meter = u.meter
  and u.item_id is null
  and u.subscription_id is null
