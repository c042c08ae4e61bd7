//! What the director orders when facts come: who is meant, and when it is over.
//! No world runs here: facts in, orders out. Worlds are played by the scenarios, `triggers` first.

use std::time::Duration;

use slackwater_core::fact::{Down, Fact};
use slackwater_core::id::{Attempt, CheckpointId, JobEpoch, JobId};
use slackwater_core::message::MessageKind;
use slackwater_core::time::ms;

use super::*;
use crate::journal::NodeIndex;
use crate::scenario::drawn::Whom;
use crate::scenario::format::Role;
use crate::scenario::values::Pick;

const CAST: [&str; 4] = ["jm", "jm-2", "tm-1", "tm-2"];

fn told(node: u16, fact: Fact) -> Entry {
    Entry { time: ms(1), node: NodeIndex(node), fact }
}

fn elected(node: u16) -> Entry {
    told(node, Fact::LeaderElected { epoch: JobEpoch(1) })
}

fn dies(node: &str) -> Entry {
    told(0, Fact::NodeDown { node: node.into(), how: Down::Kill })
}

fn sent(node: u16, peer: &str, checkpoint: u64) -> Entry {
    let (message, job, attempt) = (MessageKind::Acknowledged, JobId(1), Attempt(1));
    let checkpoint = CheckpointId(checkpoint);
    told(node, Fact::MessageSent { message, peer: peer.into(), job, attempt, checkpoint })
}

fn at_ack(checkpoint: u64, delay: Duration) -> Moment {
    let fields = vec![("checkpoint".to_owned(), checkpoint.to_string())];
    Moment::Fact { probe: "message.sent".into(), fields, nth: 1, delay }
}

fn whom(called: &str, role: Role, touched_by: Option<&str>) -> Whom {
    let touched_by = touched_by.map(str::to_owned);
    Whom { called: called.into(), role, touched_by, pick: Pick::Number(0) }
}

/// A crash of somebody for 2 s.
fn crash(name: &str, moment: Moment, whom: Whom) -> Drawn {
    let begin = vec![Fault::Kill { node: whom.called.clone() }];
    let end = Some((ms(2_000), vec![Fault::Start { node: whom.called.clone() }]));
    Drawn { name: name.into(), moment, begin, end, until: None, whom: vec![whom] }
}

fn story(faults: &[Drawn]) -> Story {
    let mut story = Story::of(faults, 7).expect("somebody has to be directed");
    let cast = CAST.map(str::to_owned);
    assert!(story.begin(&cast).is_empty(), "nothing here begins at a time");
    story
}

/// Orders in words.
fn words(orders: Orders) -> Vec<String> {
    let word = |(delay, action): (Duration, Action)| match action {
        Action::Fault(fault) if delay.is_zero() => fault.to_string(),
        Action::Fault(fault) => format!("{fault} in {delay:?}"),
        Action::Timer(timer) => format!("timer {timer} in {delay:?}"),
        Action::Run { node, .. } => format!("run on {node}"),
    };
    orders.into_iter().map(word).collect()
}

#[test]
fn the_leader_of_that_moment_is_meant() {
    let mut story = story(&[crash("kill", at_ack(3, ms(0)), whom("leader", Role::Leader, None))]);
    assert!(story.on_fact(&elected(0)).is_empty());
    assert!(story.on_fact(&elected(1)).is_empty());
    assert!(story.on_fact(&sent(2, "jm-2:6123", 2)).is_empty(), "another checkpoint");
    let orders = words(story.on_fact(&sent(2, "jm-2:6123", 3)));
    assert_eq!(orders, ["began kill", "kill jm-2", "timer 1 in 2s"]);
    assert_eq!(words(story.on_timer(1)), ["start jm-2", "ended kill"]);
    assert!(story.on_timer(1).is_empty(), "it is over");
}

#[test]
fn only_the_living_that_had_to_do_with_it_are_meant() {
    let touched = || whom("victim", Role::TaskManager, Some("checkpoint 3"));
    let after = Moment::After { name: "first".into(), delay: ms(0) };
    for (died, expected) in [(None, Some("kill tm-1")), (Some("tm-1"), None)] {
        let mut story = story(&[crash("kill", after.clone(), touched())]);
        story.on_fact(&sent(2, "jm:6123", 3));
        story.on_fact(&sent(3, "jm:6123", 4));
        died.iter().for_each(|node| assert!(story.on_fact(&dies(node)).is_empty()));
        let orders = words(story.on_fact(&told(0, Fact::FaultBegan { fault: "first".into() })));
        assert_eq!(orders.get(1).map(String::as_str), expected, "{died:?}");
    }
}

#[test]
fn a_message_names_the_link_that_breaks_until_something_else_comes() {
    let mut held = crash("hold", at_ack(3, ms(5)), whom("sender", Role::Sender, None));
    held.whom.push(whom("receiver", Role::Receiver, None));
    held.begin = vec![Fault::Hold { from: "sender".into(), to: "receiver".into() }];
    let between = ("sender".to_owned(), "receiver".to_owned());
    held.end = Some((Duration::MAX, vec![Fault::Release { between }]));
    held.until = Some(Moment::After { name: "other".into(), delay: ms(0) });
    let mut story = story(&[held]);
    assert_eq!(words(story.on_fact(&sent(3, "jm:6123", 3))), ["timer 0 in 5ms"]);
    assert_eq!(words(story.on_timer(0)), ["began hold", "hold tm-2 jm"]);
    let other = Fact::FaultBegan { fault: "other-2".into() };
    assert_eq!(words(story.on_fact(&told(0, other))), ["release tm-2 jm", "ended hold"]);
}

#[test]
fn a_step_asks_the_director_before_it_is_taken() {
    let mut story = story(&[crash("kill", Moment::Step(9), whom("x", Role::Standby, None))]);
    story.on_fact(&elected(0));
    assert_eq!(story.next_step(), 9);
    assert_eq!(words(story.on_step(9)).get(1).map(String::as_str), Some("kill jm-2"));
    assert_eq!(story.next_step(), u64::MAX);
}

#[test]
fn a_victim_of_whom_nothing_is_known_yet_is_waited_for() {
    let early = Moment::After { name: "first".into(), delay: ms(0) };
    let victim = whom("victim", Role::TaskManager, Some("checkpoint 3"));
    let mut story = story(&[crash("kill", early, victim)]);
    assert!(story.on_fact(&told(0, Fact::FaultBegan { fault: "first".into() })).is_empty());
    assert!(story.on_fact(&sent(0, "tm-2:1", 2)).is_empty(), "another checkpoint");
    let orders = words(story.on_fact(&sent(0, "tm-2:1", 3)));
    assert_eq!(orders.get(1).map(String::as_str), Some("kill tm-2"), "to whom it is sent");
}
