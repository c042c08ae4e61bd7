//! The calm: everything that is wrong with a world is mended at once, but for who stays dead.
//! Nothing is drawn here; when it comes and who dies is said by [`Fault::Calm`]. Deeds that come
//! later are dropped by the loop of time.
//!
//! [`Fault::Calm`]: crate::fault::Fault::Calm

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Down, Fact};

use super::Stage;
use crate::fault::StoreFault;

impl Stage {
    /// Mends whatever is wrong; who is in `dead` stays dead from now on, and nothing befalls the world
    /// any more.
    pub(super) fn calm(&mut self, dead: &[String]) {
        for link in self.realm.links.all() {
            link.release();
            link.slow_down(link.ends.0, Duration::ZERO);
            link.slow_down(link.ends.1, Duration::ZERO);
        }
        self.realm.store.befall(&self.realm, StoreFault::Heal);
        let now = self.realm.now();
        for index in 0..self.cast.len() {
            let node = Arc::clone(&self.cast[index].node);
            if dead.contains(&node.name) {
                self.end(index, Down::Kill);
                continue;
            }
            node.set_drift(now, 0);
            self.resume(index);
            self.start(index);
        }
        self.realm.calm_down();
        let dead = dead.join(" ");
        self.realm.tell(self.realm.nodes[0].index, Fact::WorldCalm { dead });
    }
}
