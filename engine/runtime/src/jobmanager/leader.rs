//! Who leads: stands by while another's lease is renewed, takes the lease, leads for a term.
//! Never trusts a clock but its own, and does nothing more once its lease may be over: what a late
//! leader still tries is stopped by the logs of the jobs (semantics rules 16 and 24).
//! What a leader does in its term is [`super::desk`]; the lease's bytes are `store`'s.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slackwater_core::fact::{Detail, Fact};
use slackwater_core::id::JobEpoch;
use slackwater_dataflow::task::Programs;
use tokio::sync::{mpsc, watch};

use super::desk::Desk;
use super::door::{Standing, Term};
use super::{JobManagerConfig, longer, shorter};
use crate::host::{Host, within};
use crate::store::lease::Watch;
use crate::store::{Lease, Store};

/// How often a lease is renewed, and looked at by a standby, in its own time.
const LOOKS: u32 = 4;

/// Until when a term lasts for certain, on the leader's clock: moved on by each renewal.
#[derive(Clone)]
pub(super) struct Reign(Rc<Cell<Duration>>);

impl Reign {
    /// A term without a lease: nobody else can lead.
    fn without_end() -> Self {
        Self(Rc::new(Cell::new(Duration::MAX)))
    }

    /// Whether the term lasts.
    pub fn lasts(&self, now: Duration) -> bool {
        now < self.0.get()
    }
}

/// The part of a job manager that decides when it may act at all.
pub(super) struct Leader {
    pub host: Arc<dyn Host>,
    pub config: JobManagerConfig,
    pub programs: Arc<dyn Programs>,
    /// Where the lease is, and the jobs' logs; `None`: nobody else can lead.
    pub store: Option<Store>,
    /// Where this job manager listens, for those that ask another.
    pub address: String,
    pub standing: watch::Sender<Standing>,
}

impl Leader {
    /// Leads whenever it can, until it is dropped.
    pub async fn run(self) {
        let Some(store) = &self.store else {
            let (reign, epoch) = (Reign::without_end(), self.config.epoch);
            self.host.tell(Fact::JobManagerStarted { epoch });
            return drop(self.lead(epoch, &reign).await);
        };
        loop {
            let (mut lease, reign) = self.campaign(store).await;
            let epoch = lease.epoch();
            self.host.tell(Fact::LeaderElected { epoch });
            self.host.tell(Fact::JobManagerStarted { epoch });
            let cause = tokio::select! {
                biased;
                cause = self.keep(&mut lease, &reign) => cause,
                cause = self.lead(epoch, &reign) => cause,
            };
            self.standing.send_replace(Standing::Standby { leader: None });
            self.host.tell(Fact::LeaderLost { epoch, cause });
        }
    }

    /// Serves a term; says why it ended.
    async fn lead(&self, epoch: JobEpoch, reign: &Reign) -> String {
        let (events, received) = mpsc::unbounded_channel();
        let term = Term { epoch, events, board: Rc::default() };
        let desk = Desk::new(self, &term, reign.clone());
        let open = || drop(self.standing.send_replace(Standing::Leads(term.clone())));
        desk.run(received, open).await
    }

    /// Waits until the lease of somebody else has run out on this clock, and takes it.
    async fn campaign(&self, store: &Store) -> (Lease, Reign) {
        let timeout = self.config.lease_timeout;
        let (mut watch, mut told) = (Watch::new(self.host.elapsed()), None);
        loop {
            let asked = self.host.elapsed();
            // A store that does not answer shows no lease that has run out.
            if let Ok(newest) = Lease::newest(store).await {
                watch.observe(self.host.elapsed(), newest.as_ref());
                // From after it was first seen to before it was last asked for: no renewal that its
                // holder knows of can hide in between.
                let over = newest.is_none() || watch.silent_for(asked) >= longer(timeout);
                let epoch = newest.as_ref().map_or(JobEpoch(0), |term| term.epoch);
                if over && let Some(taken) = self.take(store, epoch).await {
                    return taken;
                }
                if let Some(term) = newest.filter(|_| told != Some(epoch)) {
                    told = Some(epoch);
                    self.stand_by(term.holder, epoch);
                }
            }
            self.host.sleep(timeout / LOOKS).await;
        }
    }

    fn stand_by(&self, leader: String, epoch: JobEpoch) {
        self.host.tell(Fact::LeaderStandby { leader: leader.clone(), epoch });
        let leader = Some(leader).filter(|leader| !leader.is_empty());
        self.standing.send_replace(Standing::Standby { leader });
    }

    /// Takes the term after `epoch`, if nobody is faster.
    async fn take(&self, store: &Store, epoch: JobEpoch) -> Option<(Lease, Reign)> {
        let asked = self.host.elapsed();
        // A store that does not answer: looked at again.
        let lease = Lease::try_take(store, &self.address, epoch).await.ok()??;
        let reign = Reign(Rc::new(Cell::new(asked + shorter(self.config.lease_timeout))));
        reign.lasts(self.host.elapsed()).then_some((lease, reign))
    }

    /// Renews the lease for as long as that works; says why it does no longer.
    async fn keep(&self, lease: &mut Lease, reign: &Reign) -> String {
        let timeout = self.config.lease_timeout;
        let epoch = lease.epoch();
        loop {
            self.host.sleep(timeout / LOOKS).await;
            let asked = self.host.elapsed();
            let left = reign.0.get().saturating_sub(asked);
            if left.is_zero() {
                return format!("its lease was not renewed within {timeout:?}");
            }
            match within(&*self.host, left, lease.renew()).await {
                Some(Ok(())) => {
                    if self.host.detail() >= Detail::Flow {
                        self.host.tell(Fact::LeaderRenewed { epoch });
                    }
                    reign.0.set(asked + shorter(timeout));
                }
                Some(Err(error)) if error.is_fenced() => return error.to_string(),
                // Tried again for as long as the lease holds.
                Some(Err(_)) | None => {}
            }
        }
    }
}
