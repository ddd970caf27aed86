-- usage_daily with the item that each row belongs to. A row that names its item keeps it. One that does not gets the
-- item of its subscription and meter, else of its customer and meter, where exactly one item has that meter while the
-- usage happens (sole_items); else NULL. `usage_key` is the identity the usage was recorded under: the way back from a
-- row to its raw records. Usage that names no owner has none.
with used as (
  select
    source, item_id, subscription_id, customer_id, meter, usage_date, quantity_sum, record_count, quantity_max,
    quantity_min, quantity_last, first_occurred_at, last_occurred_at, late_count, duplicate_count,
    case
      when item_id is not null then concat('i:', item_id)
      when subscription_id is not null then concat('s:', subscription_id)
      when customer_id is not null then concat('c:', customer_id)
    end as usage_key
  from usage_daily
),

owners as (
  select source as sole_source, owner, asked_meter, item_id as sole_item_id, sole_from, sole_to
  from sole_items
)

-- The small table stands on the left, so that it is the one hashed.
select
  u.source,
  coalesce(u.item_id, i.sole_item_id) as item_id,
  u.subscription_id,
  u.customer_id,
  u.meter,
  u.usage_key,
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
from owners as i
right join used as u
  on i.sole_source = u.source
  and i.owner = u.usage_key
  and i.asked_meter = coalesce(u.meter, '')
  and i.sole_from <= u.first_occurred_at
  and i.sole_to > u.last_occurred_at
  and u.item_id is null
