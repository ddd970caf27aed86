//! From a URL to an object store: local folders, memory, S3, GCS, Azure.
//!
//! Credentials and endpoints come from the environment, as `object_store` reads them. A store that
//! is not built into this binary is an error that names the Cargo feature.

use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;

use super::LakeError;

/// A folder in an object store.
#[derive(Clone, Debug)]
pub struct ObjectPlace {
    /// The URL as configured, with a trailing slash.
    pub url: Url,
    /// The store that serves it, from its root.
    pub store: Arc<dyn ObjectStore>,
    /// The folder inside the store.
    pub root: Path,
}

/// The store and folder that a URL names.
pub fn object_place(url: &Url) -> Result<ObjectPlace, LakeError> {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let refuse = |reason: &str| LakeError::Place {
        url: url.to_string(),
        reason: reason.to_owned(),
    };
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "file" => Arc::new(LocalFileSystem::new()),
        "memory" => Arc::new(InMemory::new()),
        "s3" | "s3a" => cloud::s3(&url)?,
        "gs" => cloud::gcs(&url)?,
        "az" | "azure" | "abfs" | "abfss" => cloud::azure(&url)?,
        other => {
            return Err(refuse(&format!(
                "`{other}://` is not an object store trueup knows; use a path, s3://, gs:// or az://"
            )));
        }
    };
    let root = Path::from_url_path(url.path()).map_err(|error| refuse(&error.to_string()))?;
    Ok(ObjectPlace { url, store, root })
}

impl ObjectPlace {
    /// Proves that the store refuses to overwrite when told to: without that, two runs at once could
    /// both believe that they committed.
    pub(crate) async fn probe_conditional_writes(&self) -> Result<(), LakeError> {
        if matches!(self.url.scheme(), "file" | "memory") {
            return Ok(());
        }
        let wrap = |source| LakeError::Store {
            url: self.url.to_string(),
            source,
        };
        // A name of its own: another run that clears away its probe must not make this one look unsafe.
        let probe = format!("_trueup_probe-{}", uuid::Uuid::new_v4());
        let probe = self.root.clone().join(probe);
        let put = || {
            let options = PutOptions::from(PutMode::Create);
            self.store.put_opts(&probe, "probe".into(), options)
        };
        match put().await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(wrap(error)),
        }
        let second = put().await;
        let unsafe_store = second.is_ok();
        match second {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(wrap(error)),
        }
        match self.store.delete(&probe).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(wrap(error)),
        }
        if unsafe_store {
            return Err(LakeError::UnsafeStore {
                url: self.url.to_string(),
            });
        }
        Ok(())
    }
}

mod cloud {
    //! One function a cloud; a build without its feature says so.
    use super::{Arc, LakeError, ObjectStore, Url};

    macro_rules! cloud_store {
        ($name:ident, $feature:literal, $builder:path) => {
            #[cfg(feature = $feature)]
            pub(super) fn $name(url: &Url) -> Result<Arc<dyn ObjectStore>, LakeError> {
                let store = <$builder>::from_env()
                    .with_url(url.as_str())
                    .build()
                    .map_err(|source| LakeError::Store {
                        url: url.to_string(),
                        source,
                    })?;
                Ok(Arc::new(store))
            }

            #[cfg(not(feature = $feature))]
            pub(super) fn $name(url: &Url) -> Result<Arc<dyn ObjectStore>, LakeError> {
                let reason = concat!("this build has no `", $feature, "` feature").to_owned();
                Err(LakeError::Place {
                    url: url.to_string(),
                    reason,
                })
            }
        };
    }

    cloud_store!(s3, "s3", object_store::aws::AmazonS3Builder);
    cloud_store!(gcs, "gcs", object_store::gcp::GoogleCloudStorageBuilder);
    cloud_store!(azure, "azure", object_store::azure::MicrosoftAzureBuilder);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_url_names_its_folder() {
        let place = object_place(&Url::parse("file:///data/lake%20one").unwrap()).unwrap();
        assert_eq!(place.root.as_ref(), "data/lake one");
        assert_eq!(place.url.as_str(), "file:///data/lake%20one/");
    }

    #[test]
    fn an_unknown_scheme_says_what_is_known() {
        let error = object_place(&Url::parse("ftp://host/lake").unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ftp://") && error.contains("s3://"),
            "{error}"
        );
    }
}
