//! The promise of the control plane's messages: none arrives that was not sent, and none arrives
//! twice, also when connections are reset while they are on their way.
//! What a lost message costs is told by the scenario `messages-cut`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use slackwater_core::fact::Fact;
use slackwater_dataflow::task::Programs;
use slackwater_sim::scenario::{play, turns};
use slackwater_sim::verb::files::read;

#[test]
fn no_message_arrives_that_was_not_sent_and_none_twice() {
    let programs: Arc<dyn Programs> = Arc::new(slackwater_jobs::catalog());
    let path = Path::new("scenarios/messages-cut.toml");
    let scenario = read(path, &programs).expect("the scenario is read");
    let (mut arrived, mut lost) = (0, 0);
    for turn in turns(&scenario, None) {
        let played = play(&scenario, turn, &programs, true);
        let journal = played.journal.expect("it was kept");
        let mut under_way = BTreeMap::new();
        for entry in journal.entries() {
            match &entry.fact {
                Fact::MessageSent { message, job, attempt, checkpoint, .. } => {
                    *under_way.entry((*message, *job, *attempt, *checkpoint)).or_insert(0) += 1;
                }
                Fact::MessageReceived { message, job, attempt, checkpoint, .. } => {
                    let sent = under_way.get_mut(&(*message, *job, *attempt, *checkpoint));
                    let left = sent.filter(|left| **left > 0);
                    *left.unwrap_or_else(|| panic!("never sent: {}", journal.line(entry))) -= 1;
                    arrived += 1;
                }
                _ => {}
            }
        }
        lost += under_way.values().sum::<i32>();
    }
    assert!(arrived > 200, "{arrived} messages arrived");
    assert!(lost > 0, "no message was lost: nothing was cut off");
}
