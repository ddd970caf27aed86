-- Signs that a source changed what it sends: words that no list knows, columns that were filled and are empty now, and
-- new fields on invoice lines. A column is judged for each meter and kind of line, by days (usage) or weeks (lines).
with unknown_words as (
  select
    r.source,
    r.table_name,
    coalesce(nullif(split_part(r.reason, '`', 2), ''), 'unknown') as column_name,
    split_part(r.reason, '"', 2) as word,
    r.origin,
    r.rejected_at
  from rejects as r
  join run_sources as s on s.source = r.source
  where r.reason_code = 'unknown_value'
    and r.rejected_at > $window_start
    and r.rejected_at <= $as_of
),

-- Who the usage belongs to: from the rollup.
owner_days as (
  select
    source,
    coalesce(meter, '') as part,
    usage_date as bucket,
    sum(record_count) as row_count,
    sum(case when item_id is not null then record_count else 0 end) as item_filled,
    sum(case when subscription_id is not null then record_count else 0 end) as subscription_filled,
    sum(case when customer_id is not null then record_count else 0 end) as customer_filled
  from usage_daily
  where usage_date >= cast($window_start as date) and usage_date <= cast($window_end as date)
  group by source, coalesce(meter, ''), usage_date
),

-- What only the records have: a fortnight of them.
record_days as (
  select
    source,
    coalesce(meter, '') as part,
    usage_date as bucket,
    count(*) as row_count,
    count(unit) as unit_filled,
    count(recorded_at) as recorded_filled,
    count(idempotency_key) as key_filled,
    count(unique_value) as unique_filled
  from usage_records
  where usage_date >= cast($window_end - interval '14 days' as date) and usage_date <= cast($window_end as date)
  group by source, coalesce(meter, ''), usage_date
),

invoice_weeks as (
  select
    source,
    invoice_id as week_invoice_id,
    cast(
      date_trunc(
        'week', coalesce(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'))
      ) as date
    ) as bucket
  from invoices
  where coalesce(created_at, finalized_at, arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))'))
    >= $window_start
),

dated_lines as (
  select
    l.source, l.kind as part, w.bucket, l.line_id, l.item_id, l.price_id, l.customer_id, l.subscription_id, l.quantity,
    l.period_start, l.period_end, l.currency, l.attributes
  from invoice_lines as l
  join invoice_weeks as w on w.source = l.source and w.week_invoice_id = l.invoice_id
),

line_weeks as (
  select
    source,
    part,
    bucket,
    count(*) as row_count,
    count(item_id) as item_filled,
    count(price_id) as price_filled,
    count(customer_id) as customer_filled,
    count(subscription_id) as subscription_filled,
    count(quantity) as quantity_filled,
    count(period_start) as start_filled,
    count(period_end) as end_filled,
    count(currency) as currency_filled
  from dated_lines
  group by source, part, bucket
),

columns_by_bucket as (
  select source, 'usage_records' as table_name, part, bucket, row_count,
    unnest(make_array(
      named_struct('name', 'item_id', 'filled', item_filled),
      named_struct('name', 'subscription_id', 'filled', subscription_filled),
      named_struct('name', 'customer_id', 'filled', customer_filled)
    )) as part_column
  from owner_days
  union all
  select source, 'usage_records' as table_name, part, bucket, row_count,
    unnest(make_array(
      named_struct('name', 'unit', 'filled', unit_filled),
      named_struct('name', 'recorded_at', 'filled', recorded_filled),
      named_struct('name', 'idempotency_key', 'filled', key_filled),
      named_struct('name', 'unique_value', 'filled', unique_filled)
    )) as part_column
  from record_days
  union all
  select source, 'invoice_lines' as table_name, part, bucket, row_count,
    unnest(make_array(
      named_struct('name', 'item_id', 'filled', item_filled),
      named_struct('name', 'price_id', 'filled', price_filled),
      named_struct('name', 'customer_id', 'filled', customer_filled),
      named_struct('name', 'subscription_id', 'filled', subscription_filled),
      named_struct('name', 'quantity', 'filled', quantity_filled),
      named_struct('name', 'period_start', 'filled', start_filled),
      named_struct('name', 'period_end', 'filled', end_filled),
      named_struct('name', 'currency', 'filled', currency_filled)
    )) as part_column
  from line_weeks
),

fills as (
  select
    source,
    table_name,
    part,
    bucket,
    row_count,
    part_column['name'] as column_name,
    row_count - part_column['filled'] as empty_count,
    cast(row_count - part_column['filled'] as decimal(20, 0)) >= $empty_share * cast(row_count as decimal(20, 0))
      as is_empty
  from columns_by_bucket
  -- A handful of rows has any share by chance.
  where row_count >= $min_rows
),

turns as (
  select
    source, table_name, part, column_name, bucket, row_count, empty_count, is_empty,
    min(case when is_empty then bucket end) over series as first_empty,
    last_value(is_empty) over (
      partition by source, table_name, part, column_name order by bucket
      rows between unbounded preceding and unbounded following
    ) as is_empty_now
  from fills
  window series as (partition by source, table_name, part, column_name)
),

emptied as (
  select
    source,
    table_name,
    part,
    column_name,
    min(first_empty) as first_empty,
    sum(case when bucket >= first_empty then empty_count else 0 end) as empty_rows,
    sum(case when bucket >= first_empty then row_count else 0 end) as rows_since
  from turns
  where is_empty_now and first_empty is not null
  group by source, table_name, part, column_name
  -- It has to have been filled before: for days and with rows enough.
  having count(case when bucket < first_empty then bucket end)
      >= case when table_name = 'usage_records' then 5 else 2 end
    and sum(case when bucket < first_empty then row_count else 0 end) >= 50
    and sum(case when bucket < first_empty then empty_count else 0 end) * 50
      <= sum(case when bucket < first_empty then row_count else 0 end)
),

-- The fields that a line has beside the columns. Text with the same marks inside it only makes words that are no field.
fields as (
  select distinct
    source,
    part,
    bucket,
    line_id,
    split_part(ltrim(unnest(string_to_array(attributes, ',"')), '{"'), '":', 1) as field
  from dated_lines
  where attributes is not null and attributes <> '{}'
),

field_weeks as (
  select source, part, field, bucket, count(*) as field_count
  from fields
  where regexp_like(field, '^[A-Za-z0-9_.-]{1,64}$')
  group by source, part, field, bucket
),

week_spans as (
  select
    source as span_source,
    part as span_part,
    max(bucket) as last_bucket,
    count(*) as bucket_count,
    sum(row_count) as row_count,
    last_value(row_count order by bucket) as last_row_count
  from line_weeks
  where row_count >= $min_rows
  group by source, part
),

new_fields as (
  select
    f.source,
    f.field,
    f.part,
    min(f.bucket) as first_seen,
    sum(f.field_count) as field_count
  from field_weeks as f
  join week_spans as w on w.span_source = f.source and w.span_part = f.part
  where w.bucket_count >= 3
    and w.row_count - w.last_row_count >= 50
  group by f.source, f.field, f.part
  -- On most lines of the last week, and on none before it.
  having min(f.bucket) = max(w.last_bucket)
    and sum(f.field_count) * 5 >= max(w.last_row_count) * 4
),

findings as (
  select
    source,
    table_name,
    column_name,
    'unknown_value' as explanation,
    array_to_string(array_sort(array_agg(distinct word)), ', ') as found,
    cast(null as varchar) as parts,
    count(*) as row_count,
    count(*) as affected_rows,
    min(rejected_at) as first_seen_at,
    -- What has left the window is not over: no row tells whether it was exported again.
    max(rejected_at) as last_seen_at,
    min(origin) as example,
    'high' as severity
  from unknown_words
  group by source, table_name, column_name
  having count(*) >= $min_rejects
  union all
  select
    source,
    table_name,
    column_name,
    'column_emptied' as explanation,
    cast(null as varchar) as found,
    array_to_string(array_sort(array_agg(distinct part)), ', ') as parts,
    cast(sum(rows_since) as bigint) as row_count,
    cast(sum(empty_rows) as bigint) as affected_rows,
    arrow_cast(min(first_empty), 'Timestamp(Microsecond, Some("UTC"))') as first_seen_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as last_seen_at,
    cast(null as varchar) as example,
    'medium' as severity
  from emptied
  group by source, table_name, column_name
  union all
  select
    source,
    'invoice_lines' as table_name,
    'attributes' as column_name,
    'new_field' as explanation,
    array_to_string(array_sort(array_agg(distinct field)), ', ') as found,
    array_to_string(array_sort(array_agg(distinct part)), ', ') as parts,
    cast(max(field_count) as bigint) as row_count,
    cast(max(field_count) as bigint) as affected_rows,
    arrow_cast(min(first_seen), 'Timestamp(Microsecond, Some("UTC"))') as first_seen_at,
    arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))') as last_seen_at,
    cast(null as varchar) as example,
    'info' as severity
  from new_fields
  group by source
)

select
  source,
  'export' as entity_type,
  concat(table_name, '.', column_name) as entity_id,
  first_seen_at as period_start,
  last_seen_at as period_end,
  severity,
  explanation as reason,
  explanation,
  'integration' as root_cause,
  table_name,
  column_name,
  found,
  parts,
  row_count,
  affected_rows,
  first_seen_at,
  example
from findings
