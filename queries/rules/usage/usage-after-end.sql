-- Usage on a subscription or item after it ended. Whole days come from the daily roll-up;
-- the day on which the end falls is read record by record, so the end is exact to the instant.

with subscription_ends as (
    -- cancelled_at alone is only a wish while the subscription is still active: many platforms end it later.
    select
        source, subscription_id, customer_id, status,
        coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as ends_at
    from subscriptions
),

meter_units as (
    select source, meter, min(unit) as unit
    from prices
    where meter is not null and unit is not null
    group by source, meter
    having count(distinct unit) = 1
),

followed_items as (
    -- What is used on an item after another of its subscription and meter took over is plan-change-loss's.
    select a.source, a.item_id as followed_item_id
    from subscription_items a
    join subscription_items b
        on b.source = a.source and b.subscription_id = a.subscription_id and b.meter = a.meter
    where b.item_id <> a.item_id
        and b.effective_from >= a.effective_to - interval '1 day'
        and b.effective_from <= a.effective_to + interval '31 days'
    group by a.source, a.item_id
),

ends as (
    -- An item ends with its subscription, or before it.
    select
        i.source, 'subscription_item' as entity_type, i.item_id as entity_id, i.item_id, i.subscription_id,
        coalesce(i.customer_id, s.customer_id) as customer_id, i.price_id, s.status,
        case when f.followed_item_id is null then least(s.ends_at, i.effective_to) else s.ends_at end as ends_at,
        case
            when f.followed_item_id is not null or i.effective_to is null or s.ends_at <= i.effective_to
                then 'subscription_ended'
            else 'item_ended'
        end as reason
    from subscription_items i
    left join subscription_ends s on s.source = i.source and s.subscription_id = i.subscription_id
    left join followed_items f on f.source = i.source and f.followed_item_id = i.item_id
    where s.ends_at is not null or (i.effective_to is not null and f.followed_item_id is null)
    union all
    -- For usage that names its subscription and no item.
    select
        source, 'subscription' as entity_type, subscription_id as entity_id, cast(null as varchar) as item_id,
        subscription_id, customer_id, cast(null as varchar) as price_id, status, ends_at,
        'subscription_ended' as reason
    from subscription_ends
    where ends_at is not null
),

days as (
    select
        source,
        case when item_id is not null then 'subscription_item' else 'subscription' end as entity_type,
        coalesce(item_id, subscription_id) as entity_id,
        meter,
        usage_date,
        cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
        sum(record_count) as record_count,
        min(first_occurred_at) as first_usage_at,
        max(last_occurred_at) as last_usage_at
    from usage_daily
    where usage_date >= cast($window_start as date)
    group by 1, 2, 3, 4, 5
    having max(last_occurred_at) < $window_end
),

days_past_end as (
    select
        d.source, d.entity_type, d.entity_id, d.meter, d.usage_date, d.quantity, d.record_count, d.first_usage_at,
        d.last_usage_at, e.ends_at
    from days d
    join ends e on e.source = d.source and e.entity_type = d.entity_type and e.entity_id = d.entity_id
    where d.last_usage_at >= e.ends_at
),

counted_records as (
    select
        source, usage_id, usage_date, meter, quantity, occurred_at,
        case when item_id is not null then 'subscription_item' else 'subscription' end as entity_type,
        coalesce(item_id, subscription_id) as entity_id
    from usage_records
    where coalesce(status, '') not in ('voided', 'error') and usage_date >= cast($window_start as date)
),

edge_records as (
    -- On the day of the end only what happened at the end or later is too late.
    select u.source, d.entity_type, d.entity_id, u.meter, u.usage_date, u.quantity, u.occurred_at
    from counted_records u
    join days_past_end d
        on d.source = u.source
        and d.usage_date = u.usage_date
        and d.entity_type = u.entity_type
        and d.entity_id = u.entity_id
        and (d.meter is not distinct from u.meter)
    left anti join usage_duplicates r on r.source = u.source and r.usage_id = u.usage_id
    where d.first_usage_at < d.ends_at and u.occurred_at >= d.ends_at
),

late_days as (
    select
        source, entity_type, entity_id, meter, usage_date, quantity, record_count, first_usage_at, last_usage_at
    from days_past_end
    where first_usage_at >= ends_at
    union all
    select
        source, entity_type, entity_id, meter, usage_date,
        cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)),
        count(*),
        min(occurred_at),
        max(occurred_at)
    from edge_records
    group by source, entity_type, entity_id, meter, usage_date
),

totals as (
    select
        source, entity_type, entity_id, meter,
        cast(sum(cast(quantity as decimal(76, 12))) as decimal(38, 12)) as quantity,
        sum(record_count) as record_count,
        count(*) as day_count,
        min(first_usage_at) as first_usage_at,
        max(last_usage_at) as last_usage_at
    from late_days
    group by source, entity_type, entity_id, meter
)

select
    t.source,
    t.entity_type,
    t.entity_id,
    e.customer_id,
    e.subscription_id,
    e.item_id,
    e.price_id,
    t.meter,
    -- Up to the end of its last day, by which the window takes it in or leaves it out: what has left is not over.
    t.first_usage_at as period_start,
    arrow_cast(
        cast(t.last_usage_at as date) + interval '1 day', 'Timestamp(Microsecond, Some("UTC"))'
    ) as period_end,
    e.status as entity_status,
    cast(0 as decimal(38, 12)) as expected,
    t.quantity as actual,
    u.unit,
    e.reason,
    'integration' as root_cause,
    e.ends_at,
    t.record_count,
    t.day_count,
    t.first_usage_at,
    t.last_usage_at
from totals t
join ends e on e.source = t.source and e.entity_type = t.entity_type and e.entity_id = t.entity_id
left join meter_units u on u.source = t.source and u.meter = t.meter
where t.last_usage_at >= e.ends_at + cast($grace as interval)
