//! An object store whose changes are told as facts, each once it is done: for a rehearsal, whose
//! oracles read what lay where. Changes nothing of what is asked of the store beneath, and never
//! tells of a change that did not come about. The stores themselves are in [`super::objects`].

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use slackwater_core::fact::{Fact, Records};

use super::Objects;

/// Takes facts in.
type Telling = Arc<dyn Fn(Fact) + Send + Sync>;

/// A store, and who is told of its changes.
pub(super) struct Told {
    store: Objects,
    /// Where the store lies within the one that facts speak of: empty, or a path that ends in `/`.
    within: String,
    telling: Telling,
}

impl Told {
    /// A folder of the store that facts speak of; empty: all of it.
    pub(super) fn new(root: Objects, folder: &str, telling: Telling) -> Self {
        match folder {
            "" => Self { store: root, within: String::new(), telling },
            folder => {
                let store = Arc::new(PrefixStore::new(root, folder));
                Self { store, within: format!("{folder}/"), telling }
            }
        }
    }

    fn path(&self, location: &Path) -> String {
        format!("{}{location}", self.within)
    }

    fn refused(&self, path: String, error: Error) -> Error {
        (self.telling)(Fact::StoreRefused { path, cause: error.to_string() });
        error
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Told {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (path, content) = (self.path(location), Bytes::from(payload.clone()));
        let created = matches!(options.mode, PutMode::Create);
        let put = self.store.put_opts(location, payload, options).await;
        match put {
            Ok(put) => {
                let (bytes, content) = (content.len() as u64, Records(content.to_vec()));
                (self.telling)(Fact::StorePut { path, bytes, created, content });
                Ok(put)
            }
            Err(error) => Err(self.refused(path, error)),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (telling, within) = (Arc::clone(&self.telling), self.within.clone());
        let deleted = self.store.delete_stream(locations).map(move |deleted| {
            if let Ok(location) = &deleted {
                telling(Fact::StoreDeleted { path: format!("{within}{location}") });
            }
            deleted
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
