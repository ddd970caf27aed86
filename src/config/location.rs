//! Where data is: a path or a URL as it was written, to an absolute URL.
//!
//! A relative path is relative to where it was written: to the configuration's folder, or, on the
//! command line and in the environment, to the working directory. Whether anything is there is not
//! asked.

use std::path::{Component, Path, PathBuf};

use url::Url;

use super::error::{ConfigError, Place, Problem};
use super::section::Located;

const EXPECTED: &str = "a path, or a URL of file://, s3://, gs://, az:// or memory://";

/// The folder that was named, as a URL whose path ends in `/`.
pub(super) fn folder(found: &Located<String>) -> Result<Url, ConfigError> {
    let text = if found.value == "memory:" {
        "memory://"
    } else {
        found.value.as_str()
    };
    let bad = || {
        found.error(Problem::BadValue {
            value: text.to_owned(),
            expected: EXPECTED,
        })
    };
    if !text.contains("://") {
        return Url::from_directory_path(absolute(found)?).map_err(|()| bad());
    }
    let mut url = Url::parse(text).map_err(|_| bad())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(found.error(Problem::Credentials));
    }
    let has_bucket = url.host_str().is_some_and(|host| !host.is_empty());
    let is_place = match url.scheme() {
        "file" => url.to_file_path().is_ok(),
        "s3" | "gs" | "az" => has_bucket,
        "memory" => true,
        _ => false,
    };
    if !is_place || url.query().is_some() || url.fragment().is_some() {
        return Err(bad());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// The folder that was named, as text: a URL as it is, a path made absolute.
pub(super) fn folder_text(found: &Located<String>) -> Result<String, ConfigError> {
    if found.value.contains("://") {
        return folder(found).map(String::from);
    }
    absolute(found).map(|path| path.to_string_lossy().into_owned())
}

fn absolute(found: &Located<String>) -> Result<PathBuf, ConfigError> {
    let bad = || {
        let value = found.value.clone();
        found.error(Problem::BadValue {
            value,
            expected: EXPECTED,
        })
    };
    if found.value.is_empty() {
        return Err(bad());
    }
    let path = match &found.place {
        Place::File { path, .. } => path
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .join(&found.value),
        _ => PathBuf::from(&found.value),
    };
    std::path::absolute(path)
        .map(|path| without_dots(&path))
        .map_err(|_| bad())
}

/// Removes `.` and `..` by the names alone, so that one folder is one URL.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Located<String> {
        let place = Place::File {
            path: "/etc/acme/trueup.toml".into(),
            at: None,
        };
        Located {
            value: text.to_owned(),
            key: "lake.url".to_owned(),
            place,
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(folder(&written(text)).unwrap().as_str(), expected, "{text}");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        check("lake", "file:///etc/acme/lake/");
        check("./lake/", "file:///etc/acme/lake/");
        check("../lake", "file:///etc/lake/");
        check("/var/my lake", "file:///var/my%20lake/");
    }

    #[test]
    fn urls_end_in_a_slash() {
        check("file:///var/lake", "file:///var/lake/");
        check("s3://bucket", "s3://bucket/");
        check("s3://bucket/a/b", "s3://bucket/a/b/");
        check("gs://bucket/a/", "gs://bucket/a/");
        check("az://container/a", "az://container/a/");
        check("memory:", "memory:///");
        check("memory://", "memory:///");
        check("memory:///", "memory:///");
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "ftp://host/a",
            "s3:///a",
            "file://host/a",
            "s3://bucket/a?b=c",
            "s3://b/#c",
        ] {
            let error = folder(&written(text)).unwrap_err().to_string();
            let expected = format!("/etc/acme/trueup.toml: `lake.url` cannot be `{text}`; ");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        let error = folder(&written("s3://key:hunter2@bucket/a"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "/etc/acme/trueup.toml: `lake.url` must not hold credentials; \
             they are read from the environment"
        );
    }

    #[test]
    fn folders_of_rules_stay_paths() {
        assert_eq!(folder_text(&written("rules/")).unwrap(), "/etc/acme/rules");
        assert_eq!(
            folder_text(&written("s3://bucket/rules")).unwrap(),
            "s3://bucket/rules/"
        );
    }
}
