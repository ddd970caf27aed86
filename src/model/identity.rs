//! Identities made of values: the same values give the same id, on every machine and in every run.

use sha2::{Digest, Sha256};

/// Raised when the way fingerprints are formed changes; old signals keep the version they were made with.
pub const FINGERPRINT_VERSION: i32 = 1;

/// SHA-256 in hex over the parts, each preceded by its length so that no two lists of parts collide.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_string().as_bytes());
        hasher.update(b":");
        hasher.update(part.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An id such as `sig_0123456789abcdef`: the prefix and the first 16 hex digits of the fingerprint.
pub fn short_id<'a>(prefix: &str, parts: impl IntoIterator<Item = &'a str>) -> String {
    let hex = fingerprint(parts);
    format!("{prefix}_{}", &hex[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
        assert_eq!(fingerprint(["ab", "c"]), fingerprint(["ab", "c"]));
        assert_eq!(fingerprint([""]).len(), 64);
    }

    #[test]
    fn ids_are_prefix_and_sixteen_hex_digits() {
        let id = short_id("sig", ["1", "rule"]);
        assert_eq!(id.len(), 20);
        assert!(id.starts_with("sig_"));
    }
}
