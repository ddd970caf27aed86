-- materialise
-- How much usage arrived of each meter of each source on every day of the last fourteen weeks: items (else owners) with
-- usage, and records. Days without any have no row. `age` counts back from the last whole day, see usage_history.
select
  u.source,
  u.meter,
  cast(u.usage_date as int) as day,
  cast(cast($as_of - interval '6 hours' as date) as int) - 1 - cast(u.usage_date as int) as age,
  count(distinct coalesce(u.item_id, u.subscription_id, u.customer_id)) as items,
  sum(u.record_count) as records
from usage_daily as u
where u.usage_date >= cast($as_of - interval '6 hours' - interval '98 days' as date)
  and u.usage_date < cast($as_of - interval '6 hours' as date)
  and u.meter is not null
  and u.record_count > 0
group by u.source, u.meter, u.usage_date
