-- Usage that was refused and has stayed so: records that the platform holds in error, and rows that could not be read
-- at all. A record is settled once the same usage, or its key, was accepted or voided; a row once its id is in the
-- lake.
with failed as (
    select
        source, usage_id, usage_date, customer_id, subscription_id, item_id, meter, quantity, unit, status_reason,
        idempotency_key, occurred_at, recorded_at,
        case
            when item_id is not null then concat('i:', item_id)
            when subscription_id is not null then concat('s:', subscription_id)
            else concat('c:', coalesce(customer_id, ''))
        end as owner
    from usage_records
    where status = 'error'
        and usage_date >= cast($window_start - interval '7 days' as date)
        and coalesce(recorded_at, occurred_at) >= $window_start
        and coalesce(recorded_at, occurred_at) <= $as_of - cast($open_after as interval)
        and (quantity is distinct from cast(0 as decimal(38, 12)))
),

others as (
    select
        source as other_source, usage_date as other_date, meter as other_meter, occurred_at as other_moment,
        quantity as other_quantity, idempotency_key as other_key,
        case
            when item_id is not null then concat('i:', item_id)
            when subscription_id is not null then concat('s:', subscription_id)
            else concat('c:', coalesce(customer_id, ''))
        end as other_owner
    from usage_records
    where coalesce(status, 'processed') <> 'error'
        and usage_date >= cast($window_start - interval '7 days' as date)
),

settled as (
    select f.source, f.usage_id
    from failed as f
    join others as o
        on o.other_source = f.source
        and o.other_date = f.usage_date
        and coalesce(o.other_meter, '') = coalesce(f.meter, '')
        and o.other_moment = f.occurred_at
        and o.other_quantity = f.quantity
        and o.other_owner = f.owner
    union
    select f.source, f.usage_id
    from failed as f
    join others as o on o.other_source = f.source and o.other_key = f.idempotency_key
),

open as (
    select
        f.source, f.usage_id, f.customer_id, f.subscription_id, f.item_id, f.meter, f.quantity, f.unit,
        f.status_reason, f.occurred_at, f.recorded_at
    from failed as f
    left anti join settled as s on s.source = f.source and s.usage_id = f.usage_id
),

item_prices as (
    select
        source as item_source, item_id as item, price_id, subscription_id as item_subscription_id,
        customer_id as item_customer_id, unit as item_unit
    from item_terms
),

-- Money where one unit has one price; elsewhere a record's worth depends on the rest of the period.
priced as (
    select
        o.source, o.usage_id, o.item_id, o.meter, o.quantity, o.status_reason, o.occurred_at, o.recorded_at, i.price_id,
        coalesce(i.item_customer_id, o.customer_id) as customer_id,
        coalesce(i.item_subscription_id, o.subscription_id) as subscription_id,
        coalesce(o.unit, i.item_unit) as unit,
        t.currency,
        case
            when t.charge_model = 'per_unit'
                and coalesce(t.aggregation, 'sum') = 'sum'
                and t.price['minimum_amount'] is null
                and t.price['maximum_amount'] is null
                and t.price['included_quantity'] is null
                and t.price['flat_fee'] is null
                then cast(cast(o.quantity as decimal(76, 12)) * t.price['unit_price'] as decimal(38, 12))
        end as worth
    from open as o
    left join item_prices as i on i.item_source = o.source and i.item = o.item_id
    left join price_periods as p
        on p.source = o.source
        and p.price_id = i.price_id
        and p.valid_from <= o.occurred_at
        and (p.valid_to is null or o.occurred_at < p.valid_to)
    left join price_terms as t
        on t.source = p.source and t.price_id = p.price_id and t.effective_from = p.effective_from
),

unread as (
    select
        source, reject_id, reason_code, reason, origin, rejected_at,
        -- The id of the record, where the row can be read so far.
        coalesce(
            regexp_match(raw, '"usage_id" *: *"([^"]+)"')[1],
            case when raw not like '{%' then split_part(raw, ',', 1) end,
            ''
        ) as usage_id
    from rejects
    where table_name = 'usage_records'
        and reason_code <> 'superseded'
        and rejected_at >= $window_start
        and rejected_at <= $as_of - cast($open_after as interval)
),

known as (
    select distinct r.source as known_source, r.usage_id as known_id
    from usage_records as u
    join unread as r on r.source = u.source and r.usage_id = u.usage_id
)

select
    source,
    'usage_record' as entity_type,
    usage_id as entity_id,
    customer_id,
    subscription_id,
    item_id,
    price_id,
    meter,
    -- From its time to its arrival, by which the window takes it in, or a week later, behind which it is not read.
    least(occurred_at, recorded_at) as period_start,
    least(
        coalesce(recorded_at, occurred_at) + interval '1 microsecond',
        date_trunc('day', occurred_at) + interval '8 days'
    ) as period_end,
    'error' as entity_status,
    coalesce(worth, quantity) as expected,
    cast(0 as decimal(38, 12)) as actual,
    case when worth is not null then currency end as currency,
    case when worth is null then unit end as unit,
    -- Ids and numbers are taken out, so that one cause is one reason.
    coalesce(
        nullif(trim(regexp_replace(lower(status_reason), '[a-z_-]*[0-9][a-z0-9_:.-]*', '#', 'g')), ''), 'error'
    ) as reason,
    'refused_by_platform' as explanation,
    'data_quality' as root_cause,
    occurred_at,
    recorded_at,
    quantity,
    status_reason,
    cast(null as varchar) as origin,
    cast(null as varchar) as problem
from priced
union all
select
    r.source,
    'export' as entity_type,
    r.reject_id as entity_id,
    cast(null as varchar) as customer_id,
    cast(null as varchar) as subscription_id,
    cast(null as varchar) as item_id,
    cast(null as varchar) as price_id,
    cast(null as varchar) as meter,
    r.rejected_at as period_start,
    r.rejected_at + interval '1 microsecond' as period_end,
    'rejected' as entity_status,
    cast(null as decimal(38, 12)) as expected,
    cast(null as decimal(38, 12)) as actual,
    cast(null as varchar) as currency,
    cast(null as varchar) as unit,
    r.reason_code as reason,
    'unreadable_row' as explanation,
    'data_quality' as root_cause,
    cast(null as timestamp) as occurred_at,
    r.rejected_at as recorded_at,
    cast(null as decimal(38, 12)) as quantity,
    cast(null as varchar) as status_reason,
    r.origin,
    r.reason as problem
from unread as r
left anti join known as k on k.known_source = r.source and k.known_id = r.usage_id
