-- Two active subscriptions of one customer, or of customers that are twins, to the same price and meter, started close
-- together, that show the same usage day by day: one of them is there twice.
-- Usage is compared by whole weeks, as a text of days and quantities, so that equal weeks meet by an equal join.
-- Weeks of few days or with always the same quantity say nothing: two small customers may share them.
with customer_keys as (
  select source, customer_id, 1 as key_rank, 'same_customer' as key_kind, customer_id as key_value
  from customers
  union all
  select
    source, customer_id, 2 as key_rank, 'same_external_id' as key_kind,
    regexp_match(attributes, $external_id)[1] as key_value
  from customers
  where attributes is not null and regexp_like(attributes, $external_id)
  union all
  select
    source, customer_id, 3 as key_rank, 'same_name' as key_kind,
    concat(lower(trim(name)), '|', coalesce(parent_customer_id, '')) as key_value
  from customers
  where trim(name) <> ''
  union all
  select
    source, customer_id, 4 as key_rank, 'same_parent' as key_kind,
    coalesce(parent_customer_id, customer_id) as key_value
  from customers
),

subscription_terms as (
  select
    source,
    subscription_id as active_subscription_id,
    number as subscription_number,
    status as subscription_status,
    customer_id as owner_id,
    started_at
  from subscriptions
  where status in ('active', 'trialing', 'past_due')
    and ended_at is null
    and started_at is not null
),

items as (
  select
    i.source, i.item_id, i.subscription_id, i.price_id, i.meter, s.owner_id, s.subscription_number,
    s.subscription_status, s.started_at
  from item_terms as i
  join subscription_terms as s on s.source = i.source and s.active_subscription_id = i.subscription_id
  where i.meter is not null
    and i.price_id is not null
    and (i.effective_to is null or i.effective_to > $as_of)
),

-- Where a customer stands in no list of customers, it is still itself.
owners as (
  select source, customer_id, key_rank, key_kind, key_value from customer_keys
  union
  select distinct source, owner_id as customer_id, 1 as key_rank, 'same_customer' as key_kind, owner_id as key_value
  from items
),

-- Only items with a second one of the same price, meter and owner are looked into: most customers have none.
candidates as (
  select
    i.source, i.item_id, i.subscription_id, i.price_id, i.meter, i.owner_id, i.subscription_number,
    i.subscription_status, i.started_at, k.key_rank, k.key_kind, k.key_value
  from items as i
  join owners as k on k.source = i.source and k.customer_id = i.owner_id
  qualify count(*) over (partition by i.source, k.key_kind, k.key_value, i.price_id, i.meter) > 1
),

candidate_items as (
  select source, item_id as candidate_item_id, meter as candidate_meter
  from candidates
  group by source, item_id, meter
),

daily as (
  select
    u.source,
    u.item_id,
    u.meter,
    cast(u.usage_date as int) as day,
    cast(sum(cast(u.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
    sum(u.record_count) as record_count
  from candidate_items as c
  join item_usage as u
    on u.source = c.source and u.item_id = c.candidate_item_id and u.meter = c.candidate_meter
  where u.usage_date >= cast($window_start as date)
    and u.usage_date < cast($window_end as date)
  group by u.source, u.item_id, u.meter, u.usage_date
),

weeks as (
  select
    source,
    item_id as used_item_id,
    meter as used_meter,
    day / 7 as week,
    string_agg(
      concat(cast(day as varchar), '=', cast(quantity as varchar), '/', cast(record_count as varchar)), ' ' order by day
    ) as days_used
  from daily
  group by source, item_id, meter, day / 7
  having count(*) >= 4 and count(distinct quantity) >= 3
),

keyed_weeks as (
  select
    i.source, i.item_id, i.subscription_id, i.price_id, i.meter, i.owner_id, i.subscription_number,
    i.subscription_status, i.started_at, w.week, w.days_used, i.key_rank, i.key_kind, i.key_value
  from candidates as i
  join weeks as w on w.source = i.source and w.used_item_id = i.item_id and w.used_meter = i.meter
),

pairs as (
  select
    b.source, b.item_id, b.subscription_id, b.price_id, b.meter, b.owner_id, b.subscription_number,
    b.subscription_status, b.started_at,
    a.item_id as other_item_id,
    a.subscription_id as other_subscription_id,
    a.subscription_number as other_subscription_number,
    a.owner_id as other_customer_id,
    a.started_at as other_started_at,
    b.key_rank,
    b.key_kind,
    count(distinct b.week) as equal_weeks
  from keyed_weeks as b
  join keyed_weeks as a
    on a.source = b.source
    and a.key_kind = b.key_kind
    and a.key_value = b.key_value
    and a.price_id = b.price_id
    and a.meter = b.meter
    and a.week = b.week
    and a.days_used = b.days_used
  where a.subscription_id <> b.subscription_id
    and (a.started_at < b.started_at or (a.started_at = b.started_at and a.subscription_id < b.subscription_id))
    and b.started_at <= a.started_at + cast($started_within as interval)
  group by
    b.source, b.item_id, b.subscription_id, b.price_id, b.meter, b.owner_id, b.subscription_number,
    b.subscription_status, b.started_at, a.item_id, a.subscription_id, a.subscription_number, a.owner_id,
    a.started_at, b.key_rank, b.key_kind
),

-- One row for each item too many: beside the earliest that it repeats, by the closest tie between the customers.
closest as (
  select
    source, item_id, subscription_id, price_id, meter, owner_id, subscription_number, subscription_status, started_at,
    other_item_id, other_subscription_id, other_subscription_number, other_customer_id, other_started_at, key_kind,
    equal_weeks
  from pairs
  where equal_weeks >= $min_weeks
  qualify row_number() over (
    partition by source, item_id order by key_rank, other_started_at, other_subscription_id
  ) = 1
),

billed as (
  select
    source,
    item_id as billed_item_id,
    case when count(distinct currency) = 1 then min(currency) end as currency,
    cast(sum(cast(amount - credited as decimal(76, 12))) as decimal(38, 12)) as billed_amount,
    count(*) as line_count,
    max(invoice_id) as last_invoice_id
  from billed_lines
  where kind in ('usage', 'recurring', 'minimum')
    and amount > 0
    and not is_made_good
    and coalesce(made_at, period_end) >= $window_start
  group by source, item_id
)

select
  c.source,
  'subscription' as entity_type,
  c.subscription_id as entity_id,
  c.subscription_number as entity_number,
  c.owner_id as customer_id,
  c.subscription_id,
  c.item_id,
  c.price_id,
  c.meter,
  c.subscription_status as entity_status,
  case when b.currency is not null then cast(0 as decimal(38, 12)) end as expected,
  case when b.currency is not null then b.billed_amount end as actual,
  b.currency,
  'same_price_and_usage' as reason,
  c.key_kind as explanation,
  'integration' as root_cause,
  c.started_at,
  c.other_subscription_id,
  c.other_subscription_number,
  c.other_item_id,
  c.other_customer_id,
  c.other_started_at,
  c.equal_weeks,
  coalesce(b.line_count, 0) as billed_lines
from closest as c
left join billed as b on b.source = c.source and b.billed_item_id = c.item_id
-- It has no period: two subscriptions that go on are a state, which is over when it is no longer there.
