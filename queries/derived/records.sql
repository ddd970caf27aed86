-- The usage records that count: not voided, not in error, no repeat of an earlier record.
select r.*
from usage_records r
left anti join usage_duplicates d on d.source = r.source and d.usage_id = r.usage_id
where coalesce(r.status, 'pending') not in ('voided', 'error')
