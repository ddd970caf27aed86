-- Tables whose last good export is older than is usual for them, whose exports fail, or which suddenly bring far less;
-- and usage that is exported in its rhythm and has nothing new in it for far longer than it ever had.
-- All other rules see only what was exported: where this one fires, their silence means nothing.
with attempts as (
  select
    e.source,
    e.table_name,
    e.export_id,
    e.status,
    e.error,
    e.started_at,
    coalesce(e.finished_at, e.started_at) as finished_at,
    e.high_watermark,
    -- Rows that were read again and had not changed are no news.
    coalesce(e.rows_written, e.rows_read - coalesce(e.rows_unchanged, 0) - coalesce(e.rows_rejected, 0), 0) as new_rows
  from exports as e
  join run_sources as s on s.source = e.source
  where e.table_name is not null
    and coalesce(e.started_at, e.finished_at) <= $as_of + interval '1 minute'
    and coalesce(e.finished_at, e.started_at) > $window_start
),

good as (
  select
    source, table_name, export_id, finished_at, high_watermark, new_rows,
    lead(finished_at) over (partition by source, table_name order by finished_at, export_id) as next_finished_at,
    -- Days back from now, each of 24 hours: an export made twice in a day counts once.
    (cast($as_of as bigint) - cast(least(finished_at, $as_of) as bigint)) / 86400000000 as days_back
  from attempts
  where status = 'ok'
),

-- How far apart good exports usually are, in seconds.
gaps as (
  select
    source,
    table_name,
    cast(median((cast(next_finished_at as bigint) - cast(finished_at as bigint)) / 1000000) as bigint) as usual_gap,
    count(*) as gap_count
  from good
  where next_finished_at is not null
    -- A second attempt right after the first says nothing about the rhythm.
    and next_finished_at > finished_at + interval '5 minutes'
  group by source, table_name
),

last_good as (
  select
    source,
    table_name,
    max(finished_at) as last_good_at,
    last_value(export_id order by finished_at, export_id) as last_good_export_id,
    max(high_watermark) as high_watermark
  from good
  group by source, table_name
),

-- How new the usage was that an export had read so far; while nothing is new, exports tell the same moment again.
news as (
  select
    source,
    table_name,
    high_watermark,
    max(finished_at) as last_told_at,
    (
      cast(high_watermark as bigint)
      - cast(lag(high_watermark) over (partition by source, table_name order by high_watermark) as bigint)
    ) / 1000000 as distance
  from good
  where table_name = 'usage_records' and high_watermark is not null
  group by source, table_name, high_watermark
),

longest_distances as (
  select source, table_name, max(distance) as longest_distance
  from news
  group by source, table_name
),

news_days as (
  select
    source,
    table_name,
    max(last_told_at) as last_told_at,
    row_number() over (
      partition by source, table_name order by cast(high_watermark as date) desc
    ) as day_number
  from news
  group by source, table_name, cast(high_watermark as date)
),

-- From so many days on the rhythm is known, up to the moment at which the window loses the first of them.
known_rhythms as (
  select source, table_name, last_told_at as known_until
  from news_days
  where day_number = $news_days
),

last_attempts as (
  select
    source,
    table_name,
    max(finished_at) as last_attempt_at,
    last_value(status order by finished_at, export_id) as last_status,
    last_value(error order by finished_at, export_id) as last_error
  from attempts
  group by source, table_name
),

failures as (
  select a.source, a.table_name, count(*) as failure_count
  from attempts as a
  left join last_good as g on g.source = a.source and g.table_name = a.table_name
  where a.status <> 'ok'
    and (g.last_good_at is null or a.finished_at > g.last_good_at)
  group by a.source, a.table_name
),

days as (
  select source, table_name, days_back, sum(new_rows) as new_rows
  from good
  group by source, table_name, days_back
),

-- What a day usually brings: the same weekdays for the level, and every day for the least there ever was.
usual_days as (
  select
    source,
    table_name,
    count(*) as day_count,
    min(new_rows) as least_rows,
    count(*) filter (where days_back % 7 = 0) as weekday_count,
    cast(median(case when days_back % 7 = 0 then new_rows end) as bigint) as weekday_rows
  from days
  where days_back between 1 and 28
  group by source, table_name
),

judged as (
  select
    t.source,
    t.table_name,
    t.last_status,
    t.last_error,
    t.last_attempt_at,
    g.last_good_at,
    g.last_good_export_id,
    g.high_watermark,
    coalesce(f.failure_count, 0) as failure_count,
    p.usual_gap,
    d.new_rows,
    u.weekday_rows,
    u.least_rows,
    -- A table is late by its own rhythm once that is known, else by the general limit.
    case
      when p.gap_count >= 3
        then greatest(
          (cast(g.last_good_at + cast($least_age as interval) as bigint) - cast(g.last_good_at as bigint)) / 1000000,
          p.usual_gap * $missed_exports
        )
      else (cast(g.last_good_at + cast($general_age as interval) as bigint) - cast(g.last_good_at as bigint)) / 1000000
    end as allowed_seconds,
    (cast($as_of as bigint) - cast(g.last_good_at as bigint)) / 1000000 as age_seconds,
    r.known_until,
    (cast($as_of as bigint) - cast(g.high_watermark as bigint)) / 1000000 as data_age_seconds,
    case
      when r.known_until is not null
        then greatest(
          (cast($as_of + cast($general_age as interval) as bigint) - cast($as_of as bigint)) / 1000000,
          2 * l.longest_distance
        )
    end as allowed_data_seconds,
    coalesce(
      u.day_count >= 14
      and u.weekday_count >= 3
      and u.weekday_rows >= $least_rows
      and d.new_rows < u.least_rows
      and cast(d.new_rows as decimal(38, 12)) < $least_share * cast(u.weekday_rows as decimal(20, 0)),
      false
    ) as has_few_rows
  from last_attempts as t
  left join last_good as g on g.source = t.source and g.table_name = t.table_name
  left join gaps as p on p.source = t.source and p.table_name = t.table_name
  left join failures as f on f.source = t.source and f.table_name = t.table_name
  left join days as d on d.source = t.source and d.table_name = t.table_name and d.days_back = 0
  left join usual_days as u on u.source = t.source and u.table_name = t.table_name
  left join longest_distances as l on l.source = t.source and l.table_name = t.table_name
  left join known_rhythms as r on r.source = t.source and r.table_name = t.table_name
),

explained as (
  select
    source, table_name, last_status, last_error, last_attempt_at, last_good_at, last_good_export_id, high_watermark,
    failure_count, usual_gap, new_rows, weekday_rows, least_rows, allowed_seconds, age_seconds, known_until,
    data_age_seconds, allowed_data_seconds,
    case
      when failure_count > 0 and (last_good_at is null or age_seconds > allowed_seconds or failure_count >= $failures)
        then 'export_failing'
      when age_seconds > allowed_seconds then 'export_missing'
      when data_age_seconds > allowed_data_seconds then 'nothing_new'
      when has_few_rows then 'few_rows'
    end as explanation
  from judged
)

select
  source,
  'export' as entity_type,
  table_name as entity_id,
  last_good_export_id as entity_number,
  last_status as entity_status,
  case when explanation = 'nothing_new' then least(high_watermark, known_until) else last_good_at end as period_start,
  -- What has left the window is not over: where no export was tried any more, or the rhythm is forgotten. The last day
  -- is judged by itself.
  case explanation
    when 'few_rows' then null
    when 'nothing_new' then known_until
    else last_attempt_at
  end as period_end,
  -- Money and usage are judged on these; the rest names and describes.
  case
    when table_name in ('usage_records', 'invoices', 'invoice_lines', 'prices') then 'critical'
    else 'high'
  end as severity,
  explanation as reason,
  explanation,
  case when explanation = 'few_rows' then 'data_quality' else 'integration' end as root_cause,
  table_name,
  last_good_at,
  last_attempt_at,
  last_error,
  failure_count,
  age_seconds / 3600 as age_hours,
  allowed_seconds / 3600 as allowed_hours,
  usual_gap / 3600 as usual_gap_hours,
  high_watermark,
  data_age_seconds / 3600 as data_age_hours,
  allowed_data_seconds / 3600 as allowed_data_hours,
  new_rows,
  weekday_rows,
  least_rows
from explained
where explanation is not null
