//! Who reads whom in what a program has declared, and who shares a chain with whom.
//! Looks at declarations and changes none of them; equal declarations are laid out alike.
//! What is made of it: [`super::translate`].

use slackwater_core::time::Clock;

use super::env::Draft;
use super::node::Route;
use crate::watermark::Quantum;

/// Who reads whom, and who shares a chain with whom.
pub(super) struct Layout<'a> {
    pub draft: &'a Draft,
    pub parallelism: Vec<u32>,
    /// By operator and output: the operators that read it, each with the index of its input.
    pub readers: Vec<Vec<Vec<(usize, usize)>>>,
    /// By operator: its vertex.
    pub vertex: Vec<u32>,
    /// By vertex: its first operator.
    pub heads: Vec<usize>,
}

impl<'a> Layout<'a> {
    pub fn new(draft: &'a Draft, parallelism: Vec<u32>) -> Self {
        let nodes = &draft.nodes;
        let mut readers: Vec<Vec<Vec<_>>> =
            nodes.iter().map(|node| vec![Vec::new(); node.outputs.len()]).collect();
        for (reader, node) in nodes.iter().enumerate() {
            for (input, link) in node.inputs.iter().enumerate() {
                readers[link.from][link.output].push((reader, input));
            }
        }
        let mut layout =
            Self { draft, parallelism, readers, vertex: Vec::new(), heads: Vec::new() };
        // An operator is declared behind what it reads: this order is topological.
        for node in 0..nodes.len() {
            let vertex = match layout.chained_to(node) {
                Some(feeder) => layout.vertex[feeder],
                None => {
                    layout.heads.push(node);
                    layout.heads.len() as u32 - 1
                }
            };
            layout.vertex.push(vertex);
        }
        layout
    }

    /// The operator whose chain this one joins.
    pub fn chained_to(&self, node: usize) -> Option<usize> {
        match self.draft.nodes[node].inputs.as_slice() {
            [link] if self.draft.chaining && matches!(link.route, Route::Forward) => {
                let same = self.parallelism[link.from] == self.parallelism[node];
                same.then_some(link.from)
            }
            _ => None,
        }
    }

    /// The names of a chain, head first; branches in parentheses.
    pub fn chain_name(&self, node: usize) -> String {
        let name = &self.draft.nodes[node].name;
        let behind = self.readers[node].iter().flatten();
        let chained = behind.filter(|(reader, _)| self.chained_to(*reader) == Some(node));
        let mut branches: Vec<_> = chained.map(|(reader, _)| self.chain_name(*reader)).collect();
        match branches.len() {
            0 => name.clone(),
            1 => format!("{name} -> {}", branches.remove(0)),
            _ => format!("{name} -> ({})", branches.join(", ")),
        }
    }

    /// Which watermarks of this operator anything behind it can tell apart.
    pub fn visible_from(&self, node: usize) -> Quantum {
        if self.draft.clock == Clock::Processing {
            return Quantum::NOTHING;
        }
        let mut reached = vec![false; self.draft.nodes.len()];
        reached[node] = true;
        let mut visible = Quantum::NOTHING;
        // Readers stand behind what they read, so one pass reaches everything.
        for (index, declared) in self.draft.nodes.iter().enumerate().skip(node) {
            reached[index] |= declared.inputs.iter().any(|link| reached[link.from]);
            if reached[index] {
                visible = visible.and(declared.sees);
            }
        }
        visible
    }
}
