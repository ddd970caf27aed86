-- materialise
-- Every day of the last seven weeks of every series of usage, beside its own past: `baseline` is the median of the same
-- weekday in the six weeks before, of as many of them as the series has (`baseline_weeks`, three at least). A day is
-- never part of its own baseline. `age` counts the days back from the last whole day, see usage_history.
with weekdays as (
  select
    source,
    series,
    meter,
    item_id,
    subscription_id,
    customer_id,
    is_level,
    last_day,
    first_age,
    last_age,
    unnest(weeks) as weeks,
    unnest(range(0, 7)) as weekday
  from usage_history
),

days as (
  select
    source,
    series,
    meter,
    item_id,
    subscription_id,
    customer_id,
    is_level,
    last_day,
    first_age,
    last_age,
    weekday,
    weeks,
    unnest(range(0, 7)) as week
  from weekdays
),

pasts as (
  select
    source,
    series,
    meter,
    item_id,
    subscription_id,
    customer_id,
    is_level,
    last_day,
    first_age,
    last_age,
    weekday + 7 * week as age,
    weeks[week + 1] as quantity,
    weeks[week + 2] as week_before,
    weeks[week + 3] as two_weeks_before,
    weeks[week + 4] as three_weeks_before,
    least((first_age - weekday - 7 * week) / 7, 6) as baseline_weeks,
    array_sort(
      array_slice(weeks, week + 2, week + 1 + least((first_age - weekday - 7 * week) / 7, 6))
    ) as past
  from days
  where first_age - weekday - 7 * week >= 21
)

select
  source,
  series,
  meter,
  item_id,
  subscription_id,
  customer_id,
  is_level,
  last_day - age as day,
  age,
  first_age,
  last_age,
  quantity,
  cast(
    (past[(baseline_weeks + 1) / 2] + past[(baseline_weeks + 2) / 2]) * 0.5 as decimal(38, 12)
  ) as baseline,
  baseline_weeks,
  week_before,
  two_weeks_before,
  three_weeks_before
from pasts
