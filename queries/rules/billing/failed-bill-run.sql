-- Bill runs that failed or were cancelled, and runs that should have ended long ago.

with runs as (
    select
        source, bill_run_id, number, status, target_date, invoice_date, executed_at, created_at,
        -- A run that has not started is due on its target date, but never before someone made it.
        coalesce(
            executed_at,
            greatest(arrow_cast(target_date, 'Timestamp(Microsecond, Some("UTC"))'), created_at),
            arrow_cast(invoice_date, 'Timestamp(Microsecond, Some("UTC"))')
        ) as due_at
    from bill_runs
),

completed as (
    select source, target_date, max(due_at) as last_due_at
    from runs
    where status in ('completed', 'posted')
    group by source, target_date
),

judged as (
    select
        r.source, r.bill_run_id, r.number, r.status, r.target_date, r.invoice_date, r.executed_at, r.created_at,
        r.due_at,
        case
            when r.status = 'error' then 'failed'
            when r.status = 'cancelled' then 'cancelled'
            when r.status in ('pending', 'processing') and r.due_at + cast($stuck_after as interval) <= $as_of then 'stuck'
        end as reason
    from runs r
    left join completed c on c.source = r.source and c.target_date = r.target_date
    where r.due_at >= $window_start
        and r.due_at < $window_end
        and not ($retry_clears and coalesce(c.last_due_at > r.due_at, false))
),

run_invoices as (
    select
        v.source, v.bill_run_id,
        count(*) as invoice_count,
        count(*) filter (where v.status in ('draft', 'pending')) as open_count,
        -- Amounts of different currencies cannot be added up.
        case when count(distinct v.currency) = 1 then min(v.currency) end as currency,
        cast(sum(cast(v.total as decimal(76, 12))) as decimal(38, 12)) as total,
        cast(
            sum(cast(v.total as decimal(76, 12))) filter (where v.status in ('draft', 'pending')) as decimal(38, 12)
        ) as open_total
    from invoices v
    where v.bill_run_id is not null and coalesce(v.status, '') <> 'void'
    group by v.source, v.bill_run_id
)

select
    j.source,
    'bill_run' as entity_type,
    j.bill_run_id as entity_id,
    j.number as entity_number,
    j.bill_run_id,
    -- The moment by which the window takes it in or leaves it out: what has left the window is not over.
    j.due_at as period_start,
    j.due_at + interval '1 microsecond' as period_end,
    j.target_date,
    cast(j.executed_at as date) as execution_date,
    j.status as entity_status,
    -- What the run's open invoices hold is due and does not go out.
    case when i.currency is not null then i.open_total end as expected,
    case when i.currency is not null and i.open_total is not null then cast(0 as decimal(38, 12)) end as actual,
    i.currency,
    case when j.reason = 'cancelled' then 'medium' else 'high' end as severity,
    j.reason,
    case when j.reason = 'cancelled' then 'manual' else 'integration' end as root_cause,
    j.due_at,
    j.executed_at,
    j.created_at,
    j.invoice_date,
    coalesce(i.invoice_count, 0) as invoice_count,
    coalesce(i.open_count, 0) as open_invoice_count,
    case when i.currency is not null then i.total end as invoice_total
from judged j
left join run_invoices i on i.source = j.source and i.bill_run_id = j.bill_run_id
where j.reason is not null
