-- Charges for time at or after the end of their subscription or item.
-- A line counts when the whole of its period lies behind the end; one that begins before it is a matter of proration.
with subscription_ends as (
  -- cancelled_at alone is only a wish while the subscription is still active: many platforms end it later.
  select
    source,
    subscription_id as ended_subscription_id,
    status as subscription_status,
    coalesce(ended_at, case when status in ('cancelled', 'ended') then cancelled_at end) as subscription_ends_at
  from subscriptions
),

item_ends as (
  select source, item_id as ended_item_id, effective_to as item_ends_at
  from subscription_items
  where effective_to is not null
),

ended as (
  select
    l.source, l.line_id, l.invoice_id, l.customer_id, l.subscription_id, l.item_id, l.price_id, l.meter, l.kind,
    l.amount, l.currency, l.period_start, l.period_end, l.invoice_number, l.invoice_status, l.bill_run_id,
    l.target_date, l.made_at, l.credited, s.subscription_status,
    -- An item ends with its subscription, or before it.
    least(s.subscription_ends_at, i.item_ends_at) as ends_at,
    case
      when i.item_ends_at is null or s.subscription_ends_at <= i.item_ends_at then 'subscription_ended'
      else 'item_ended'
    end as reason
  from billed_lines as l
  left join subscription_ends as s on s.source = l.source and s.ended_subscription_id = l.subscription_id
  left join item_ends as i on i.source = l.source and i.ended_item_id = l.item_id
  where l.kind in ('usage', 'recurring', 'minimum')
    and l.amount > 0
    and l.period_start < l.period_end
    and not l.is_made_good
    and coalesce(l.invoice_total > 0, true)
    -- A line is over with its period, or when it is made: the later of the two.
    and greatest(coalesce(l.made_at, l.period_start), l.period_end) >= $window_start
    and coalesce(l.made_at, l.period_start) < $window_end
)

select
  source,
  'invoice_line' as entity_type,
  line_id as entity_id,
  invoice_number as entity_number,
  customer_id,
  subscription_id,
  item_id,
  invoice_id,
  line_id as invoice_line_id,
  bill_run_id,
  price_id,
  meter,
  period_start,
  period_end,
  target_date,
  invoice_status as entity_status,
  cast(0 as decimal(38, 12)) as expected,
  amount - credited as actual,
  currency,
  reason,
  case when made_at < ends_at then 'made_before_end' else 'made_after_end' end as explanation,
  case when made_at < ends_at then 'timing' else 'configuration' end as root_cause,
  kind,
  ends_at,
  made_at,
  amount as billed_amount,
  credited as credited_amount,
  subscription_status
from ended
where period_start >= ends_at + cast($grace as interval)
