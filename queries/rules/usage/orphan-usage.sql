-- Usage in a billing source that belongs to nothing the source knows: no such item, subscription or customer.

with settled_days as (
    select
        d.source, d.item_id, d.subscription_id, d.customer_id, d.meter, d.usage_date, d.quantity_sum, d.record_count,
        d.first_occurred_at, d.last_occurred_at
    from usage_daily d
    -- A metering system has no subscriptions to look the usage up in.
    join run_sources r on r.source = d.source and r.role = 'billing'
    where d.usage_date >= cast($window_start as date) and d.last_occurred_at < $window_end
),

looked_up as (
    -- The most exact id decides: a record with a known item is billable whatever else it names.
    select
        d.source, d.meter, d.usage_date, d.quantity_sum, d.record_count, d.first_occurred_at, d.last_occurred_at,
        d.item_id, d.subscription_id, d.customer_id,
        case
            when d.item_id is not null then 'subscription_item'
            when d.subscription_id is not null then 'subscription'
            when d.customer_id is not null then 'customer'
            else 'meter'
        end as entity_type,
        coalesce(d.item_id, d.subscription_id, d.customer_id, d.meter, '') as entity_id,
        case
            when d.item_id is not null then case when i.item_id is null then 'unknown_item' end
            when d.subscription_id is not null then case when s.subscription_id is null then 'unknown_subscription' end
            when d.customer_id is not null then case when c.customer_id is null then 'unknown_customer' end
            else 'no_owner'
        end as reason
    from settled_days d
    left join subscription_items i on i.source = d.source and i.item_id = d.item_id
    left join subscriptions s on s.source = d.source and s.subscription_id = d.subscription_id
    left join customers c on c.source = d.source and c.customer_id = d.customer_id
),

meter_units as (
    select source, meter, min(unit) as unit
    from prices
    where meter is not null and unit is not null
    group by source, meter
    having count(distinct unit) = 1
),

orphans as (
    select
        source, entity_type, entity_id, meter, reason,
        min(item_id) as item_id,
        min(subscription_id) as subscription_id,
        min(customer_id) as customer_id,
        cast(sum(cast(quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
        sum(record_count) as record_count,
        count(distinct usage_date) as day_count,
        min(first_occurred_at) as first_usage_at,
        max(last_occurred_at) as last_usage_at
    from looked_up
    where reason is not null
    group by source, entity_type, entity_id, meter, reason
)

select
    o.source,
    o.entity_type,
    o.entity_id,
    o.customer_id,
    o.subscription_id,
    o.item_id,
    o.meter,
    -- Up to the end of its last day, by which the window takes it in or leaves it out: what has left is not over.
    o.first_usage_at as period_start,
    arrow_cast(
        cast(o.last_usage_at as date) + interval '1 day', 'Timestamp(Microsecond, Some("UTC"))'
    ) as period_end,
    o.quantity as expected,
    cast(0 as decimal(38, 12)) as actual,
    u.unit,
    o.reason,
    'integration' as root_cause,
    o.record_count,
    o.day_count,
    o.first_usage_at,
    o.last_usage_at
from orphans o
left join meter_units u on u.source = o.source and u.meter = o.meter
where o.record_count >= $min_records
