-- Usage records above the limit. Put your own question in its place: one row for each record
-- that is concerned, no rows where all is well. Columns that are not in docs/rules.md are evidence.
select
  u.source,
  'usage_record' as entity_type,
  u.usage_id as entity_id,
  u.customer_id,
  u.subscription_id,
  u.item_id,
  u.meter,
  u.quantity as actual,
  u.unit,
  'above_limit' as reason,
  u.occurred_at
from usage_records u
where u.quantity > $most
  and coalesce(u.status, '') not in ('voided', 'error')
  and u.usage_date >= cast($window_start as date)
  and u.occurred_at >= $window_start
  and u.occurred_at < $window_end
