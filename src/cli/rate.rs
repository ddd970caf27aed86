//! `trueup rate`: the calculator.

use std::io::BufRead;

use super::args::{Format, Global, RateArgs};
use super::output::{format, rows, table, write};
use super::wording::text;
use super::{Exit, Failure};
use crate::rating::{RateOutput, rate_line, rate_value};

pub(super) fn rate(global: &Global, args: &RateArgs) -> Result<Exit, Failure> {
    if args.batch {
        return batch();
    }
    let price = match args.price.as_deref() {
        Some(text) => match text.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::new(Exit::Usage, format!("{path}: {error}")))?,
            None => text.to_owned(),
        },
        None => return Err(Failure::new(Exit::Usage, "--price is missing")),
    };
    if args.quantities.is_empty() {
        return Err(Failure::new(Exit::Usage, "name at least one quantity"));
    }
    let outputs: Vec<RateOutput> = args
        .quantities
        .iter()
        .map(|quantity| rate_value(&price, quantity))
        .collect();
    let answers = || args.quantities.iter().zip(&outputs);
    match format(global) {
        Format::Table => {
            answers().try_for_each(|(quantity, output)| people(quantity, output))?;
        }
        Format::Json => outputs.iter().try_for_each(line)?,
        // A breakdown is a table of its own: a line has room for the amount.
        Format::Csv => {
            let headings = ["quantity", "amount", "unrounded", "currency", "error"];
            let answers: Vec<_> = answers().collect();
            rows(global, &headings, &answers, |(quantity, output)| {
                let RateOutput {
                    amount,
                    unrounded,
                    currency,
                    error,
                    ..
                } = output;
                let figures = [amount, unrounded, currency, error].map(text);
                std::iter::once((*quantity).clone())
                    .chain(figures)
                    .collect()
            })?;
        }
    }
    Ok(exit(outputs.iter().any(|output| output.error.is_some())))
}

fn batch() -> Result<Exit, Failure> {
    let mut has_errors = false;
    for input in std::io::stdin().lock().lines() {
        let input = input.map_err(|error| Failure::new(Exit::Usage, format!("stdin: {error}")))?;
        if input.trim().is_empty() {
            continue;
        }
        let output = rate_line(&input);
        has_errors |= output.error.is_some();
        line(&output)?;
    }
    Ok(exit(has_errors))
}

fn exit(has_errors: bool) -> Exit {
    if has_errors { Exit::Usage } else { Exit::Done }
}

fn line(output: &RateOutput) -> Result<(), Failure> {
    let text = serde_json::to_string(output).map_err(Failure::internal)?;
    write(&format!("{text}\n"))
}

fn people(quantity: &str, output: &RateOutput) -> Result<(), Failure> {
    if let Some(error) = &output.error {
        return write(&format!("{quantity}: {error}\n"));
    }
    let tiers = table(
        &["up to", "quantity", "unit price", "flat fee", "amount"],
        output.tiers.iter().map(|tier| {
            vec![
                tier.up_to.clone().unwrap_or_else(|| "∞".to_owned()),
                tier.quantity.clone(),
                tier.unit_price.clone(),
                tier.flat_fee.clone(),
                tier.amount.clone(),
            ]
        }),
    );
    let (amount, currency) = (text(&output.amount), text(&output.currency));
    write(&format!(
        "{quantity} costs {amount} {currency} (unrounded {})\n{tiers}\n",
        text(&output.unrounded)
    ))
}
