//! ISO 4217: how many decimals a currency's minor unit has.

use iso_currency::Currency;

/// Decimals of the currency's minor unit: 2 for USD, 0 for JPY, 3 for KWD; `None` for an unknown code
/// and for codes without a minor unit (gold, special drawing rights).
pub fn minor_exponent(code: &str) -> Option<u32> {
    let exponent = match Currency::from_code(code) {
        Some(currency) => currency.exponent(),
        None => Currency::from_code(&code.to_ascii_uppercase()).and_then(|c| c.exponent()),
    };
    exponent.map(u32::from)
}

#[cfg(test)]
mod tests {
    use super::minor_exponent;

    #[test]
    fn knows_currencies_of_zero_two_and_three_decimals() {
        assert_eq!(minor_exponent("USD"), Some(2));
        assert_eq!(minor_exponent("jpy"), Some(0));
        assert_eq!(minor_exponent("KWD"), Some(3));
        assert_eq!(minor_exponent("XYZ"), None);
        assert_eq!(minor_exponent(""), None);
    }
}
