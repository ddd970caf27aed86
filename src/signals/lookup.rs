//! What the canonical tables say about the records that findings name: number, status, dates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use serde::Deserialize;

use super::group::Grouped;
use crate::lake::from_batches;

/// (source, entity type, id)
type Key = (String, &'static str, String);

/// What is known of a record.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Record {
    source: String,
    id: String,
    pub(super) number: Option<String>,
    pub(super) status: Option<String>,
    pub(super) customer_id: Option<String>,
    pub(super) subscription_id: Option<String>,
    pub(super) invoice_id: Option<String>,
    pub(super) bill_run_id: Option<String>,
    pub(super) period_start: Option<DateTime<Utc>>,
    pub(super) period_end: Option<DateTime<Utc>>,
    pub(super) target_date: Option<NaiveDate>,
    pub(super) execution_date: Option<NaiveDate>,
}

/// The records that the findings of a run name, by what they are.
#[derive(Clone, Debug, Default)]
pub struct Known {
    records: BTreeMap<Key, Record>,
}

impl Known {
    pub(super) fn get(&self, source: &str, entity_type: &'static str, id: &str) -> Option<&Record> {
        self.records
            .get(&(source.to_owned(), entity_type, id.to_owned()))
    }
}

/// Entity type, the column of a finding that names one, and what to ask.
const QUESTIONS: &[(&str, &str, &str)] = &[
    (
        "invoice_line",
        "invoice_line_id",
        "select l.source, l.line_id as id, cast(null as varchar) as number, i.status, l.customer_id,
                l.subscription_id, l.invoice_id, i.bill_run_id, l.period_start, l.period_end,
                coalesce(i.target_date, b.target_date) as target_date,
                coalesce(cast(b.executed_at as date), i.invoice_date) as execution_date
         from wanted w
         join invoice_lines l on l.source = w.source and l.line_id = w.id
         left join invoices i on i.source = l.source and i.invoice_id = l.invoice_id
         left join bill_runs b on b.source = i.source and b.bill_run_id = i.bill_run_id",
    ),
    (
        "invoice",
        "invoice_id",
        "select i.source, i.invoice_id as id, i.number, i.status, i.customer_id, i.subscription_id,
                i.invoice_id, i.bill_run_id, i.period_start, i.period_end,
                coalesce(i.target_date, b.target_date) as target_date,
                coalesce(cast(b.executed_at as date), i.invoice_date) as execution_date
         from wanted w
         join invoices i on i.source = w.source and i.invoice_id = w.id
         left join bill_runs b on b.source = i.source and b.bill_run_id = i.bill_run_id",
    ),
    (
        "bill_run",
        "bill_run_id",
        "select b.source, b.bill_run_id as id, b.number, b.status, cast(null as varchar) as customer_id,
                cast(null as varchar) as subscription_id, cast(null as varchar) as invoice_id,
                b.bill_run_id, cast(null as timestamp) as period_start,
                cast(null as timestamp) as period_end, b.target_date,
                cast(b.executed_at as date) as execution_date
         from wanted w
         join bill_runs b on b.source = w.source and b.bill_run_id = w.id",
    ),
    (
        "subscription",
        "subscription_id",
        "select s.source, s.subscription_id as id, s.number, s.status, s.customer_id,
                s.subscription_id, cast(null as varchar) as invoice_id,
                cast(null as varchar) as bill_run_id, s.current_period_start as period_start,
                s.current_period_end as period_end, cast(null as date) as target_date,
                cast(null as date) as execution_date
         from wanted w
         join subscriptions s on s.source = w.source and s.subscription_id = w.id",
    ),
    (
        "customer",
        "customer_id",
        "select c.source, c.customer_id as id, cast(null as varchar) as number, c.status,
                c.customer_id, cast(null as varchar) as subscription_id,
                cast(null as varchar) as invoice_id, cast(null as varchar) as bill_run_id,
                cast(null as timestamp) as period_start, cast(null as timestamp) as period_end,
                cast(null as date) as target_date, cast(null as date) as execution_date
         from wanted w
         join customers c on c.source = w.source and c.customer_id = w.id",
    ),
];

/// The types of related records and the column of a finding that names one.
pub(super) fn related_columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    QUESTIONS
        .iter()
        .map(|(entity_type, column, _)| (*entity_type, *column))
}

/// Looks up every record that the groups name; the session holds the canonical tables.
pub async fn lookup(ctx: &SessionContext, grouped: &[Grouped<'_>]) -> Result<Known> {
    let mut known = Known::default();
    for (entity_type, column, query) in QUESTIONS {
        let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
        for finding in grouped
            .iter()
            .flat_map(|rule| &rule.groups)
            .flat_map(|group| &group.findings)
        {
            let named = finding.text(column).map(str::to_owned);
            let itself = (finding.entity_type == *entity_type).then(|| finding.entity_id.clone());
            wanted.extend(
                named
                    .into_iter()
                    .chain(itself)
                    .map(|id| (finding.source.clone(), id)),
            );
        }
        // Invoices lead to their bill runs.
        if *entity_type == "bill_run" {
            let led = known
                .records
                .values()
                .filter_map(|record| Some((record.source.clone(), record.bill_run_id.clone()?)));
            wanted.extend(led.collect::<Vec<_>>());
        }
        if wanted.is_empty() {
            continue;
        }
        for record in ask(ctx, &wanted, query).await? {
            known.records.insert(
                (record.source.clone(), entity_type, record.id.clone()),
                record,
            );
        }
    }
    Ok(known)
}

async fn ask(
    ctx: &SessionContext,
    wanted: &BTreeSet<(String, String)>,
    query: &str,
) -> Result<Vec<Record>> {
    let fields = ["source", "id"].map(|name| Field::new(name, DataType::Utf8, false));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let sources: StringArray = wanted.iter().map(|(source, _)| Some(source)).collect();
    let ids: StringArray = wanted.iter().map(|(_, id)| Some(id)).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(sources), Arc::new(ids)])?;
    ctx.register_table(
        "wanted",
        Arc::new(MemTable::try_new(schema, vec![vec![batch]])?),
    )?;
    let rows = ctx.sql(query).await?.collect().await;
    ctx.deregister_table("wanted")?;
    from_batches(&rows?).map_err(DataFusionError::from)
}
