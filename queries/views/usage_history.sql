-- materialise
-- The usage of the last fourteen weeks, one row a series: what one item used of one meter; usage that belongs to no
-- item is the series of its subscription or customer, and usage of no one has none. One quantity a day, by what the meter counts; a day without usage
-- is 0. `weeks[1 + age % 7][1 + age / 7]` is the quantity of the day that lies `age` days before `last_day`, the last
-- whole day (UTC, numbered from 1970-01-01) six hours before the run: a list for each weekday, newest week first.
-- `is_level` tells meters of which the highest or last value counts. `first_age` and `last_age` are the oldest and the
-- newest day with a record; `records` and `record_squares` add up the days' numbers of records and their squares.
with item_aggregations as (
  select source as item_source, item_id as item, aggregation as item_aggregation
  from item_terms
),

meter_aggregations as (
  select source as meter_source, meter as meter_name, aggregation as meter_aggregation
  from meters
),

days as (
  select
    u.source,
    case when u.item_id is not null then concat('i:', u.item_id) else u.usage_key end as series,
    u.meter,
    cast(cast($as_of - interval '6 hours' as date) as int) - 1 - cast(u.usage_date as int) as age,
    u.item_id,
    u.subscription_id,
    u.customer_id,
    u.record_count,
    coalesce(i.item_aggregation, m.meter_aggregation) in ('max', 'last') as is_level,
    case
      when coalesce(i.item_aggregation, m.meter_aggregation, 'sum') in ('count', 'unique_count')
        then cast(u.record_count as decimal(38, 12))
      when coalesce(i.item_aggregation, m.meter_aggregation, 'sum') not in ('max', 'last') then u.quantity_sum
    end as added,
    -- Of two rows of one day the greater counts, also where it should be the last.
    case coalesce(i.item_aggregation, m.meter_aggregation)
      when 'max' then u.quantity_max
      when 'last' then u.quantity_last
    end as level
  from item_usage as u
  left join item_aggregations as i on i.item_source = u.source and i.item = u.item_id
  left join meter_aggregations as m on m.meter_source = u.source and m.meter_name = u.meter
  where u.usage_date >= cast($as_of - interval '6 hours' - interval '98 days' as date)
    and u.usage_date < cast($as_of - interval '6 hours' as date)
    and u.usage_key is not null
    and u.meter is not null
    and u.record_count > 0
),

-- One row for each series and weekday: fourteen weeks side by side.
weekdays as (
  select
    source,
    series,
    meter,
    age % 7 as weekday,
    max(item_id) as item_id,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id,
    bool_or(is_level) as is_level,
    max(age) as first_age,
    min(age) as last_age,
    count(*) as used_days,
    sum(record_count) as records,
    sum(cast(record_count as double) * cast(record_count as double)) as record_squares,
    sum(case when age / 7 = 0 then cast(added as decimal(76, 12)) end) as added_0,
    sum(case when age / 7 = 1 then cast(added as decimal(76, 12)) end) as added_1,
    sum(case when age / 7 = 2 then cast(added as decimal(76, 12)) end) as added_2,
    sum(case when age / 7 = 3 then cast(added as decimal(76, 12)) end) as added_3,
    sum(case when age / 7 = 4 then cast(added as decimal(76, 12)) end) as added_4,
    sum(case when age / 7 = 5 then cast(added as decimal(76, 12)) end) as added_5,
    sum(case when age / 7 = 6 then cast(added as decimal(76, 12)) end) as added_6,
    sum(case when age / 7 = 7 then cast(added as decimal(76, 12)) end) as added_7,
    sum(case when age / 7 = 8 then cast(added as decimal(76, 12)) end) as added_8,
    sum(case when age / 7 = 9 then cast(added as decimal(76, 12)) end) as added_9,
    sum(case when age / 7 = 10 then cast(added as decimal(76, 12)) end) as added_10,
    sum(case when age / 7 = 11 then cast(added as decimal(76, 12)) end) as added_11,
    sum(case when age / 7 = 12 then cast(added as decimal(76, 12)) end) as added_12,
    sum(case when age / 7 = 13 then cast(added as decimal(76, 12)) end) as added_13,
    max(case when age / 7 = 0 then level end) as level_0,
    max(case when age / 7 = 1 then level end) as level_1,
    max(case when age / 7 = 2 then level end) as level_2,
    max(case when age / 7 = 3 then level end) as level_3,
    max(case when age / 7 = 4 then level end) as level_4,
    max(case when age / 7 = 5 then level end) as level_5,
    max(case when age / 7 = 6 then level end) as level_6,
    max(case when age / 7 = 7 then level end) as level_7,
    max(case when age / 7 = 8 then level end) as level_8,
    max(case when age / 7 = 9 then level end) as level_9,
    max(case when age / 7 = 10 then level end) as level_10,
    max(case when age / 7 = 11 then level end) as level_11,
    max(case when age / 7 = 12 then level end) as level_12,
    max(case when age / 7 = 13 then level end) as level_13
  from days
  group by source, series, meter, age % 7
),

-- The two lists have one order: the place of a weekday in one is the place of its weeks in the other.
collected as (
  select
    source,
    series,
    meter,
    max(item_id) as item_id,
    max(subscription_id) as subscription_id,
    max(customer_id) as customer_id,
    bool_or(is_level) as is_level,
    max(first_age) as first_age,
    min(last_age) as last_age,
    sum(used_days) as used_days,
    sum(records) as records,
    sum(record_squares) as record_squares,
    array_agg(weekday) as used_weekdays,
    array_agg(
      make_array(
        coalesce(cast(added_0 as decimal(38, 12)), level_0, cast(0 as decimal(38, 12))),
        coalesce(cast(added_1 as decimal(38, 12)), level_1, cast(0 as decimal(38, 12))),
        coalesce(cast(added_2 as decimal(38, 12)), level_2, cast(0 as decimal(38, 12))),
        coalesce(cast(added_3 as decimal(38, 12)), level_3, cast(0 as decimal(38, 12))),
        coalesce(cast(added_4 as decimal(38, 12)), level_4, cast(0 as decimal(38, 12))),
        coalesce(cast(added_5 as decimal(38, 12)), level_5, cast(0 as decimal(38, 12))),
        coalesce(cast(added_6 as decimal(38, 12)), level_6, cast(0 as decimal(38, 12))),
        coalesce(cast(added_7 as decimal(38, 12)), level_7, cast(0 as decimal(38, 12))),
        coalesce(cast(added_8 as decimal(38, 12)), level_8, cast(0 as decimal(38, 12))),
        coalesce(cast(added_9 as decimal(38, 12)), level_9, cast(0 as decimal(38, 12))),
        coalesce(cast(added_10 as decimal(38, 12)), level_10, cast(0 as decimal(38, 12))),
        coalesce(cast(added_11 as decimal(38, 12)), level_11, cast(0 as decimal(38, 12))),
        coalesce(cast(added_12 as decimal(38, 12)), level_12, cast(0 as decimal(38, 12))),
        coalesce(cast(added_13 as decimal(38, 12)), level_13, cast(0 as decimal(38, 12)))
      )
    ) as used_weeks
  from weekdays
  group by source, series, meter
)

select
  source,
  series,
  meter,
  item_id,
  subscription_id,
  customer_id,
  cast(cast($as_of - interval '6 hours' as date) as int) - 1 as last_day,
  coalesce(is_level, false) as is_level,
  first_age,
  last_age,
  used_days,
  records,
  record_squares,
  make_array(
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 0) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    ),
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 1) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    ),
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 2) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    ),
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 3) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    ),
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 4) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    ),
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 5) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    ),
    coalesce(
      used_weeks[cast(array_position(used_weekdays, 6) as bigint)], array_repeat(cast(0 as decimal(38, 12)), 14)
    )
  ) as weeks
from collected
