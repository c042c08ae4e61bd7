//! How far event time has come for each key group: the operator's watermark, or what the group had
//! seen before a restore, whichever is greater (semantics rule 5).
//! Knows nothing of windows; who is late is decided in [`super::stage`].

use slackwater_core::time::EventTime;

/// The watermarks that judge records.
pub(super) struct Watermarks {
    own: EventTime,
    /// By position of the group: as its last execution had it.
    restored: Vec<EventTime>,
    /// Whether any group is ahead of the operator.
    ahead: bool,
}

impl Watermarks {
    pub(super) fn new(groups: usize) -> Self {
        Self { own: EventTime::MIN, restored: vec![EventTime::MIN; groups], ahead: false }
    }

    /// Takes what the groups had seen. The operator itself goes on from the least of them.
    pub(super) fn restore(&mut self, restored: Vec<EventTime>) {
        assert_eq!(restored.len(), self.restored.len(), "one watermark a group");
        self.own = restored.iter().copied().min().unwrap_or(EventTime::MIN);
        self.restored = restored;
        self.ahead = self.restored.iter().any(|group| *group > self.own);
    }

    /// The operator's own.
    pub(super) fn own(&self) -> EventTime {
        self.own
    }

    /// Advances the operator's own; whether it did.
    pub(super) fn advance(&mut self, watermark: EventTime) -> bool {
        if watermark <= self.own {
            return false;
        }
        self.own = watermark;
        if self.ahead {
            self.ahead = self.restored.iter().any(|group| *group > watermark);
        }
        true
    }

    /// The watermark that judges the records of a group.
    pub(super) fn judge(&self, position: usize) -> EventTime {
        self.restored[position].max(self.own)
    }

    /// What a group's last execution had seen.
    pub(super) fn restored(&self) -> &[EventTime] {
        &self.restored
    }

    /// Whether any group is judged by more than the operator's own watermark.
    pub(super) fn ahead(&self) -> bool {
        self.ahead
    }
}
