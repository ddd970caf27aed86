-- Usage booked to the wrong owner: an item loses on the same days what an item of another customer gains on the same
-- meter, or the records name one customer and an item of another.
with day_bounds as (
  select
    cast(cast($window_start as date) as int) as first_day,
    cast(cast($window_end as date) as int) - 1 as last_day
),

mirrors as (
  select
    m.source, m.meter, m.from_item_id, m.to_item_id, m.from_series, m.to_series, m.from_customer_id,
    m.to_customer_id,
    min(m.day) as first_day,
    max(m.day) as last_day,
    count(*) as day_count,
    cast(sum(cast(m.from_quantity as decimal(76, 12))) as decimal(38, 12)) as from_quantity,
    cast(sum(cast(m.from_baseline as decimal(76, 12))) as decimal(38, 12)) as from_baseline,
    cast(sum(cast(m.to_quantity as decimal(76, 12))) as decimal(38, 12)) as to_quantity,
    cast(sum(cast(m.to_baseline as decimal(76, 12))) as decimal(38, 12)) as to_baseline
  from mirrored_days as m
  cross join day_bounds as b
  where m.day >= b.first_day and m.day <= b.last_day
  group by
    m.source, m.meter, m.from_item_id, m.to_item_id, m.from_series, m.to_series, m.from_customer_id,
    m.to_customer_id
),

-- Both sides of a pair, each beside the other.
mirror_sides as (
  select
    source, meter, from_item_id as item_id, from_series as series, from_customer_id as customer_id,
    to_item_id as other_item_id, to_customer_id as other_customer_id, first_day, last_day, day_count,
    from_baseline as expected, from_quantity as actual, 'usage_lost' as reason,
    concat(from_series, ' ', to_series) as pair
  from mirrors
  union all
  select
    source, meter, to_item_id as item_id, to_series as series, to_customer_id as customer_id,
    from_item_id as other_item_id, from_customer_id as other_customer_id, first_day, last_day, day_count,
    to_baseline as expected, to_quantity as actual, 'usage_gained' as reason,
    concat(from_series, ' ', to_series) as pair
  from mirrors
),

items as (
  select
    source, item_id as known_item_id, subscription_id as item_subscription_id, customer_id as item_customer_id,
    price_id, unit
  from item_terms
),

subscription_owners as (
  select source, subscription_id as owned_subscription_id, customer_id as subscription_customer_id
  from subscriptions
),

families as (
  select source, customer_id as member_id, coalesce(parent_customer_id, customer_id) as family
  from customers
),

named as (
  select
    u.source, u.meter, u.item_id, u.usage_date, u.quantity_sum, u.record_count, u.first_occurred_at,
    u.last_occurred_at, i.item_subscription_id, i.item_customer_id, i.price_id, i.unit,
    coalesce(u.customer_id, s.subscription_customer_id) as named_customer_id
  from usage_daily as u
  join items as i on i.source = u.source and i.known_item_id = u.item_id
  left join subscription_owners as s on s.source = u.source and s.owned_subscription_id = u.subscription_id
  where u.usage_date >= cast($window_start as date)
    and u.last_occurred_at < $window_end
    and i.item_customer_id is not null
),

-- Usage of a customer that its parent pays for, or a sister, is theirs to share.
strangers as (
  select
    n.source, n.meter, n.item_id, n.usage_date, n.quantity_sum, n.record_count, n.first_occurred_at,
    n.last_occurred_at, n.item_subscription_id, n.item_customer_id, n.price_id, n.unit, n.named_customer_id
  from named as n
  left join families as a on a.source = n.source and a.member_id = n.named_customer_id
  left join families as b on b.source = n.source and b.member_id = n.item_customer_id
  where n.named_customer_id <> n.item_customer_id
    and coalesce(a.family, n.named_customer_id) <> coalesce(b.family, n.item_customer_id)
),

stranger_items as (
  select
    source, meter, item_id, item_subscription_id, item_customer_id, price_id, unit,
    min(named_customer_id) as named_customer_id,
    count(distinct named_customer_id) as named_customers,
    count(distinct usage_date) as day_count,
    sum(record_count) as record_count,
    cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
    min(first_occurred_at) as first_used_at,
    max(last_occurred_at) as last_used_at
  from strangers
  group by source, meter, item_id, item_subscription_id, item_customer_id, price_id, unit
)

select
  m.source,
  case when m.item_id is not null then 'subscription_item' else 'customer' end as entity_type,
  coalesce(m.item_id, m.customer_id) as entity_id,
  m.customer_id,
  i.item_subscription_id as subscription_id,
  m.item_id,
  i.price_id,
  m.meter,
  arrow_cast(cast(m.first_day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(m.last_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  m.expected,
  m.actual,
  coalesce(i.unit, 'quantity') as unit,
  m.reason,
  'mirrored_change' as explanation,
  'data_quality' as root_cause,
  m.pair,
  m.other_item_id,
  m.other_customer_id,
  m.day_count,
  cast(null as bigint) as record_count
from mirror_sides as m
left join items as i on i.source = m.source and i.known_item_id = m.item_id
union all
select
  source,
  'subscription_item' as entity_type,
  item_id as entity_id,
  item_customer_id as customer_id,
  item_subscription_id as subscription_id,
  item_id,
  price_id,
  meter,
  first_used_at as period_start,
  last_used_at as period_end,
  cast(0 as decimal(38, 12)) as expected,
  quantity as actual,
  coalesce(unit, 'quantity') as unit,
  'owner_differs' as reason,
  'item_of_another_customer' as explanation,
  'data_quality' as root_cause,
  cast(null as varchar) as pair,
  cast(null as varchar) as other_item_id,
  named_customer_id as other_customer_id,
  day_count,
  record_count
from stranger_items
where record_count >= $min_records
