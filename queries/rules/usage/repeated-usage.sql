-- Usage records that are exact twins of an earlier one, under another key (usage_twins). What repeats a key is
-- duplicate-usage's; what comes back after its invoice is final is rebilled-backfill's.
-- Twins also come by chance where moments are coarse or quantities few, so their number is held against what the
-- owner's own traffic lets expect: pairs of records in one second, times how often two of its quantities are alike; and
-- pairs at one moment with different quantities, which show records that are sent in bursts.
with window_twins as (
    select
        source, usage_id, usage_date, item_id, subscription_id, customer_id, meter, quantity, unit, status,
        invoice_line_id, idempotency_key, occurred_at, recorded_at, owner, occurrence, original_usage_id,
        original_recorded_at, original_key
    from usage_twins
    where occurrence > 1 and occurred_at >= $window_start and occurred_at < $window_end
),

-- A line bills its item; for usage without one, its subscription's meter.
final_lines as (
    select
        l.source as line_source, l.item_id as line_item, l.period_start, l.period_end,
        coalesce(v.finalized_at, v.created_at) as closed_at,
        unnest(
            make_array(
                concat('i:', l.item_id), concat('s:', coalesce(l.subscription_id, v.subscription_id), ' ', l.meter)
            )
        ) as line_key
    from invoice_lines as l
    join invoices as v on v.source = l.source and v.invoice_id = l.invoice_id
    where l.kind = 'usage' and v.status in ('open', 'paid', 'uncollectible')
),

-- Late ones alone can be backfills.
late_twins as (
    select
        source, usage_id, item_id, occurred_at, recorded_at, original_recorded_at,
        unnest(make_array(concat('i:', item_id), concat('s:', subscription_id, ' ', meter))) as late_key
    from window_twins
    where recorded_at > occurred_at + interval '7 days'
),

backfilled as (
    select distinct t.source as back_source, t.usage_id as back_id
    from late_twins as t
    join final_lines as l on l.line_source = t.source and l.line_key = t.late_key
    where l.period_start <= t.occurred_at
        and l.period_end > t.occurred_at
        and t.recorded_at > l.closed_at
        and t.original_recorded_at <= l.closed_at
        and (t.item_id is null or l.line_item is null or t.item_id = l.line_item)
        and t.late_key not in ('i:', 's: ')
),

repeats as (
    select
        t.source, t.usage_id, t.usage_date, t.item_id, t.subscription_id, t.customer_id, t.meter, t.quantity, t.unit,
        t.status, t.invoice_line_id, t.idempotency_key, t.occurred_at, t.recorded_at, t.owner, t.occurrence,
        t.original_usage_id, t.original_recorded_at, t.original_key,
        count(*) over (partition by t.source, t.owner, t.meter) as repeat_count
    from window_twins as t
    left anti join backfilled as b on b.back_source = t.source and b.back_id = t.usage_id
),

owners as (
    select source as owner_source, owner as owner_key, meter as owner_meter, count(distinct usage_date) as repeat_days
    from window_twins
    group by source, owner, meter
),

-- The whole traffic of the owners that have twins.
traffic as (
    select
        source, usage_date, meter, occurred_at, quantity,
        case
            when item_id is not null then concat('i:', item_id)
            when subscription_id is not null then concat('s:', subscription_id)
            else concat('c:', customer_id)
        end as owner
    from usage_records
    where usage_date >= cast($window_start as date)
        and usage_date <= cast($window_end as date)
        and occurred_at >= $window_start
        and occurred_at < $window_end
        and coalesce(status, '') not in ('voided', 'error')
        and quantity <> 0
),

moments as (
    select
        t.source, t.owner, t.meter, t.usage_date, t.occurred_at, t.quantity, max(o.repeat_days) as repeat_days,
        cast(count(*) as double) as copies
    from owners as o
    join traffic as t on o.owner_source = t.source and o.owner_key = t.owner and o.owner_meter = t.meter
    group by t.source, t.owner, t.meter, t.usage_date, t.occurred_at, t.quantity
),

paired as (
    select
        source, owner, meter, usage_date, occurred_at, repeat_days, copies,
        cast(count(*) over (partition by source, owner, meter, occurred_at) as double) - 1 as others_at_once,
        cast(count(*) over (partition by source, owner, meter, quantity) as double) - 1 as others_alike,
        sum(copies) over (partition by source, owner, meter, usage_date) - 1 as others_that_day
    from moments
),

likeness as (
    select
        source, owner, meter,
        max(repeat_days) as repeat_days,
        count(distinct usage_date) as days,
        sum(copies) as records,
        sum(copies * others_that_day) / 2 as day_pairs,
        sum(others_at_once) / 2 as burst_pairs,
        case
            when count(*) > 1 then sum(others_alike) / (cast(count(*) as double) * (cast(count(*) as double) - 1))
            else cast(0 as double)
        end as alike,
        bool_and(cast(occurred_at as bigint) % 1000000 = 0) as is_whole_seconds
    from paired
    group by source, owner, meter
),

expected as (
    select
        source as traffic_source, owner as traffic_owner, meter as traffic_meter, repeat_days, days, records, alike,
        greatest(
            case when is_whole_seconds then day_pairs * alike / 86400 else cast(0 as double) end,
            case when alike < 1 then burst_pairs * alike / (1 - alike) end
        ) as by_chance
    from likeness
)

select
    r.source,
    'usage_record' as entity_type,
    r.usage_id as entity_id,
    r.customer_id,
    r.subscription_id,
    r.item_id,
    r.invoice_line_id,
    r.meter,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    r.occurred_at as period_start,
    r.occurred_at + interval '1 microsecond' as period_end,
    r.status as entity_status,
    cast(0 as decimal(38, 12)) as expected,
    r.quantity as actual,
    r.unit,
    'same_usage_new_key' as reason,
    case when r.idempotency_key is null then 'repeat_without_key' else 'repeat_under_new_key' end as explanation,
    'integration' as root_cause,
    r.occurred_at,
    r.recorded_at,
    r.idempotency_key,
    r.occurrence,
    r.original_usage_id,
    r.original_recorded_at,
    r.original_key,
    cast(r.repeat_count as bigint) as repeat_count,
    round(cast(r.repeat_count as double) / e.records, 4) as repeat_share,
    round(e.by_chance, 4) as expected_by_chance
from repeats as r
join expected as e
    on e.traffic_source = r.source and e.traffic_owner = r.owner and e.traffic_meter = r.meter
where r.repeat_count >= $min_records
    and cast(r.repeat_count as double) / e.records >= cast($min_share as double)
    -- Of as many as chance makes once in a thousand owners, or more.
    and case
        when e.by_chance <= 0.0005 then true
        when e.by_chance <= 0.03 then r.repeat_count >= 2
        when e.by_chance <= 0.14 then r.repeat_count >= 3
        else cast(r.repeat_count as double) >= e.by_chance + 4 * sqrt(e.by_chance) + 3
    end
    -- Records of one quantity that come in twins on most days are parallel resources, not an error.
    and not (e.alike >= 0.999 and 2 * e.repeat_days > e.days and e.days > 2)
