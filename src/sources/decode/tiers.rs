//! `tiers` and `billed_tiers`: a JSON array, or a list of structs, to the canonical list.
//!
//! The order of tiers is checked and never mended: a list out of order is a wrong price somewhere.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Builder, ListArray, StructArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, FieldRef, Fields};
use serde_json::Value;

use super::column::{Target, plain};
use super::marks::Marks;
use super::{Site, cell};
use crate::sources::error::SourceError;

const CODE: &str = "bad_tiers";
const UP_TO: &str = "up_to";

/// One tier: a number, or none, for each field of the canonical struct.
type Tier = Vec<Option<i128>>;

/// The canonical list column.
pub(super) fn column(target: &Target<'_>, marks: &mut Marks) -> Result<ArrayRef, SourceError> {
    let DataType::List(item) = target.wanted else {
        return Err(target.wrong_type());
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(target.wrong_type());
    };
    if !fields
        .iter()
        .all(|field| matches!(field.data_type(), DataType::Decimal128(38, 12)))
    {
        return Err(target.wrong_type());
    }
    let rows = if target.array.as_string_opt::<i32>().is_some() {
        from_json(target, fields)
    } else {
        from_lists(target, fields)?
    };
    let mut lists = Lists::new(fields, rows.len());
    let up_to = fields.iter().position(|field| field.name() == UP_TO);
    for (row, tiers) in rows.into_iter().enumerate() {
        let checked = tiers.and_then(|tiers| {
            if let (Some(tiers), Some(up_to)) = (&tiers, up_to) {
                ascending(tiers, up_to)?;
            }
            Ok(tiers)
        });
        match checked {
            Ok(tiers) => lists.push(tiers),
            Err(error) => {
                marks.add(row, CODE, || format!("`{}`: {error}", target.name));
                lists.push(None);
            }
        }
    }
    lists.finish(item, fields, target.site)
}

/// Each bound above the one before, and only the last without one.
fn ascending(tiers: &[Tier], up_to: usize) -> Result<(), String> {
    for (index, pair) in tiers.windows(2).enumerate() {
        let number = index + 2;
        match (pair[0][up_to], pair[1][up_to]) {
            (None, _) => {
                return Err(format!(
                    "tier {number} follows a tier without an upper bound"
                ));
            }
            (Some(before), Some(bound)) if bound <= before => {
                return Err(format!(
                    "tier {number} does not end above tier {}",
                    number - 1
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

type Rows = Vec<Result<Option<Vec<Tier>>, String>>;

fn from_json(target: &Target<'_>, fields: &Fields) -> Rows {
    let texts = target.array.as_string::<i32>();
    texts
        .iter()
        .map(|text| match text.unwrap_or_default().trim_ascii() {
            "" => Ok(None),
            text => parse(text, fields),
        })
        .collect()
}

fn parse(text: &str, fields: &Fields) -> Result<Option<Vec<Tier>>, String> {
    match serde_json::from_str::<Value>(text) {
        Err(error) => Err(format!("not JSON: {error}")),
        Ok(Value::Null) => Ok(None),
        Ok(Value::Array(tiers)) => {
            let tiers = tiers.iter().enumerate().map(|(index, tier)| {
                parse_tier(tier, fields).map_err(|error| format!("tier {}: {error}", index + 1))
            });
            tiers.collect::<Result<Vec<Tier>, String>>().map(Some)
        }
        Ok(_) => Err("not a JSON array".to_owned()),
    }
}

fn parse_tier(tier: &Value, fields: &Fields) -> Result<Tier, String> {
    let Value::Object(given) = tier else {
        return Err("not a JSON object".to_owned());
    };
    if let Some(key) = given
        .keys()
        .find(|key| fields.iter().all(|field| field.name() != *key))
    {
        return Err(format!("a tier has no `{key}`"));
    }
    fields
        .iter()
        .map(|field| {
            let name = field.name();
            let text = match given.get(name.as_str()) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                Some(other) => return Err(format!("`{name}` is {other}: not a decimal number")),
            };
            match text.trim_ascii() {
                "" => Ok(None),
                text => cell::decimal(text)
                    .map(Some)
                    .map_err(|error| format!("`{name}` is \"{text}\": {error}")),
            }
        })
        .collect()
}

fn from_lists(target: &Target<'_>, fields: &Fields) -> Result<Rows, SourceError> {
    let Some(lists) = target.array.as_list_opt::<i32>() else {
        return Err(target.wrong_type());
    };
    let Some(structs) = lists.values().as_struct_opt() else {
        return Err(target.wrong_type());
    };
    let mut names = structs.column_names().into_iter();
    if let Some(key) = names.find(|key| fields.iter().all(|field| field.name() != key)) {
        return Err(SourceError::UnknownTierField {
            place: target.site.place.to_owned(),
            column: target.name.to_owned(),
            key: key.to_owned(),
        });
    }
    let mut bad = Marks::default();
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let wanted = field.data_type();
        let column = match structs.column_by_name(field.name()) {
            None => new_null_array(wanted, structs.len()),
            Some(values) if values.data_type() == &DataType::Null => {
                new_null_array(wanted, structs.len())
            }
            Some(values) => {
                let array = &plain(values, target.site)?;
                Target {
                    array,
                    name: field.name(),
                    wanted,
                    site: target.site,
                }
                .decimals(&mut bad)?
            }
        };
        columns.push(column);
    }
    let offsets = lists.value_offsets();
    let mut rows: Rows = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        rows.push(if lists.is_null(row) {
            Ok(None)
        } else if let Some((element, reason)) = bad.first_in(start, end) {
            Err(format!("tier {}: {reason}", element - start + 1))
        } else if let Some(element) = (start..end).find(|element| structs.is_null(*element)) {
            Err(format!("tier {} is null", element - start + 1))
        } else {
            Ok(Some(
                (start..end)
                    .map(|element| tier_at(&columns, element))
                    .collect(),
            ))
        });
    }
    Ok(rows)
}

fn tier_at(columns: &[ArrayRef], element: usize) -> Tier {
    columns
        .iter()
        .map(|column| {
            let values = column.as_primitive::<Decimal128Type>();
            values.is_valid(element).then(|| values.value(element))
        })
        .collect()
}

/// The list column being built.
struct Lists {
    fields: Vec<Decimal128Builder>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Lists {
    fn new(fields: &Fields, rows: usize) -> Self {
        Self {
            fields: fields.iter().map(|_| Decimal128Builder::new()).collect(),
            lengths: Vec::with_capacity(rows),
            valid: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, tiers: Option<Vec<Tier>>) {
        self.valid.push(tiers.is_some());
        let tiers = tiers.unwrap_or_default();
        self.lengths.push(tiers.len());
        for tier in tiers {
            for (field, value) in self.fields.iter_mut().zip(tier) {
                field.append_option(value);
            }
        }
    }

    fn finish(
        self,
        item: &FieldRef,
        fields: &Fields,
        site: &Site<'_>,
    ) -> Result<ArrayRef, SourceError> {
        let children: Vec<ArrayRef> = self
            .fields
            .into_iter()
            .zip(fields)
            .map(|(mut values, field)| -> ArrayRef {
                Arc::new(values.finish().with_data_type(field.data_type().clone()))
            })
            .collect();
        let structs = StructArray::try_new(fields.clone(), children, None)
            .map_err(|error| site.arrow(error))?;
        let list = ListArray::try_new(
            Arc::clone(item),
            OffsetBuffer::from_lengths(self.lengths),
            Arc::new(structs),
            Some(NullBuffer::from(self.valid)),
        )
        .map_err(|error| site.arrow(error))?;
        Ok(Arc::new(list))
    }
}
