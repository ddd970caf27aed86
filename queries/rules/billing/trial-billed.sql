-- Usage and fees with an amount for a period that lies wholly inside the subscription's trial.
with trials as (
  select
    source,
    subscription_id as trial_subscription_id,
    status as subscription_status,
    started_at,
    trial_end_at
  from subscriptions
  where trial_end_at is not null
)

select
  l.source,
  'invoice_line' as entity_type,
  l.line_id as entity_id,
  l.invoice_number as entity_number,
  l.customer_id,
  l.subscription_id,
  l.item_id,
  l.invoice_id,
  l.line_id as invoice_line_id,
  l.bill_run_id,
  l.price_id,
  l.meter,
  l.period_start,
  l.period_end,
  l.target_date,
  l.invoice_status as entity_status,
  cast(0 as decimal(38, 12)) as expected,
  l.amount - l.credited as actual,
  l.currency,
  'period_inside_trial' as reason,
  case l.kind when 'usage' then 'usage_in_trial' else 'fee_in_trial' end as explanation,
  'configuration' as root_cause,
  l.kind,
  t.started_at,
  t.trial_end_at,
  t.subscription_status,
  l.quantity as billed_quantity,
  l.amount as billed_amount,
  l.credited as credited_amount,
  l.made_at
from billed_lines as l
join trials as t on t.source = l.source and t.trial_subscription_id = l.subscription_id
where l.kind in ('usage', 'recurring', 'minimum')
  and l.amount > 0
  and l.period_start < t.trial_end_at
  and l.period_end <= t.trial_end_at
  and l.period_start < l.period_end
  -- A subscription that is started again may carry an old trial.
  and (t.started_at is null or l.period_end > t.started_at)
  and not l.is_made_good
  and coalesce(l.invoice_total > 0, true)
  -- A line is over with its period, or when it is made: the later of the two.
  and greatest(l.made_at, l.period_end) >= $window_start
  and coalesce(l.made_at, l.period_end) < $window_end
