-- Every record that repeats the idempotency key of an earlier one, across days: the definition, in
-- SQL. The lake's own table is made by hashing and sorting and must hold exactly these rows.
with keyed as (
  select
    source, usage_id, usage_date, idempotency_key, item_id, customer_id, subscription_id, meter,
    quantity, occurred_at,
    first_value(usage_id) over same_key as original_usage_id,
    first_value(usage_date) over same_key as original_usage_date
  from usage_records
  where idempotency_key is not null and coalesce(status, 'pending') not in ('voided', 'error')
  window same_key as (
    partition by source, idempotency_key
    order by occurred_at, recorded_at nulls last, usage_id
  )
)
select
  source, usage_id, original_usage_id, original_usage_date, idempotency_key, item_id, customer_id,
  subscription_id, meter, quantity, occurred_at, usage_date
from keyed
where usage_id <> original_usage_id
