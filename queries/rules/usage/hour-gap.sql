-- Hours of the day (UTC) that are empty day after day between busy ones: what an export cursor that skips a part of the
-- day leaves behind. Judged for the source, for each meter and for each busy item or owner; what the whole source or
-- meter lacks is not said again of its items. A gap is short, the only one of the day, and has sharp edges; a night has
-- slopes, and a timetable has other hours off too.
-- Hours at the edge of the UTC day, where such cursors lose most, are judged by the first and last moment of each day of
-- the roll-up as well: a week and more without any usage in hours that were used before, which chance does not make, and
-- with fewer records a day. Usage that moved to other hours, or by an hour with the clocks, has lost nothing.
with busy as (
    select
        source as busy_source,
        meter as busy_meter,
        coalesce(item_id, subscription_id, customer_id) as busy_owner
    from usage_daily
    where usage_date >= cast($window_start + interval '1 day' - interval '1 microsecond' as date)
        and usage_date < cast($window_end as date)
        and meter is not null
        and coalesce(item_id, subscription_id, customer_id) is not null
    group by source, meter, coalesce(item_id, subscription_id, customer_id)
    having sum(record_count) >= $min_records
),

records as (
    select
        source, meter, usage_date, coalesce(item_id, subscription_id, customer_id) as owner,
        (cast(occurred_at as bigint) / 3600000000) % 24 as hour
    from usage_records
    where usage_date >= cast($window_start + interval '1 day' - interval '1 microsecond' as date)
        and usage_date < cast($window_end as date)
        and usage_date >= date '1970-01-02'
        and meter is not null
        and coalesce(status, '') not in ('voided', 'error')
),

hours as (
    select r.source, r.meter, b.busy_owner as owner, r.usage_date, r.hour, count(*) as records
    from busy as b
    right join records as r on b.busy_source = r.source and b.busy_meter = r.meter and b.busy_owner = r.owner
    group by r.source, r.meter, b.busy_owner, r.usage_date, r.hour
),

levels as (
    select source, 'source' as scope, '' as meter, '' as owner, usage_date, hour, sum(records) as records
    from hours
    group by source, usage_date, hour
    union all
    select source, 'meter' as scope, meter, '' as owner, usage_date, hour, sum(records) as records
    from hours
    group by source, meter, usage_date, hour
    union all
    select source, 'owner' as scope, meter, owner, usage_date, hour, sum(records) as records
    from hours
    where owner is not null
    group by source, meter, owner, usage_date, hour
),

by_hour as (
    select
        source, scope, meter, owner, hour,
        cast(sum(records) as double) as records,
        cast(count(*) as double) as used_days
    from levels
    group by source, scope, meter, owner, hour
),

lives as (
    select
        source, scope, meter, owner,
        cast(count(distinct usage_date) as double) as days,
        cast(sum(records) as double) as records
    from levels
    group by source, scope, meter, owner
    having count(distinct usage_date) >= 7 and sum(records) >= $min_records
),

dense as (
    select
        l.source, l.scope, l.meter, l.owner, l.days, g.hour,
        coalesce(h.records, cast(0 as double)) as records,
        coalesce(h.used_days, cast(0 as double)) / l.days as used_share
    from lives as l
    cross join (select value as hour from generate_series(0, 23)) as g
    left join by_hour as h
        on h.source = l.source and h.scope = l.scope and h.meter = l.meter and h.owner = l.owner and h.hour = g.hour
),

-- The day is a circle: midnight follows 23 o'clock.
marked as (
    select
        source, scope, meter, owner, days, hour, records,
        used_share <= 1.000001 - cast($empty_share as double) as is_empty,
        used_share >= cast($empty_share as double) as is_busy,
        coalesce(
            lag(used_share) over clock,
            last_value(used_share) over whole
        ) <= 1.000001 - cast($empty_share as double) as is_empty_before,
        coalesce(lag(records) over clock, last_value(records) over whole) as records_before,
        coalesce(lag(used_share) over clock, last_value(used_share) over whole) as share_before,
        coalesce(lead(records) over clock, first_value(records) over whole) as records_after,
        coalesce(lead(used_share) over clock, first_value(used_share) over whole) as share_after
    from dense
    window
        clock as (partition by source, scope, meter, owner order by hour),
        whole as (
            partition by source, scope, meter, owner order by hour
            rows between unbounded preceding and unbounded following
        )
),

judged as (
    select
        source, scope, meter, owner,
        max(days) as days,
        count(*) filter (where is_empty) as gap_hours,
        count(*) filter (where is_busy) as busy_hours,
        count(*) filter (where is_empty and not is_empty_before) as gaps,
        max(case when is_empty and not is_empty_before then hour end) as first_hour,
        max(case when is_empty and share_after > 1.000001 - cast($empty_share as double) then hour end) as last_hour,
        coalesce(sum(records) filter (where is_empty), cast(0 as double)) as gap_records,
        median(records) filter (where is_busy) as busy_records,
        min(case when is_empty and not is_empty_before then records_before end) as edge_before,
        min(
            case when is_empty and share_after > 1.000001 - cast($empty_share as double) then records_after end
        ) as edge_after,
        min(case when is_empty and not is_empty_before then share_before end) as edge_share_before,
        min(
            case when is_empty and share_after > 1.000001 - cast($empty_share as double) then share_after end
        ) as edge_share_after
    from marked
    group by source, scope, meter, owner
),

found as (
    select
        source, scope, meter, owner, days, gap_hours, first_hour, last_hour, gap_records, busy_records,
        edge_before, edge_after,
        (edge_before + edge_after) / 2 * cast(gap_hours as double) as usual_records
    from judged
    where gaps = 1
        and gap_hours <= $max_hours
        and busy_hours >= 20 - gap_hours
        and edge_share_before >= 0.75 * cast($empty_share as double)
        and edge_share_after >= 0.75 * cast($empty_share as double)
        and least(edge_before, edge_after) >= busy_records / 2
        and gap_records <= (edge_before + edge_after) / 2 * cast(gap_hours as double)
            * (1.000001 - cast($empty_share as double))
        and (edge_before + edge_after) / 2 * cast(gap_hours as double) >= 12
        -- One record an hour may be a timetable: of a single owner only a short break in it is a gap.
        and (scope <> 'owner' or gap_hours <= 4 or busy_records >= 3 * days)
),

meter_owners as (
    select
        source as own_source, meter as own_meter,
        count(distinct coalesce(item_id, subscription_id, customer_id)) as owners
    from usage_daily
    where usage_date >= cast($window_start as date) and usage_date < cast($window_end as date) and meter is not null
    group by source, meter
),

source_gaps as (
    select source as gap_source from found where scope = 'source'
),

meter_gaps as (
    select f.source, f.meter, f.days, f.gap_hours, f.first_hour, f.last_hour, f.gap_records, f.usual_records, o.owners
    from found as f
    join meter_owners as o on o.own_source = f.source and o.own_meter = f.meter
    where f.scope = 'meter'
),

-- A meter of one or two owners lacks what they lack.
shared_gaps as (
    select
        m.source, m.meter, m.days, m.gap_hours, m.first_hour, m.last_hour, m.gap_records, m.usual_records, m.owners,
        s.gap_source is not null as is_whole_source
    from meter_gaps as m
    left join source_gaps as s on s.gap_source = m.source
    where m.owners >= 3
),

shared_meters as (
    select source as shared_source, meter as shared_meter from shared_gaps
),

owner_gaps as (
    select f.source, f.meter, f.owner, f.days, f.gap_hours, f.first_hour, f.last_hour, f.gap_records, f.usual_records
    from found as f
    left anti join shared_meters as s on s.shared_source = f.source and s.shared_meter = f.meter
    where f.scope = 'owner'
),

owner_ids as (
    select
        source as id_source, meter as id_meter, coalesce(item_id, subscription_id, customer_id) as id_owner,
        max(item_id) as item_id, max(subscription_id) as subscription_id, max(customer_id) as customer_id
    from usage_daily
    where usage_date >= cast($window_start as date) and usage_date < cast($window_end as date)
    group by source, meter, coalesce(item_id, subscription_id, customer_id)
),

-- The first and the last hour with usage of every day of the last seven weeks.
edge_days as (
    select
        source, meter, coalesce(item_id, subscription_id, customer_id) as owner,
        cast(cast($window_end as date) as int) - 1 - cast(usage_date as int) as age,
        min((cast(first_occurred_at as bigint) / 3600000000) % 24) as first_hour,
        max((cast(last_occurred_at as bigint) / 3600000000) % 24) as last_hour,
        cast(sum(record_count) as double) as records
    from usage_daily
    where usage_date >= cast($window_end - interval '49 days' as date)
        and usage_date < cast($window_end as date)
        and meter is not null
        and coalesce(item_id, subscription_id, customer_id) is not null
        and record_count > 0
    group by source, meter, coalesce(item_id, subscription_id, customer_id), usage_date
),

-- One to five weeks: the hours at the edges of the day that were not used in them.
recent_edges as (
    select
        d.source as edge_source, d.meter as edge_meter, d.owner as edge_owner, c.value as recent_days,
        cast(count(*) as double) as used_days,
        sum(d.records) as records,
        min(d.first_hour) as day_begins,
        max(d.last_hour) as day_ends
    from edge_days as d
    cross join generate_series(7, 35, 7) as c
    where d.age < c.value
    group by d.source, d.meter, d.owner, c.value
    having min(d.first_hour) + 23 - max(d.last_hour) between 2 and $max_hours
),

-- How often these hours were used before.
past_edges as (
    select
        r.edge_source, r.edge_meter, r.edge_owner, r.recent_days, r.used_days, r.records, r.day_begins, r.day_ends,
        cast(count(*) as double) as past_days,
        sum(d.records) as past_records,
        cast(count(*) filter (where d.first_hour < r.day_begins or d.last_hour > r.day_ends) as double) as touched_days,
        count(distinct d.age / 7) as past_weeks,
        count(distinct case when d.first_hour < r.day_begins or d.last_hour > r.day_ends then d.age / 7 end)
            as touched_weeks,
        min(d.age) filter (where d.first_hour < r.day_begins or d.last_hour > r.day_ends) as last_touched_age
    from recent_edges as r
    join edge_days as d on d.source = r.edge_source and d.meter = r.edge_meter and d.owner = r.edge_owner
    where d.age >= r.recent_days
    group by
        r.edge_source, r.edge_meter, r.edge_owner, r.recent_days, r.used_days, r.records, r.day_begins, r.day_ends
),

-- A day that leaves the hours out is as likely as it was before; the more days, the less they all do by chance.
lost_edges as (
    select
        edge_source, edge_meter, edge_owner, used_days, records, day_begins, day_ends, past_days, past_records,
        last_touched_age,
        used_days * past_records / past_days - records as lost_records,
        power((past_days - touched_days + 1) / (past_days + 1), used_days) as chance
    from past_edges
    where past_days >= 14
        and touched_weeks = past_weeks
        and records / used_days <= past_records / past_days - 0.5 * touched_days / past_days
    qualify row_number() over (
        partition by edge_source, edge_meter, edge_owner
        order by power((past_days - touched_days + 1) / (past_days + 1), used_days), recent_days desc
    ) = 1
),

judged_owners as (
    select owned_source, owned_meter, count(*) as owners
    from (
        select source as owned_source, meter as owned_meter, owner
        from edge_days
        group by source, meter, owner
        having count(*) filter (where age < 7) > 0 and count(*) >= 21
    )
    group by owned_source, owned_meter
),

-- What the records of the busy show is not said again.
edge_gaps as (
    select
        e.edge_source, e.edge_meter, e.edge_owner, e.used_days, e.day_begins, e.day_ends, e.last_touched_age,
        e.lost_records,
        2 * count(*) over (partition by e.edge_source, e.edge_meter) >= o.owners
            and count(*) over (partition by e.edge_source, e.edge_meter) >= 3 as is_shared
    from lost_edges as e
    join judged_owners as o on o.owned_source = e.edge_source and o.owned_meter = e.edge_meter
    left anti join shared_meters as s on s.shared_source = e.edge_source and s.shared_meter = e.edge_meter
    left anti join owner_gaps as g on g.source = e.edge_source and g.meter = e.edge_meter and g.owner = e.edge_owner
    where e.chance <= cast($max_chance as double)
),

shared_edges as (
    select
        edge_source, edge_meter,
        max(used_days) as used_days, min(day_begins) as day_begins, max(day_ends) as day_ends,
        max(last_touched_age) as last_touched_age, sum(lost_records) as lost_records
    from edge_gaps
    where is_shared
    group by edge_source, edge_meter
),

all_gaps as (
    select
        source, 'meter' as entity_type, meter as entity_id, cast(null as varchar) as item_id,
        cast(null as varchar) as subscription_id, cast(null as varchar) as customer_id, meter,
        case when is_whole_source then 'source_hours_missing' else 'meter_hours_missing' end as explanation,
        case when is_whole_source then source else meter end as subject,
        days, gap_hours, first_hour, last_hour, gap_records, usual_records, cast(null as bigint) as last_touched_age
    from shared_gaps
    union all
    select
        g.source,
        case
            when i.item_id is not null then 'subscription_item'
            when i.subscription_id is not null then 'subscription'
            else 'customer'
        end as entity_type,
        g.owner as entity_id, i.item_id, i.subscription_id, i.customer_id, g.meter,
        'item_hours_missing' as explanation,
        g.owner as subject,
        g.days, g.gap_hours, g.first_hour, g.last_hour, g.gap_records, g.usual_records,
        cast(null as bigint) as last_touched_age
    from owner_gaps as g
    join owner_ids as i on i.id_source = g.source and i.id_meter = g.meter and i.id_owner = g.owner
    union all
    select
        edge_source as source, 'meter' as entity_type, edge_meter as entity_id, cast(null as varchar) as item_id,
        cast(null as varchar) as subscription_id, cast(null as varchar) as customer_id, edge_meter as meter,
        'meter_hours_missing' as explanation, edge_meter as subject, used_days as days,
        day_begins + 23 - day_ends as gap_hours, (day_ends + 1) % 24 as first_hour, (day_begins + 23) % 24 as last_hour,
        cast(0 as double) as gap_records, lost_records as usual_records, last_touched_age
    from shared_edges
    union all
    select
        e.edge_source as source,
        case
            when i.item_id is not null then 'subscription_item'
            when i.subscription_id is not null then 'subscription'
            else 'customer'
        end as entity_type,
        e.edge_owner as entity_id, i.item_id, i.subscription_id, i.customer_id, e.edge_meter as meter,
        'item_hours_missing' as explanation, e.edge_owner as subject, e.used_days as days,
        e.day_begins + 23 - e.day_ends as gap_hours, (e.day_ends + 1) % 24 as first_hour,
        (e.day_begins + 23) % 24 as last_hour,
        cast(0 as double) as gap_records, e.lost_records as usual_records, e.last_touched_age
    from edge_gaps as e
    join owner_ids as i on i.id_source = e.edge_source and i.id_meter = e.edge_meter and i.id_owner = e.edge_owner
    where not e.is_shared
)

select
    source,
    entity_type,
    entity_id,
    customer_id,
    subscription_id,
    item_id,
    meter,
    arrow_cast(
        coalesce(
            cast(cast(cast($window_end as date) as int) - last_touched_age as date),
            cast($window_start + interval '1 day' - interval '1 microsecond' as date)
        ),
        'Timestamp(Microsecond, Some("UTC"))'
    ) as period_start,
    arrow_cast(cast($window_end as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
    cast(usual_records as decimal(38, 12)) as expected,
    cast(gap_records as decimal(38, 12)) as actual,
    'record' as unit,
    'hours_missing' as reason,
    explanation,
    'engine_defect' as root_cause,
    case when explanation = 'item_hours_missing' then null else 'critical' end as severity,
    subject,
    cast(first_hour as bigint) as first_hour,
    cast(last_hour as bigint) as last_hour,
    cast(gap_hours as bigint) as gap_hours,
    cast(days as bigint) as judged_days
from all_gaps
