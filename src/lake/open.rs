//! Opening the lake and its tables; a table is made on first use and checked on every open.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use deltalake::DeltaTable;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{Action, StructField, StructType};
use deltalake::logstore::{StorageConfig, default_logstore, get_actions};
use object_store::prefix::PrefixStore;
use url::Url;

use super::storage::{ObjectPlace, object_place};
use super::{LakeError, TableDef};

/// A lake that has been reached and found safe to write to.
#[derive(Clone, Debug)]
pub struct Lake {
    place: ObjectPlace,
}

impl Lake {
    /// Reaches the lake and proves that its store honours conditional writes.
    pub async fn open(url: &Url) -> Result<Self, LakeError> {
        let place = object_place(url)?;
        place.probe_conditional_writes().await?;
        Ok(Self { place })
    }

    /// The lake's URL.
    pub fn url(&self) -> &Url {
        &self.place.url
    }

    /// The table at its newest version, made if it is not there, widened if it is older.
    pub async fn table(&self, def: &'static TableDef) -> Result<DeltaTable, LakeError> {
        match self.existing(def).await? {
            Some(table) => self.fit(def, table).await,
            None => self.create(def).await,
        }
    }

    /// The table at its newest version, or `None` where nothing has been written yet.
    pub async fn existing(&self, def: &'static TableDef) -> Result<Option<DeltaTable>, LakeError> {
        let mut table = self.handle(def)?;
        let open = LakeError::open(def.name);
        // Asked of the store, not read from an error: a failure must not look like an empty lake.
        if !table
            .log_store()
            .is_delta_table_location()
            .await
            .map_err(&open)?
        {
            return Ok(None);
        }
        table.load().await.map_err(&open)?;
        Ok(Some(table))
    }

    fn handle(&self, def: &'static TableDef) -> Result<DeltaTable, LakeError> {
        let folder = format!("{}/{}/", def.zone.folder(), def.name);
        let url = self
            .place
            .url
            .join(&folder)
            .map_err(|error| LakeError::Place {
                url: self.place.url.to_string(),
                reason: error.to_string(),
            })?;
        let root = self
            .place
            .root
            .clone()
            .join(def.zone.folder())
            .join(def.name);
        let prefixed = Arc::new(PrefixStore::new(Arc::clone(&self.place.store), root));
        let root_store = Arc::clone(&self.place.store);
        Ok(DeltaTable::new(default_logstore(
            prefixed,
            root_store,
            &url,
            &StorageConfig::default(),
        )))
    }

    async fn create(&self, def: &'static TableDef) -> Result<DeltaTable, LakeError> {
        let schema: StructType = def
            .schema()
            .as_ref()
            .try_into_kernel()
            .map_err(|error| LakeError::shape(def.name)(error))?;
        let mut builder = self
            .handle(def)?
            .create()
            .with_table_name(def.name)
            .with_columns(schema.fields().cloned());
        if let Some(partition) = def.partition {
            builder = builder.with_partition_columns([partition]);
        }
        match builder.await {
            Ok(table) => Ok(table),
            // Another run made it in between: take theirs.
            Err(error) => match self.existing(def).await? {
                Some(table) => self.fit(def, table).await,
                None => Err(LakeError::open(def.name)(error)),
            },
        }
    }

    async fn fit(
        &self,
        def: &'static TableDef,
        table: DeltaTable,
    ) -> Result<DeltaTable, LakeError> {
        let found = found_schema(def, &table)?;
        let missing = missing_columns(def, &found)?;
        if missing.is_empty() {
            return Ok(table);
        }
        tracing::info!(
            table = def.name,
            columns = missing.len(),
            "adding columns of this version"
        );
        table
            .add_columns()
            .with_fields(missing)
            .await
            .map_err(LakeError::open(def.name))
    }
}

fn found_schema(def: &'static TableDef, table: &DeltaTable) -> Result<SchemaRef, LakeError> {
    let snapshot = table.snapshot().map_err(LakeError::open(def.name))?;
    Ok(snapshot.snapshot().arrow_schema())
}

/// The declared columns that an older lake lacks; any other difference is an error.
fn missing_columns(
    def: &'static TableDef,
    found: &SchemaRef,
) -> Result<Vec<StructField>, LakeError> {
    let refuse = |difference: String| LakeError::Schema {
        table: def.name,
        difference,
    };
    let declared = def.schema();
    for field in found.fields() {
        if declared.column_with_name(field.name()).is_none() {
            return Err(refuse(format!(
                "it has a column `{}` that is not known here",
                field.name()
            )));
        }
    }
    let mut missing = Vec::new();
    for field in declared.fields() {
        match found.field_with_name(field.name()) {
            Ok(there) if same_type(there.data_type(), field.data_type()) => {}
            Ok(there) => {
                return Err(refuse(format!(
                    "column `{}` is {}, not {}",
                    field.name(),
                    there.data_type(),
                    field.data_type()
                )));
            }
            Err(_) if field.is_nullable() => missing.push(kernel_field(def, field)?),
            Err(_) => {
                return Err(refuse(format!(
                    "the required column `{}` is missing",
                    field.name()
                )));
            }
        }
    }
    Ok(missing)
}

fn kernel_field(def: &'static TableDef, field: &Field) -> Result<StructField, LakeError> {
    field.try_into_kernel().map_err(LakeError::shape(def.name))
}

/// Equal up to how Arrow chooses to hold strings and list children.
fn same_type(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        (DataType::Dictionary(_, value), other) | (other, DataType::Dictionary(_, value)) => {
            same_type(value, other)
        }
        (DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8) => true,
        (DataType::List(a), DataType::List(b)) => same_type(a.data_type(), b.data_type()),
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(x, y)| x.name() == y.name() && same_type(x.data_type(), y.data_type()))
        }
        _ => left == right,
    }
}

/// The partitions whose data changed after `since`; `None` where the log no longer says, so that all
/// must be taken as changed.
pub async fn changed_partitions(
    def: &'static TableDef,
    table: &DeltaTable,
    since: u64,
) -> Result<Option<BTreeSet<String>>, LakeError> {
    let Some(partition) = def.partition else {
        return Ok(None);
    };
    let mut changed = BTreeSet::new();
    for version in (since + 1)..=table.version().unwrap_or(0) {
        let entry = table.log_store().read_commit_entry(version).await;
        let Some(bytes) = entry.map_err(LakeError::open(def.name))? else {
            return Ok(None);
        };
        for action in get_actions(version, &bytes).map_err(LakeError::open(def.name))? {
            let values = match &action {
                Action::Add(add) if add.data_change => Some(&add.partition_values),
                Action::Remove(remove) if remove.data_change => remove.partition_values.as_ref(),
                _ => continue,
            };
            match values.and_then(|values| values.get(partition)) {
                Some(Some(value)) => {
                    changed.insert(value.clone());
                }
                // A change that names no partition may have touched any.
                _ => return Ok(None),
            }
        }
    }
    Ok(Some(changed))
}
