//! The object store of a world: one for all nodes, slow like a network, gone with the world.
//! What is in flight when its caller dies happens whole, or not at all, or (a plain put) in part;
//! a conditional create is never done by halves unless a fault tears it. No object is ever dated.
//! The engine's own view is `slackwater-runtime`'s `store`; what befalls this one, [`crate::fault`].

mod befall;
mod foreign;
mod objects;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use slackwater_core::fact::Fact;

use super::node::Node;
use super::realm::Realm;
pub(super) use objects::Objects;
use objects::{Deed, Ticket};

/// The world's store as one node reaches it.
#[derive(Clone)]
pub(super) struct SimStore {
    realm: Arc<Realm>,
    node: Arc<Node>,
}

impl SimStore {
    pub(super) fn new(realm: &Arc<Realm>, node: &Arc<Node>) -> Self {
        Self { realm: Arc::clone(realm), node: Arc::clone(node) }
    }

    /// Sends a deed to the store and waits for the answer.
    async fn change(&self, deed: Deed) -> Result<()> {
        let mut call = self.call(Some(deed));
        self.realm.sleep(call.there).await;
        self.realm.store.settle(&self.realm, self.realm.now());
        let answer = call.answer();
        self.realm.sleep(call.back).await;
        answer
    }

    /// Sends a question to the store and waits for the answer.
    async fn ask<T>(&self, path: &str, question: impl FnOnce(&Objects) -> Result<T>) -> Result<T> {
        let call = self.call(None);
        self.realm.sleep(call.there).await;
        let store = &self.realm.store;
        store.settle(&self.realm, self.realm.now());
        self.realm.count_step();
        let refused = store.refusal(&self.node.name);
        let answer = refused.map_or_else(|| question(store), Err);
        if let Err(error) = &answer {
            self.tell_refused(path, error);
        }
        self.realm.sleep(call.back).await;
        answer
    }

    fn call(&self, deed: Option<Deed>) -> Call {
        self.realm.count_step();
        let Ticket { number, there, back } = self.realm.store.accept(&self.realm, &self.node, deed);
        Call { realm: Arc::clone(&self.realm), node: self.node.name.clone(), number, there, back }
    }

    fn tell_refused(&self, path: &str, error: &Error) {
        let (path, cause) = (path.to_owned(), objects::cause(error));
        self.realm.tell(self.node.index, Fact::StoreRefused { path, cause });
    }

    fn listed(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listing = async move {
            let folder = prefix.to_string();
            let listing = store.ask(&folder, |objects| Ok(objects.list(&prefix))).await;
            if let Ok(listing) = &listing {
                let objects = listing.len() as u64;
                store.realm.tell(store.node.index, Fact::StoreListed { folder, objects });
            }
            match listing {
                Ok(listing) => stream::iter(listing.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            }
        };
        stream::once(listing).flatten().boxed()
    }
}

/// A call on its way. Dropped before its answer, it may still arrive.
struct Call {
    realm: Arc<Realm>,
    node: String,
    number: u64,
    there: Duration,
    back: Duration,
}

impl Call {
    fn answer(&mut self) -> Result<()> {
        self.realm.store.answer(self.number).unwrap_or(Ok(()))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.realm.store.abandon(&self.node, self.number);
    }
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sim://{}", self.node.name)
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (path, bytes) = (location.to_string(), Bytes::from(payload));
        let deed = match options.mode {
            PutMode::Overwrite => Deed::Put { path, bytes },
            PutMode::Create => Deed::Create { path, bytes },
            PutMode::Update(_) => return Err(objects::unsupported("an update in place")),
        };
        self.change(deed).await?;
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(objects::unsupported("a put in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = location.to_string();
        let bytes = self.ask(&path, |objects| objects.get(location)).await?;
        let meta = objects::meta(location, bytes.len());
        options.check_preconditions(&meta)?;
        let range: Range<u64> = match &options.range {
            _ if options.head => 0..0,
            None => 0..bytes.len() as u64,
            Some(range) => range.as_range(bytes.len() as u64).map_err(objects::transient)?,
        };
        let part = bytes.slice(range.start as usize..range.end as usize);
        let told = Fact::StoreGot { path, bytes: part.len() as u64 };
        self.realm.tell(self.node.index, told);
        let payload = GetResultPayload::Stream(stream::once(async { Ok(part) }).boxed());
        let (attributes, extensions) = Default::default();
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.then(move |location| {
            let store = store.clone();
            async move {
                let location = location?;
                store.change(Deed::Delete { path: location.to_string() }).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let folder = prefix.cloned().unwrap_or_default();
        let listed: Vec<Result<ObjectMeta>> = self.listed(prefix).collect().await;
        let (mut objects, mut common_prefixes) = (Vec::new(), BTreeMap::new());
        for meta in listed {
            let meta = meta?;
            let parts: Vec<_> =
                meta.location.prefix_match(&folder).into_iter().flatten().take(2).collect();
            match parts.as_slice() {
                [_] => objects.push(meta),
                [first, ..] => drop(common_prefixes.insert(folder.clone().join(first.clone()), ())),
                [] => {}
            }
        }
        let common_prefixes = common_prefixes.into_keys().collect();
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(objects::unsupported("a copy"))
    }
}

#[cfg(test)]
mod tests;
