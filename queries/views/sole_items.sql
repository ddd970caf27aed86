-- materialise
-- Which item usage belongs to that names none, but its subscription (owner 's:' and its id) or customer ('c:' and its
-- id): stretches of time [sole_from, sole_to) in which one item alone of the owner has the meter ('' = none).
-- Where no item of the owner ever has the meter, usage without a meter belongs to the only item that charges for usage,
-- and other usage to it if it has no meter. An item without rival at any time has the usage of all times: of the
-- others `is_followed` is true. There are rows only for what is asked in usage_daily: none where usage names its items.
with ends as (
  select
    source,
    subscription_id as ended_subscription_id,
    started_at,
    coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as ends_at
  from subscriptions
),

lives as (
  select
    i.source, i.item_id, i.subscription_id, i.customer_id,
    coalesce(i.meter, '') as item_meter,
    coalesce(i.charge_type, 'usage') = 'usage' as is_usage,
    coalesce(i.effective_from, e.started_at, arrow_cast('0001-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))'))
      as live_from,
    coalesce(
      least(i.effective_to, e.ends_at), arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
    ) as live_to
  from item_terms as i
  left join ends as e on e.source = i.source and e.ended_subscription_id = i.subscription_id
),

owned as (
  select
    source, item_id, item_meter, is_usage, live_from, live_to,
    unnest(
      make_array(
        case when subscription_id is not null then concat('s:', subscription_id) end,
        case when customer_id is not null then concat('c:', customer_id) end
      )
    ) as owner
  from lives
  where is_usage or item_meter <> ''
),

asked as (
  select distinct
    source as asked_source,
    case when subscription_id is not null then concat('s:', subscription_id) else concat('c:', customer_id) end
      as asked_owner,
    coalesce(meter, '') as asked_meter
  from usage_daily
  where item_id is null and (subscription_id is not null or customer_id is not null)
),

offered as (
  select
    o.source, o.owner, a.asked_meter, o.item_id, o.item_meter, o.live_from, o.live_to,
    o.item_meter = a.asked_meter as is_of_meter,
    max(case when o.item_meter = a.asked_meter then 1 else 0 end) over (
      partition by o.source, o.owner, a.asked_meter
    ) as is_known_meter
  from asked as a
  join owned as o on o.source = a.asked_source and o.owner = a.asked_owner
  where o.is_usage or o.item_meter = a.asked_meter
),

numbered as (
  select
    source, owner, asked_meter, item_id, item_meter, live_from, live_to,
    cast(row_number() over (partition by source, owner, asked_meter order by item_id) as bigint) as item_number,
    count(*) over (partition by source, owner, asked_meter) as item_count
  from offered
  where is_of_meter or is_known_meter = 0
),

changes as (
  select
    source, owner, asked_meter, item_number, item_count, live_from, live_to, unnest(make_array(1, -1)) as step
  from numbered
  where item_count = 1 or live_from < live_to
),

-- How many items are live between two changes. Of one, the sum of the numbers is its number.
steps as (
  select
    source, owner, asked_meter,
    case
      when item_count = 1 and step = 1 then arrow_cast('0001-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
      when item_count = 1 then arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
      when step = 1 then live_from
      else live_to
    end as at,
    sum(step) as step,
    sum(step * item_number) as number_step
  from changes
  group by 1, 2, 3, 4
),

stretches as (
  select
    source, owner, asked_meter,
    at as sole_from,
    lead(at) over by_time as sole_to,
    sum(step) over by_time as live_items,
    sum(number_step) over by_time as live_number
  from steps
  window by_time as (partition by source, owner, asked_meter order by at)
)

select
  s.source,
  s.owner,
  s.asked_meter,
  n.item_id,
  s.sole_from,
  s.sole_to,
  n.item_count > 1 as is_followed
from stretches as s
join numbered as n
  on n.source = s.source
  and n.owner = s.owner
  and n.asked_meter = s.asked_meter
  and n.item_number = s.live_number
where s.live_items = 1
  and (s.asked_meter = '' or n.item_meter = '' or n.item_meter = s.asked_meter)
