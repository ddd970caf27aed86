//! The one reader of the process environment.
//!
//! Everything else is given a lookup function, so that tests never depend on the machine they run on.

/// Looks variables up in the environment of this process.
pub fn environment() -> impl Fn(&str) -> Option<String> {
    read
}

// Lossy, because a value that is not UTF-8 must lead to an error about that value, not be taken as absent.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn read(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[test]
    fn an_unset_variable_is_absent() {
        assert_eq!(environment()("TRUEUP_NO_SUCH_VARIABLE"), None);
    }
}
