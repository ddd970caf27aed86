-- Days without usage inside an active stretch of an item that uses its meter every day, or on each of its weekdays.
-- A gap counts when chance does not explain it: from how many records a day has, how much their number scatters, and
-- how often the item paused before the window. Days of a silent meter or of a source that lost records are left to
-- meter-silent and source-coverage, days whose usage another customer's item gained to misattributed-usage, and days
-- whose records are there, refused or under an impossible date, to rejected-usage and misdated-usage. The last whole day is never judged: what follows a gap shows that it is one. Days are numbered from 1970-01-01 (UTC).
with day_bounds as (
  select
    cast(cast($window_start as date) as int) as first_day,
    cast(cast($window_end as date) as int) - 1 as last_day
),

regular as (
  select
    h.source, h.series, h.meter, h.item_id, h.subscription_id, h.customer_id, h.last_day, h.first_age, h.last_age,
    h.weeks,
    cast(h.records as double) / cast(h.used_days as double) as records_a_day,
    greatest(
      h.record_squares / cast(h.used_days as double)
        - power(cast(h.records as double) / cast(h.used_days as double), 2),
      cast(0 as double)
    ) / (cast(h.records as double) / cast(h.used_days as double)) as dispersion
  from usage_history as h
  join usage_levels as l on l.source = h.source and l.series = h.series and l.meter = h.meter
  where not l.is_irregular
    and h.first_age >= 28
    and h.records > 0
),

-- Weekdays that are never used do not interrupt anything; the others are numbered through.
weekdays as (
  select
    source, series, meter, item_id, subscription_id, customer_id, last_day, first_age, last_age, records_a_day,
    dispersion, weeks, weekday,
    count(*) over (partition by source, series, meter) as used_weekdays,
    row_number() over (partition by source, series, meter order by weekday) as place
  from (
    select
      source, series, meter, item_id, subscription_id, customer_id, last_day, first_age, last_age, records_a_day,
      dispersion, unnest(weeks) as weeks, unnest(range(0, 7)) as weekday
    from regular
  )
  where array_max(weeks) > 0
),

empty as (
  select
    source, series, meter, item_id, subscription_id, customer_id, records_a_day, dispersion, used_weekdays,
    last_day as last_whole_day, first_age, last_day - weekday - 7 * week as day, week * used_weekdays + place as number
  from (
    select
      source, series, meter, item_id, subscription_id, customer_id, last_day, first_age, last_age, records_a_day,
      dispersion, weekday, used_weekdays, place, unnest(weeks) as quantity, unnest(range(0, 14)) as week
    from weekdays
    where array_position(weeks, cast(0 as decimal(38, 12))) is not null
  )
  where quantity = 0
    and weekday + 7 * week between last_age and first_age
),

-- Empty days in a row keep the same distance between their number and their row number.
numbered as (
  select
    e.source, e.series, e.meter, e.item_id, e.subscription_id, e.customer_id, e.day, e.records_a_day, e.dispersion,
    b.first_day, b.last_day,
    cast(
      count(*) filter (where e.day < b.first_day) over (partition by e.source, e.series, e.meter) as double
    ) as pauses_before,
    cast((e.first_age - (e.last_whole_day - b.first_day)) * e.used_weekdays as double) / 7 as days_before,
    e.number - row_number() over (partition by e.source, e.series, e.meter order by e.number) as run
  from empty as e
  cross join day_bounds as b
),

gaps as (
  select
    source, series, meter, run,
    max(item_id) as item_id,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id,
    min(day) as first_empty_day,
    max(day) as last_empty_day,
    count(*) as empty_days,
    max(records_a_day) as records_a_day,
    max(dispersion) as dispersion,
    -- The days of the gap itself are no earlier pause.
    max(pauses_before) - cast(count(*) filter (where day < first_day) as double) as pauses_before,
    max(days_before) as days_before
  from numbered
  where day <= last_day
  group by source, series, meter, run
  -- A gap is judged as a whole as long as the window has its last day.
  having max(day) >= max(first_day)
),

-- How likely such a gap is somewhere in the window, were it chance.
likely as (
  select
    source, series, meter, item_id, subscription_id, customer_id, first_empty_day, last_empty_day, empty_days,
    records_a_day,
    power(
      greatest(
        -- A number of records that hardly varies follows a schedule; otherwise few records may be none.
        case
          when dispersion <= 0.3 then cast(0 as double)
          else exp(-records_a_day / greatest(dispersion, cast(1 as double)))
        end,
        pauses_before / greatest(days_before, cast(1 as double)),
        cast(0.00001 as double)
      ),
      cast(empty_days as double)
    ) * 45 as chance,
    count(*) over (partition by source, series, meter) as gap_count
  from gaps
  where days_before >= 10
),

silent as (
  select source as silent_source, meter as silent_meter, day as silent_day from silent_meters
),

losses as (
  select distinct source as loss_source, meter as loss_meter, day as loss_day from source_losses
),

moved as (
  select source as moved_source, from_series as moved_series, meter as moved_meter, day as moved_day from mirrored_days
),

empty_days as (
  select
    l.source, l.series, l.meter, l.item_id, l.subscription_id, l.customer_id, l.first_empty_day, l.last_empty_day,
    l.empty_days, l.records_a_day, l.chance, d.day, d.baseline
  from likely as l
  join usage_days as d
    on d.source = l.source
    and d.series = l.series
    and d.meter = l.meter
    and d.day >= l.first_empty_day
    and d.day <= l.last_empty_day
  where l.chance <= cast($max_chance as double)
    and l.gap_count <= 4
    and d.baseline > 0
),

-- Records that are there and do not count, or not on their day. Received on the day they belong to, as far as is known.
refused as (
  select distinct
    source as refused_source,
    case
      when item_id is not null then concat('i:', item_id)
      when subscription_id is not null then concat('s:', subscription_id)
      else concat('c:', customer_id)
    end as refused_series,
    meter as refused_meter,
    cast(usage_date as int) as refused_day
  from usage_records
  where usage_date >= cast($window_start - interval '7 days' as date)
    and usage_date < cast($window_end as date)
    and status = 'error'
),

misdated_records as (
  select source, item_id, subscription_id, customer_id, meter, recorded_at
  from usage_records
  where usage_date > cast($window_end + interval '2 days' as date)
  union all
  select source, item_id, subscription_id, customer_id, meter, recorded_at
  from usage_records
  where usage_date < cast($window_start - interval '400 days' as date)
),

misdated as (
  select distinct
    source as misdated_source,
    case
      when item_id is not null then concat('i:', item_id)
      when subscription_id is not null then concat('s:', subscription_id)
      else concat('c:', customer_id)
    end as misdated_series,
    meter as misdated_meter,
    cast(cast(recorded_at as date) as int) as misdated_day
  from misdated_records
  where recorded_at >= $window_start - interval '7 days' and recorded_at < $window_end
),

own_days as (
  select
    e.source, e.series, e.meter, e.item_id, e.subscription_id, e.customer_id, e.first_empty_day, e.day,
    e.records_a_day, e.chance, e.baseline
  from empty_days as e
  left anti join silent as s on s.silent_source = e.source and s.silent_meter = e.meter and s.silent_day = e.day
  left anti join losses as o on o.loss_source = e.source and o.loss_meter = e.meter and o.loss_day = e.day
  left anti join moved as m
    on m.moved_source = e.source and m.moved_series = e.series and m.moved_meter = e.meter and m.moved_day = e.day
  left anti join refused as r
    on r.refused_source = e.source and r.refused_series = e.series and r.refused_meter = e.meter
    and r.refused_day = e.day
  left anti join misdated as d
    on d.misdated_source = e.source and d.misdated_series = e.series and d.misdated_meter = e.meter
    and d.misdated_day = e.day
),

found as (
  select
    source, series, meter, item_id, subscription_id, customer_id, records_a_day, chance,
    min(day) as first_empty_day,
    max(day) as last_empty_day,
    count(*) as empty_days,
    cast(sum(cast(baseline as decimal(76, 12))) as decimal(38, 12)) as usual
  from own_days
  group by source, series, meter, item_id, subscription_id, customer_id, first_empty_day, records_a_day, chance
),

item_lives as (
  select
    source as item_source, item_id as item, subscription_id as item_subscription_id,
    customer_id as item_customer_id, price_id, unit as item_unit, subscription_status, effective_from, effective_to,
    ended_at
  from item_terms
),

meter_units as (
  select source as unit_source, meter as unit_meter, unit as meter_unit from meters
),

shared as (
  select
    f.source, f.series, f.meter, f.item_id, f.first_empty_day, f.last_empty_day, f.empty_days, f.records_a_day,
    f.chance, f.usual, i.price_id, i.subscription_status,
    coalesce(i.item_subscription_id, f.subscription_id) as subscription_id,
    coalesce(i.item_customer_id, f.customer_id) as customer_id,
    coalesce(i.item_unit, m.meter_unit) as unit,
    count(*) over (partition by f.source, f.meter, f.first_empty_day) as items_that_day
  from found as f
  left join item_lives as i on i.item_source = f.source and i.item = f.item_id
  left join meter_units as m on m.unit_source = f.source and m.unit_meter = f.meter
  where (i.effective_from is null or cast(cast(i.effective_from as date) as int) < f.first_empty_day)
    and (i.effective_to is null or cast(cast(i.effective_to as date) as int) > f.last_empty_day)
    and (i.ended_at is null or cast(cast(i.ended_at as date) as int) > f.last_empty_day)
)

select
  source,
  case
    when item_id is not null then 'subscription_item'
    when subscription_id is not null then 'subscription'
    else 'customer'
  end as entity_type,
  coalesce(item_id, subscription_id, customer_id) as entity_id,
  customer_id,
  subscription_id,
  item_id,
  price_id,
  meter,
  arrow_cast(cast(first_empty_day as date), 'Timestamp(Microsecond, Some("UTC"))') as period_start,
  arrow_cast(cast(last_empty_day + 1 as date), 'Timestamp(Microsecond, Some("UTC"))') as period_end,
  subscription_status as entity_status,
  usual as expected,
  cast(0 as decimal(38, 12)) as actual,
  unit,
  'days_missing' as reason,
  case when items_that_day >= 3 then 'gap_of_many_items' else 'gap_of_item' end as explanation,
  'integration' as root_cause,
  -- What one signal is about: the day on which many items broke off, or the one item.
  case when items_that_day >= 3 then concat(meter, ' ', cast(cast(first_empty_day as date) as varchar)) else series end
    as subject,
  cast(first_empty_day as date) as first_empty_date,
  cast(last_empty_day as date) as last_empty_date,
  empty_days,
  round(records_a_day, 2) as records_a_day,
  items_that_day
from shared
