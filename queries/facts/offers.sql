-- Every version of every price that shares its product or meter with the price of a wrong line, or is that price:
-- what may have been applied in its place. A price whose terms are faulty in themselves gives no amount.
with products as (
  select distinct source, product_id as wrong_product_id
  from wrong_terms
  where product_id is not null
),

meters_of_lines as (
  select distinct source, meter as wrong_meter
  from wrong_terms
  where meter is not null
),

own as (
  select distinct source, price_id as wrong_price_id
  from wrong_terms
  where price_id is not null
),

related as (
  select t.source, t.price_id, t.effective_from
  from price_terms as t
  join products as p on p.source = t.source and p.wrong_product_id = t.product_id
  union
  select t.source, t.price_id, t.effective_from
  from price_terms as t
  join meters_of_lines as m on m.source = t.source and m.wrong_meter = t.meter
  union
  select t.source, t.price_id, t.effective_from
  from price_terms as t
  join own as o on o.source = t.source and o.wrong_price_id = t.price_id
),

sound as (
  select r.source, r.price_id, r.effective_from
  from related as r
  left anti join price_faults as f
    on f.source = r.source
    and f.price_id = r.price_id
    and f.effective_from = r.effective_from
    and f.stops_rating
)

select
  t.source,
  t.price_id,
  t.product_id,
  t.meter,
  t.currency,
  t.effective_from,
  t.effective_to,
  t.price
from price_terms as t
join sound as r
  on r.source = t.source
  and r.price_id = t.price_id
  and r.effective_from = t.effective_from
where t.charge_model not in ('custom', 'capacity', 'prerated')
order by t.source, t.price_id, t.effective_from
