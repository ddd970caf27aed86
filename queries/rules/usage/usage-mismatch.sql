-- What metering measured against what the billing source received, day by day, for linked owners.
-- Either side may hold the link; the roles of the sources say which id is whose.
-- Where no link joins any usage of the two, nothing can be compared, and that is said of the billing source as a whole.

with pairs as (
    select
        l.entity_type, l.source as billing_source, l.entity_id as billing_id, l.other_source as metering_source,
        l.other_entity_id as metering_id
    from entity_links l
    join run_sources b on b.source = l.source and b.role = 'billing'
    join run_sources m on m.source = l.other_source and m.role = 'metering'
    union
    select l.entity_type, l.other_source, l.other_entity_id, l.source, l.entity_id
    from entity_links l
    join run_sources m on m.source = l.source and m.role = 'metering'
    join run_sources b on b.source = l.other_source and b.role = 'billing'
),

source_pairs as (
    select distinct billing_source, metering_source from pairs
),

days as (
    -- Days of which the window has a part; one that is still filling up would differ by nature.
    select source, item_id, subscription_id, customer_id, meter, usage_date, quantity_sum, record_count
    from usage_daily
    where usage_date >= cast($window_start as date)
        and usage_date < cast($window_end as date)
),

metering_ids as (
    select distinct source, 'item' as entity_type, item_id as id from days where item_id is not null
    union all
    select distinct source, 'subscription' as entity_type, subscription_id as id
    from days
    where subscription_id is not null
),

usable_pairs as (
    -- A link of items or subscriptions helps only where metering records carry that id;
    -- else both sides meet at the customer.
    select p.entity_type, p.billing_source, p.billing_id, p.metering_source, p.metering_id
    from pairs p
    left join metering_ids m
        on m.source = p.metering_source and m.entity_type = p.entity_type and m.id = p.metering_id
    where p.entity_type = 'customer' or m.id is not null
),

metering_owners as (
    -- Several ids on either side may be one owner: all of them go under the first billing id.
    select entity_type, metering_source, metering_id, billing_source, min(billing_id) as owner_id
    from usable_pairs
    where entity_type in ('item', 'subscription', 'customer')
    group by entity_type, metering_source, metering_id, billing_source
),

billing_owners as (
    select p.entity_type, p.billing_source, p.billing_id, min(o.owner_id) as owner_id
    from usable_pairs p
    join metering_owners o
        on o.entity_type = p.entity_type
        and o.metering_source = p.metering_source
        and o.metering_id = p.metering_id
        and o.billing_source = p.billing_source
    group by p.entity_type, p.billing_source, p.billing_id
),

metered as (
    -- The most exact link wins, on both sides alike, so that no usage is compared twice.
    select
        p.billing_source as source,
        case
            when i.owner_id is not null then 'subscription_item'
            when s.owner_id is not null then 'subscription'
            else 'customer'
        end as entity_type,
        coalesce(i.owner_id, s.owner_id, c.owner_id) as entity_id,
        coalesce(n.billing_id, d.meter) as meter,
        d.usage_date,
        min(d.source) as metering_source,
        cast(sum(cast(d.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
        sum(d.record_count) as record_count
    from days d
    join source_pairs p on p.metering_source = d.source
    left join metering_owners i
        on i.entity_type = 'item' and i.metering_source = d.source and i.billing_source = p.billing_source
        and i.metering_id = d.item_id
    left join metering_owners s
        on s.entity_type = 'subscription' and s.metering_source = d.source and s.billing_source = p.billing_source
        and s.metering_id = d.subscription_id
    left join metering_owners c
        on c.entity_type = 'customer' and c.metering_source = d.source and c.billing_source = p.billing_source
        and c.metering_id = d.customer_id
    left join pairs n
        on n.entity_type = 'meter' and n.metering_source = d.source and n.billing_source = p.billing_source
        and n.metering_id = d.meter
    where coalesce(i.owner_id, s.owner_id, c.owner_id) is not null
    group by 1, 2, 3, 4, 5
),

price_meters as (
    select source, price_id, min(meter) as meter, min(aggregation) as aggregation, min(unit) as unit
    from prices
    group by source, price_id
),

items as (
    select
        i.source, i.item_id, i.subscription_id, coalesce(i.customer_id, s.customer_id) as customer_id,
        coalesce(i.meter, p.meter) as meter, p.aggregation, p.unit,
        coalesce(i.effective_from, s.started_at) as starts_at,
        least(
            i.effective_to,
            coalesce(s.ended_at, case when s.status in ('cancelled', 'ended') then s.cancelled_at end)
        ) as ends_at
    from subscription_items i
    left join subscriptions s on s.source = i.source and s.subscription_id = i.subscription_id
    left join price_meters p on p.source = i.source and p.price_id = i.price_id
),

owned_items as (
    select
        t.source, t.item_id, t.subscription_id, t.customer_id, t.meter, t.aggregation, t.unit, t.starts_at, t.ends_at,
        case
            when i.owner_id is not null then 'subscription_item'
            when s.owner_id is not null then 'subscription'
            else 'customer'
        end as entity_type,
        coalesce(i.owner_id, s.owner_id, c.owner_id) as entity_id
    from items t
    left join billing_owners i
        on i.entity_type = 'item' and i.billing_source = t.source and i.billing_id = t.item_id
    left join billing_owners s
        on s.entity_type = 'subscription' and s.billing_source = t.source and s.billing_id = t.subscription_id
    left join billing_owners c
        on c.entity_type = 'customer' and c.billing_source = t.source and c.billing_id = t.customer_id
    where coalesce(i.owner_id, s.owner_id, c.owner_id) is not null
),

charges as (
    -- What the owner is charged for, and since when and until when: a NULL is an open end.
    select
        source, entity_type, entity_id, meter,
        min(aggregation) as aggregation,
        min(unit) as unit,
        min(item_id) as item_id,
        min(subscription_id) as subscription_id,
        min(customer_id) as customer_id,
        case when count(*) = count(starts_at) then min(starts_at) end as starts_at,
        case when count(*) = count(ends_at) then max(ends_at) end as ends_at
    from owned_items
    where meter is not null
    group by source, entity_type, entity_id, meter
),

billed as (
    select
        d.source,
        case
            when i.owner_id is not null then 'subscription_item'
            when s.owner_id is not null then 'subscription'
            else 'customer'
        end as entity_type,
        coalesce(i.owner_id, s.owner_id, c.owner_id) as entity_id,
        d.meter,
        d.usage_date,
        cast(sum(cast(d.quantity_sum as decimal(76, 12))) as decimal(38, 12)) as quantity,
        sum(d.record_count) as record_count
    from days d
    left join items t on t.source = d.source and t.item_id = d.item_id
    left join billing_owners i
        on i.entity_type = 'item' and i.billing_source = d.source and i.billing_id = d.item_id
    left join billing_owners s
        on s.entity_type = 'subscription' and s.billing_source = d.source
        and s.billing_id = coalesce(d.subscription_id, t.subscription_id)
    left join billing_owners c
        on c.entity_type = 'customer' and c.billing_source = d.source
        and c.billing_id = coalesce(d.customer_id, t.customer_id)
    where coalesce(i.owner_id, s.owner_id, c.owner_id) is not null
    group by 1, 2, 3, 4, 5
),

measured_meters as (
    -- A meter that metering does not know at all is fed to billing by something else.
    select source, meter, min(metering_source) as metering_source from metered group by source, meter
),

compared as (
    select
        coalesce(m.source, b.source) as source,
        coalesce(m.entity_type, b.entity_type) as entity_type,
        coalesce(m.entity_id, b.entity_id) as entity_id,
        coalesce(m.meter, b.meter) as meter,
        coalesce(m.usage_date, b.usage_date) as usage_date,
        coalesce(m.quantity, cast(0 as decimal(38, 12))) as metering_quantity,
        coalesce(b.quantity, cast(0 as decimal(38, 12))) as billing_quantity,
        coalesce(m.record_count, 0) as metering_records,
        coalesce(b.record_count, 0) as billing_records
    from metered m
    full outer join billed b
        on b.source = m.source
        and b.entity_type = m.entity_type
        and b.entity_id = m.entity_id
        and b.meter = m.meter
        and b.usage_date = m.usage_date
),

judged as (
    select
        v.source, v.entity_type, v.entity_id, v.meter, v.usage_date, k.metering_source, c.unit,
        coalesce(c.item_id, case when v.entity_type = 'subscription_item' then v.entity_id end) as item_id,
        coalesce(c.subscription_id, case when v.entity_type = 'subscription' then v.entity_id end) as subscription_id,
        coalesce(c.customer_id, case when v.entity_type = 'customer' then v.entity_id end) as customer_id,
        v.metering_records, v.billing_records,
        -- A meter that counts records is compared by their number.
        case
            when c.aggregation = 'count' then cast(v.metering_records as decimal(38, 12)) else v.metering_quantity
        end as metering_quantity,
        case
            when c.aggregation = 'count' then cast(v.billing_records as decimal(38, 12)) else v.billing_quantity
        end as billing_quantity
    from compared v
    join measured_meters k on k.source = v.source and k.meter = v.meter
    left join charges c
        on c.source = v.source and c.entity_type = v.entity_type and c.entity_id = v.entity_id and c.meter = v.meter
    -- Measured usage without a charge for it has nowhere to go in billing: another rule's question.
    where (c.meter is not null or v.billing_records > 0)
        and coalesce(c.aggregation, 'sum') in ('sum', 'count')
        and (c.starts_at is null or v.usage_date > cast(c.starts_at - interval '1 microsecond' as date))
        and (c.ends_at is null or v.usage_date < cast(c.ends_at as date))
),

joined_sources as (
    -- A link joins the two sides where measured usage finds what was received, or a charge to be received for.
    select distinct m.source, m.metering_source
    from metered m
    join (
        select source, entity_type, entity_id from billed
        union
        select source, entity_type, entity_id from owned_items
    ) o on o.source = m.source and o.entity_type = m.entity_type and o.entity_id = m.entity_id
),

source_meters as (
    select
        d.source, r.role, d.meter,
        sum(d.record_count) as record_count,
        min(d.usage_date) as first_day,
        max(d.usage_date) as last_day
    from days d
    join run_sources r on r.source = d.source
    group by d.source, r.role, d.meter
),

unjoined_sources as (
    -- A source to which no metering is joined. Metering that is joined to another source may be for that one alone:
    -- then one of its meters must be known by the same name here.
    select
        b.source, b.billing_records, b.first_day, b.last_day,
        min(m.source) as metering_source,
        sum(m.record_count) as metering_records
    from (
        select
            source, sum(record_count) as billing_records, min(first_day) as first_day, max(last_day) as last_day
        from source_meters
        where role = 'billing'
        group by source
    ) b
    left anti join joined_sources n on n.source = b.source
    join (select source, meter, record_count from source_meters where role = 'metering') m on true
    left join (select source, meter from source_meters where role = 'billing') s
        on s.source = b.source and s.meter = m.meter
    left join (select distinct metering_source from joined_sources) e on e.metering_source = m.source
    where e.metering_source is null or s.meter is not null
    group by b.source, b.billing_records, b.first_day, b.last_day
),

differing as (
    select
        source, entity_type, entity_id, meter, metering_source, unit, item_id, subscription_id, customer_id,
        cast(sum(cast(metering_quantity as decimal(76, 12))) as decimal(38, 12)) as metering_quantity,
        cast(sum(cast(billing_quantity as decimal(76, 12))) as decimal(38, 12)) as billing_quantity,
        sum(metering_records) as metering_records,
        sum(billing_records) as billing_records,
        count(*) as day_count,
        min(usage_date) as first_day,
        max(usage_date) as last_day
    from judged
    where abs(billing_quantity - metering_quantity) > greatest(
        $absolute_tolerance, cast(cast($relative_tolerance as decimal(9, 6)) * abs(metering_quantity) as decimal(38, 12))
    )
    group by source, entity_type, entity_id, meter, metering_source, unit, item_id, subscription_id, customer_id
)

select
    source,
    entity_type,
    entity_id,
    customer_id,
    subscription_id,
    item_id,
    meter,
    arrow_cast(first_day, 'Timestamp(Microsecond, Some("UTC"))') as period_start,
    arrow_cast(last_day + interval '1 day', 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    metering_quantity as expected,
    billing_quantity as actual,
    unit,
    case
        when billing_records = 0 then 'missing_in_billing'
        when metering_records = 0 then 'missing_in_metering'
        when billing_quantity < metering_quantity then 'billing_lower'
        else 'billing_higher'
    end as reason,
    'integration' as root_cause,
    metering_source,
    day_count,
    first_day,
    last_day,
    metering_records,
    billing_records
from differing
-- Records dated a day apart differ on two days and cancel out over both: nothing is missing.
where abs(billing_quantity - metering_quantity) > greatest(
    $absolute_tolerance, cast(cast($relative_tolerance as decimal(9, 6)) * abs(metering_quantity) as decimal(38, 12))
)
union all
select
    source,
    'export' as entity_type,
    'entity_links' as entity_id,
    cast(null as varchar) as customer_id,
    cast(null as varchar) as subscription_id,
    cast(null as varchar) as item_id,
    cast(null as varchar) as meter,
    arrow_cast(first_day, 'Timestamp(Microsecond, Some("UTC"))') as period_start,
    arrow_cast(last_day + interval '1 day', 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    cast(null as decimal(38, 12)) as expected,
    cast(null as decimal(38, 12)) as actual,
    cast(null as varchar) as unit,
    'not_linked' as reason,
    'integration' as root_cause,
    metering_source,
    cast(null as bigint) as day_count,
    first_day,
    last_day,
    metering_records,
    billing_records
from unjoined_sources
