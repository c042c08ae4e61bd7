//! What befalls the store of a world: each deed of [`StoreFault`], done at an instant.
//! Nothing is drawn: the deed names the object by what it is, and of several the newest is taken.
//! What lies there afterwards is read by the engine, and by nobody else.

use std::time::Duration;

use bytes::Bytes;
use slackwater_core::fact::Fact;

use super::foreign;
use super::objects::{Objects, Refusing, State};
use crate::fault::{Object, StoreFault};
use crate::journal::NodeIndex;
use crate::world::realm::Realm;

impl Objects {
    /// Does a deed; damage is told by the node that had put the object.
    pub(in crate::world) fn befall(&self, realm: &Realm, fault: StoreFault) {
        self.settle(realm, realm.now());
        let mut state = self.state();
        let damage = match fault {
            StoreFault::Slow { by } => {
                state.slow = by;
                None
            }
            StoreFault::Refuse { node } => {
                state.refuses = Some(node.map_or(Refusing::All, Refusing::Node));
                None
            }
            StoreFault::Full => {
                state.full = true;
                None
            }
            StoreFault::Heal => {
                (state.slow, state.refuses, state.full) = (Duration::ZERO, None, false);
                None
            }
            StoreFault::Tear { node } => state.tear(realm, &node),
            StoreFault::Flip { object, bit } => state.flip(&object, bit),
            StoreFault::Delete { object } => state.delete(&object),
            StoreFault::Foreign { object } => state.replace(&object),
        };
        drop(state);
        if let Some(Damage { by, path, how }) = damage {
            realm.tell(by, Fact::StoreDamaged { path, how });
        }
    }
}

/// What was done to which object, and who had put it.
struct Damage {
    by: NodeIndex,
    path: String,
    how: String,
}

impl State {
    fn newest(&self, fits: impl Fn(&str, NodeIndex) -> bool) -> Option<String> {
        let fitting = self.objects.iter().filter(|(path, object)| fits(path, object.by));
        fitting.max_by_key(|(_, object)| object.number).map(|(path, _)| path.clone())
    }

    /// Does something to the newest object that fits, if there is one.
    fn alter(
        &mut self,
        object: &Object,
        how: impl FnOnce(&mut Bytes) -> Option<String>,
    ) -> Option<Damage> {
        let path = self.newest(|path, _| object.fits(path))?;
        let found = self.objects.get_mut(&path)?;
        let how = how(&mut found.bytes)?;
        Some(Damage { by: found.by, path, how })
    }

    fn tear(&mut self, realm: &Realm, node: &str) -> Option<Damage> {
        let by = realm.node(node)?.index;
        let puts =
            self.pending.values_mut().filter(|put| put.node == node && put.deed.length() > 0);
        if let Some(put) = puts.max_by_key(|put| put.number) {
            let whole = put.deed.length();
            put.deed.cut(whole / 2);
            put.certain = true;
            let how = format!("torn on its way, at {} of {whole} bytes", whole / 2);
            return Some(Damage { by, path: put.deed.path().to_owned(), how });
        }
        let path = self.newest(|_, who| who == by)?;
        let torn = self.objects.get_mut(&path)?;
        let whole = torn.bytes.len();
        torn.bytes.truncate(whole / 2);
        Some(Damage { by, path, how: format!("torn at {} of {whole} bytes", whole / 2) })
    }

    fn flip(&mut self, object: &Object, bit: u64) -> Option<Damage> {
        self.alter(object, |bytes| {
            let bit = bit.checked_rem(bytes.len() as u64 * 8)?;
            let mut flipped = bytes.to_vec();
            flipped[(bit / 8) as usize] ^= 1 << (bit % 8);
            *bytes = flipped.into();
            Some(format!("bit {bit} flipped"))
        })
    }

    fn delete(&mut self, object: &Object) -> Option<Damage> {
        let damage = self.alter(object, |_| Some("deleted".into()))?;
        self.objects.remove(&damage.path);
        Some(damage)
    }

    fn replace(&mut self, object: &Object) -> Option<Damage> {
        self.alter(object, |bytes| {
            *bytes = foreign::of_another_job(bytes)?.into();
            Some("replaced by another job's".into())
        })
    }
}
