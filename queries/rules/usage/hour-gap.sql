-- Hours of the day (UTC) that are empty day after day between busy ones: what an export cursor that skips a part of the
-- day leaves behind. Judged for the source, for each meter and for each busy item or owner; what the whole source or
-- meter lacks is not said again of its items. A gap is short, the only one of the day, and has sharp edges; a night has
-- slopes, and a timetable has other hours off too.
-- Hours at the edge of the UTC day, where such cursors lose most, are judged by the first and last moment of each day of
-- the roll-up as well: a week and more without any usage in hours that were used before, which chance does not make at
-- any of all owners of the meter, and with fewer records a day. Usage that moved to other hours, or by an hour with the
-- clocks, has lost nothing.
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

-- Records are read once, and all that follows is a chain: what a query names twice is computed twice.
hours as (
    select r.source, r.meter, coalesce(b.busy_owner, '') as owner, r.usage_date, r.hour, count(*) as records
    from busy as b
    right join records as r on b.busy_source = r.source and b.busy_meter = r.meter and b.busy_owner = r.owner
    group by r.source, r.meter, coalesce(b.busy_owner, ''), r.usage_date, r.hour
),

-- A row without an hour is the whole day.
levels as (
    select
        source, coalesce(meter, '') as meter, coalesce(owner, '') as owner, usage_date, hour,
        case when grouping(meter) = 1 then 'source' when grouping(owner) = 1 then 'meter' else 'owner' end as scope,
        sum(records) as records
    from hours
    group by grouping sets (
        (source, usage_date, hour), (source, usage_date),
        (source, meter, usage_date, hour), (source, meter, usage_date),
        (source, meter, owner, usage_date, hour), (source, meter, owner, usage_date)
    )
),

by_hour as (
    select
        source, scope, meter, owner, hour,
        cast(sum(records) as double) as records,
        cast(count(*) as double) as used_days
    from levels
    where scope <> 'owner' or owner <> ''
    group by source, scope, meter, owner, hour
),

-- The three lists have one order.
lives as (
    select
        source, scope, meter, owner,
        max(used_days) filter (where hour is null) as days,
        array_agg(hour) filter (where hour is not null) as hours,
        array_agg(records) filter (where hour is not null) as hour_records,
        array_agg(used_days) filter (where hour is not null) as hour_days
    from by_hour
    group by source, scope, meter, owner
    having max(used_days) filter (where hour is null) >= 7
        and max(records) filter (where hour is null) >= $min_records
),

clock_hours as (
    select source, scope, meter, owner, days, hours, hour_records, hour_days, unnest(range(0, 24)) as hour
    from lives
),

dense as (
    select
        source, scope, meter, owner, days, hour,
        coalesce(hour_records[cast(array_position(hours, hour) as bigint)], cast(0 as double)) as records,
        coalesce(hour_days[cast(array_position(hours, hour) as bigint)], cast(0 as double)) / days as used_share
    from clock_hours
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

-- Every owner of the last seven weeks with its days: the age of each, and in one number its records and the first and
-- the last hour with usage. `begins` and `ends`: the hours in which the newest week, two weeks, and so on to five lie.
edge_rows as (
    select
        source, meter, item_id, subscription_id, customer_id, record_count, usage_date,
        coalesce(item_id, subscription_id, customer_id) as owner,
        cast(cast($window_end as date) as int) - 1 - cast(usage_date as int) as age,
        (cast(first_occurred_at as bigint) / 3600000000) % 24 as first_hour,
        (cast(last_occurred_at as bigint) / 3600000000) % 24 as last_hour
    from usage_daily
    where usage_date >= cast($window_end - interval '49 days' as date)
        and usage_date < cast($window_end as date)
        and meter is not null
        and coalesce(item_id, subscription_id, customer_id) is not null
        and record_count > 0
),

edge_owners as (
    select
        source, meter, owner,
        max(item_id) filter (where usage_date >= cast($window_start as date)) as item_id,
        max(subscription_id) filter (where usage_date >= cast($window_start as date)) as subscription_id,
        max(customer_id) filter (where usage_date >= cast($window_start as date)) as customer_id,
        min(age) as newest_age,
        array_agg(age) as ages,
        array_agg((record_count * 24 + first_hour) * 24 + last_hour) as edges,
        make_array(
            min(first_hour) filter (where age < 7),
            min(first_hour) filter (where age < 14),
            min(first_hour) filter (where age < 21),
            min(first_hour) filter (where age < 28),
            min(first_hour) filter (where age < 35)
        ) as begins,
        make_array(
            max(last_hour) filter (where age < 7),
            max(last_hour) filter (where age < 14),
            max(last_hour) filter (where age < 21),
            max(last_hour) filter (where age < 28),
            max(last_hour) filter (where age < 35)
        ) as ends
    from edge_rows
    group by source, meter, owner
),

-- How many owners of the meter can be judged: each may have lost its hours by chance.
judged_owners as (
    select
        source, meter, owner, item_id, subscription_id, customer_id, ages, edges, begins, ends,
        sum(case when newest_age < 7 and cardinality(array_distinct(ages)) >= 21 then 1 else 0 end) over (
            partition by source, meter
        ) as owners
    from edge_owners
),

-- One to five weeks: the hours at the edges of the day that were not used in them.
edge_spans as (
    select
        source, meter, owner, item_id, subscription_id, customer_id, owners, ages, edges,
        unnest(range(7, 36, 7)) as recent_days, unnest(begins) as day_begins, unnest(ends) as day_ends
    from judged_owners
),

edge_days as (
    select
        source, meter, owner, item_id, subscription_id, customer_id, owners, recent_days, day_begins, day_ends,
        unnest(ages) as age, unnest(edges) as edge
    from edge_spans
    where day_begins + 23 - day_ends between 2 and $max_hours
        and owners > 0
        and coalesce(item_id, subscription_id, customer_id) is not null
),

-- How often these hours were used before. A day may have several rows.
touched_days as (
    select
        source, meter, owner, recent_days, age,
        max(item_id) as item_id,
        max(subscription_id) as subscription_id,
        max(customer_id) as customer_id,
        max(owners) as owners,
        max(day_begins) as day_begins,
        max(day_ends) as day_ends,
        cast(sum(edge / 576) as double) as records,
        bool_or(edge / 24 % 24 < day_begins or edge % 24 > day_ends) as is_touched
    from edge_days
    group by source, meter, owner, recent_days, age
),

past_edges as (
    select
        source, meter, owner, recent_days,
        max(item_id) as item_id,
        max(subscription_id) as subscription_id,
        max(customer_id) as customer_id,
        max(owners) as owners,
        max(day_begins) as day_begins,
        max(day_ends) as day_ends,
        cast(count(*) filter (where age < recent_days) as double) as used_days,
        sum(records) filter (where age < recent_days) as records,
        cast(count(*) filter (where age >= recent_days) as double) as past_days,
        sum(records) filter (where age >= recent_days) as past_records,
        cast(count(*) filter (where is_touched) as double) as touched_days,
        bit_or(case when age >= recent_days then cast(1 as bigint) << (age / 7) else 0 end) as past_weeks,
        bit_or(case when is_touched then cast(1 as bigint) << (age / 7) else 0 end) as touched_weeks,
        min(age) filter (where is_touched) as last_touched_age
    from touched_days
    group by source, meter, owner, recent_days
),

-- Were nothing lost, the days without use of these hours could lie anywhere among all days. The chance that the newest
-- ones all are such days is a quotient of two binomial coefficients; this is an upper bound of it. It supposes only
-- that days can change places, and the same use in every week before is asked for. It counts for each span of weeks and
-- each gap at the edge of the day that could have been found instead.
chances as (
    select
        source, meter, owner, recent_days, item_id, subscription_id, customer_id, owners, used_days, records,
        day_begins, day_ends, past_days, past_records, last_touched_age,
        5 * (($max_hours + 1) * ($max_hours + 2) / 2 - 3)
            * power(
                (past_days + used_days - touched_days - (used_days - 1) / 2)
                    / (past_days + used_days - (used_days - 1) / 2),
                used_days
            ) as chance
    from past_edges
    where past_days >= 14
        and touched_weeks = past_weeks
        and records / used_days <= past_records / past_days - 0.5 * touched_days / past_days
),

lost_edges as (
    select
        source, meter, owner, item_id, subscription_id, customer_id, owners, used_days, day_begins, day_ends,
        last_touched_age, chance,
        used_days * past_records / past_days - records as lost_records
    from chances
    where chance <= cast($max_chance as double)
    qualify row_number() over (partition by source, meter, owner order by chance, recent_days desc) = 1
),

-- Whose the gaps are; of a meter (owner ''), how many use it.
owned as (
    select
        source as own_source, meter as own_meter, coalesce(owner, '') as own_owner,
        max(item_id) as item_id, max(subscription_id) as subscription_id, max(customer_id) as customer_id,
        count(owner) as users
    from (
        select
            source, meter, coalesce(item_id, subscription_id, customer_id) as owner,
            max(item_id) as item_id, max(subscription_id) as subscription_id, max(customer_id) as customer_id
        from usage_daily
        where usage_date >= cast($window_start as date)
            and usage_date < cast($window_end as date)
            and meter is not null
            and coalesce(item_id, subscription_id, customer_id) is not null
        group by source, meter, coalesce(item_id, subscription_id, customer_id)
    )
    group by grouping sets ((source, meter, owner), (source, meter))
),

candidates as (
    select
        f.source, f.scope, f.meter, f.owner, o.item_id, o.subscription_id, o.customer_id, o.users,
        f.days, f.gap_hours, f.first_hour, f.last_hour, f.gap_records, f.usual_records,
        cast(null as bigint) as owners, cast(null as double) as chance,
        cast(null as bigint) as day_begins, cast(null as bigint) as day_ends, cast(null as bigint) as last_touched_age
    from found as f
    left join owned as o on o.own_source = f.source and o.own_meter = f.meter and o.own_owner = f.owner
    union all
    select
        source, 'edge' as scope, meter, owner, item_id, subscription_id, customer_id, cast(null as bigint) as users,
        used_days as days, cast(null as bigint) as gap_hours, cast(null as bigint) as first_hour,
        cast(null as bigint) as last_hour, cast(0 as double) as gap_records, lost_records as usual_records,
        owners, chance, day_begins, day_ends, last_touched_age
    from lost_edges
),

-- A meter of one or two owners lacks what they lack.
beside as (
    select
        source, scope, meter, owner, item_id, subscription_id, customer_id, users, days, gap_hours, first_hour,
        last_hour, gap_records, usual_records, owners, chance, day_begins, day_ends, last_touched_age,
        bool_or(scope = 'source') over (partition by source) as is_whole_source,
        bool_or(scope = 'meter' and users >= 3) over (partition by source, meter) as is_whole_meter,
        bool_or(scope = 'owner') over (partition by source, meter, owner) as is_of_owner
    from candidates
),

-- What the records of the busy show is not said again of the edges.
told as (
    select
        source, scope, meter, owner, item_id, subscription_id, customer_id, days, gap_hours, first_hour, last_hour,
        gap_records, usual_records, owners, chance, day_begins, day_ends, last_touched_age, is_whole_source,
        scope = 'edge'
            and count(*) over (partition by source, meter, scope) >= 3
            and 2 * count(*) over (partition by source, meter, scope) >= owners as is_shared
    from beside
    where (scope = 'meter' and users >= 3)
        or (scope = 'owner' and not is_whole_meter)
        or (scope = 'edge' and not is_whole_meter and not is_of_owner)
),

-- What half of the owners lost is the meter's. A single one must stand out from all that were judged.
all_gaps as (
    select
        source, meter,
        case when scope = 'meter' or is_shared then '' else owner end as owner,
        max(item_id) as item_id, max(subscription_id) as subscription_id, max(customer_id) as customer_id,
        case
            when scope = 'meter' and is_whole_source then 'source_hours_missing'
            when scope = 'meter' or is_shared then 'meter_hours_missing'
            else 'item_hours_missing'
        end as explanation,
        max(days) as days,
        coalesce(max(gap_hours), min(day_begins) + 23 - max(day_ends)) as gap_hours,
        coalesce(max(first_hour), (max(day_ends) + 1) % 24) as first_hour,
        coalesce(max(last_hour), (min(day_begins) + 23) % 24) as last_hour,
        sum(gap_records) as gap_records,
        sum(usual_records) as usual_records,
        max(last_touched_age) as last_touched_age
    from told
    where scope <> 'edge' or is_shared or chance * owners <= cast($max_chance as double)
    group by
        source, meter, scope, is_whole_source, is_shared,
        case when scope = 'meter' or is_shared then '' else owner end
)

select
    source,
    case
        when owner = '' then 'meter'
        when item_id is not null then 'subscription_item'
        when subscription_id is not null then 'subscription'
        else 'customer'
    end as entity_type,
    case when owner = '' then meter else owner end as entity_id,
    case when owner <> '' then customer_id end as customer_id,
    case when owner <> '' then subscription_id end as subscription_id,
    case when owner <> '' then item_id end as item_id,
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
    case explanation
        when 'source_hours_missing' then source
        when 'meter_hours_missing' then meter
        else owner
    end as subject,
    cast(first_hour as bigint) as first_hour,
    cast(last_hour as bigint) as last_hour,
    cast(gap_hours as bigint) as gap_hours,
    cast(days as bigint) as judged_days
from all_gaps
