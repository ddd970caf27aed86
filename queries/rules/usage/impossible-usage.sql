-- Usage records that cannot be true: they end before they begin or after they arrived, claim more time than passed, lie
-- above the bound that is set, or dwarf all that the item and the meter ever had.
-- Records with an end are read one by one; for the others the roll-up names the days.
with counted as (
    select
        source, usage_id, usage_date, customer_id, subscription_id, item_id, meter, quantity, unit, status,
        invoice_line_id, occurred_at, ended_at, recorded_at
    from usage_records
    where usage_date >= cast($window_start as date)
        and usage_date <= cast($window_end as date)
        and occurred_at >= $window_start
        and occurred_at < $window_end
        and coalesce(status, '') not in ('voided', 'error')
),

meter_units as (
    select source as unit_source, meter as unit_meter, lower(max(unit)) as meter_unit
    from meters
    group by source, meter
),

timed as (
    select
        c.source, c.usage_id, c.meter, c.occurred_at, c.ended_at, c.recorded_at,
        cast(cast(c.ended_at as bigint) - cast(c.occurred_at as bigint) as double) / 1000000 as elapsed_seconds,
        cast(c.quantity as double) * case
            when coalesce(lower(c.unit), m.meter_unit) in ('ms', 'millisecond', 'milliseconds') then 0.001
            when coalesce(lower(c.unit), m.meter_unit) in ('s', 'sec', 'second', 'seconds') then 1
            when coalesce(lower(c.unit), m.meter_unit) in ('min', 'minute', 'minutes') then 60
            when coalesce(lower(c.unit), m.meter_unit) in ('h', 'hour', 'hours') then 3600
            when coalesce(lower(c.unit), m.meter_unit) in ('d', 'day', 'days') then 86400
        end as claimed_seconds
    from counted as c
    left join meter_units as m on m.unit_source = c.source and m.unit_meter = c.meter
    where c.ended_at is not null
),

-- Where the records of a meter claim more than the time that passed as a rule, several things run side by side.
timekeeping as (
    select source as keep_source, meter as keep_meter
    from timed
    where claimed_seconds is not null and elapsed_seconds >= 0
    group by source, meter
    having count(*) >= 20
        and cast(count(*) filter (where claimed_seconds <= elapsed_seconds * 1.01 + 1) as double)
            >= 0.9 * cast(count(*) as double)
),

mistimed as (
    select
        t.source as wrong_source, t.usage_id as wrong_id,
        case
            when t.ended_at < t.occurred_at then 'ends_before_it_begins'
            when t.ended_at > t.recorded_at + interval '5 minutes' then 'ends_after_it_arrived'
            when k.keep_meter is not null and t.claimed_seconds > t.elapsed_seconds * 1.01 + 1
                then 'longer_than_elapsed'
        end as explanation,
        case
            when t.ended_at >= t.occurred_at then cast(t.elapsed_seconds as decimal(38, 12))
        end as bound_seconds
    from timed as t
    left join timekeeping as k on k.keep_source = t.source and k.keep_meter = t.meter
),

slips as (
    select distinct
        source as slip_source, meter as slip_meter, coalesce(item_id, subscription_id, customer_id) as slip_owner
    from unit_slips
),

-- The largest record of every day, by owner.
peaks as (
    select
        source, meter, coalesce(item_id, subscription_id, customer_id) as owner, usage_date,
        max(quantity_max) as peak
    from usage_daily
    where usage_date >= cast($window_end - interval '98 days' as date)
        and usage_date <= cast($window_end as date)
        and meter is not null
        and coalesce(item_id, subscription_id, customer_id) is not null
    group by source, meter, coalesce(item_id, subscription_id, customer_id), usage_date
),

sorted as (
    select source, meter, owner, count(*) as days, max(peak) as largest, array_sort(array_agg(peak)) as daily_peaks
    from peaks
    group by source, meter, owner
),

habits as (
    select
        source, meter, owner, days, largest,
        -- Nineteen in twenty days stay at or below this.
        daily_peaks[cast(ceil(cast(days as double) * 0.95) as bigint)] as usual_peak
    from sorted
),

bounds as (
    select
        source, meter, owner, days, largest, usual_peak,
        days >= 14
            and usual_peak > 0
            and cast(largest as double) > cast($factor as double) * cast(usual_peak as double) as is_suspect
    from habits
),

-- What everyone else of the meter reaches; of the suspects only what they usually do, and of those who slipped into
-- another unit nothing.
meter_bounds as (
    select
        b.source, b.meter, b.owner, b.usual_peak, b.is_suspect,
        max(
            case when b.is_suspect then b.usual_peak when f.slip_owner is null then b.largest end
        ) over (partition by b.source, b.meter) as meter_peak
    from bounds as b
    left join slips as f on f.slip_source = b.source and f.slip_meter = b.meter and f.slip_owner = b.owner
),

suspects as (
    select
        source as suspect_source, meter as suspect_meter, owner as suspect_owner,
        greatest(cast(usual_peak * cast($factor as decimal(18, 6)) as decimal(38, 12)), meter_peak) as bound
    from meter_bounds
    where is_suspect
),

dwarfing as (
    select
        c.source as wrong_source, c.usage_id as wrong_id, c.meter,
        coalesce(c.item_id, c.subscription_id, c.customer_id) as owner,
        'dwarfs_all_others' as explanation,
        s.bound
    from suspects as s
    join counted as c
        on s.suspect_source = c.source
        and s.suspect_meter = c.meter
        and s.suspect_owner = coalesce(c.item_id, c.subscription_id, c.customer_id)
    where c.quantity > s.bound
    union all
    select
        source as wrong_source, usage_id as wrong_id, meter,
        coalesce(item_id, subscription_id, customer_id) as owner,
        'above_bound' as explanation,
        cast($max_quantity as decimal(38, 12)) as bound
    from counted
    where $max_quantity > 0
        and quantity > $max_quantity
        and ($meter = '' or meter = $meter)
),

outsized as (
    select d.wrong_source, d.wrong_id, d.explanation, d.bound
    from dwarfing as d
    left anti join slips as f
        on f.slip_source = d.wrong_source
        and f.slip_meter = d.meter
        and f.slip_owner = d.owner
),

wrong as (
    select wrong_source, wrong_id, explanation, bound_seconds, cast(null as decimal(38, 12)) as bound
    from mistimed
    where explanation is not null
    union all
    select wrong_source, wrong_id, explanation, cast(null as decimal(38, 12)) as bound_seconds, bound
    from outsized
),

once as (
    select
        wrong_source, wrong_id, min(explanation) as explanation, max(bound_seconds) as bound_seconds,
        min(bound) as bound
    from wrong
    group by wrong_source, wrong_id
)

select
    c.source,
    'usage_record' as entity_type,
    c.usage_id as entity_id,
    c.customer_id,
    c.subscription_id,
    c.item_id,
    c.invoice_line_id,
    c.meter,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    c.occurred_at as period_start,
    c.occurred_at + interval '1 microsecond' as period_end,
    c.status as entity_status,
    -- The most that could be true, where that is known.
    o.bound as expected,
    c.quantity as actual,
    coalesce(c.unit, m.meter_unit) as unit,
    'impossible_value' as reason,
    o.explanation,
    'data_quality' as root_cause,
    case when o.explanation in ('dwarfs_all_others', 'above_bound') then 'critical' end as severity,
    c.occurred_at,
    c.ended_at,
    c.recorded_at,
    o.bound_seconds as elapsed_seconds
from once as o
join counted as c on c.source = o.wrong_source and c.usage_id = o.wrong_id
left join meter_units as m on m.unit_source = c.source and m.unit_meter = c.meter
-- A repeat is not counted, and duplicate-usage already reports it.
left anti join usage_duplicates as r on r.source = c.source and r.usage_id = c.usage_id
