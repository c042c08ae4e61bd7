//! A client that brings the code of its job along: the binary travels once, piece by piece.
//! Never runs it and never believes that it has arrived before the job manager says so. What a binary
//! is called and how long it may be: [`crate::artifact`]; other requests are in [`super`].

use bytes::Bytes;
use slackwater_core::graph::JobGraph;
use slackwater_core::id::JobId;
use slackwater_core::program::Program;
use slackwater_core::savepoint::StartFrom;

use super::{Client, ClientError};
use crate::artifact::{self, ARTIFACT_MAX, PIECE};
use crate::host::Host;
use crate::wire::message::{Answer, Refused, Request};

impl Client {
    /// Sends a binary, unless the job manager has it; gives whether it was sent.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the job manager does not take it; [`ClientError::Unreachable`].
    ///
    /// # Cancel safety
    /// What was sent in part is not there; it is sent again from its beginning.
    pub async fn deliver(&mut self, host: &dyn Host, binary: &Bytes) -> Result<bool, ClientError> {
        let (hash, size) = (artifact::hash(binary), binary.len() as u64);
        if self.has_artifact(host, &hash).await? {
            return Ok(false);
        }
        let mut offset = 0;
        while offset < binary.len() {
            let piece = binary.slice(offset..binary.len().min(offset + PIECE));
            let next = offset + piece.len();
            let (hash, offset_now) = (hash.clone(), offset as u64);
            let put = Request::PutArtifact { hash, size, offset: offset_now, piece };
            match self.ask(host, &put).await? {
                Answer::Artifact(is_there) if is_there == (next == binary.len()) => offset = next,
                other => return Err(self.unexpected(&other)),
            }
        }
        Ok(true)
    }

    /// Whether the job manager has the binary of this hash.
    ///
    /// # Errors
    /// As [`Client::deliver`].
    pub async fn has_artifact(&mut self, host: &dyn Host, hash: &str) -> Result<bool, ClientError> {
        match self.ask(host, &Request::HasArtifact { hash: hash.to_owned() }).await? {
            Answer::Artifact(is_there) => Ok(is_there),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Fetches a binary by its hash, and verifies it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the job manager does not have it, or what it has is another one;
    /// [`ClientError::Unreachable`].
    pub async fn fetch(&mut self, host: &dyn Host, hash: &str) -> Result<Vec<u8>, ClientError> {
        let refused = |why: String| Err(ClientError::Refused(Refused::BadProgram(why)));
        let mut binary = Vec::new();
        loop {
            let get = Request::GetArtifact { hash: hash.to_owned(), offset: binary.len() as u64 };
            let (size, piece) = match self.ask(host, &get).await? {
                Answer::Piece(Some(piece)) => piece,
                Answer::Piece(None) => {
                    return refused(format!("the job manager has no binary {hash}"));
                }
                other => return Err(self.unexpected(&other)),
            };
            binary.extend_from_slice(&piece);
            let here = binary.len() as u64;
            if size > ARTIFACT_MAX || here > size || (piece.is_empty() && here < size) {
                return refused(format!("the pieces of binary {hash} do not fit together"));
            }
            if here == size {
                let is_it = artifact::hash(&binary) == hash;
                let damaged = || format!("the job manager's binary {hash} is damaged");
                return if is_it { Ok(binary) } else { refused(damaged()) };
            }
        }
    }

    /// As [`Client::submit_from`], of a program that a binary brings along which was delivered.
    ///
    /// # Errors
    /// As [`Client::submit_from`]; [`ClientError::Refused`] if the binary is not there.
    pub async fn submit_delivered(
        &mut self,
        host: &dyn Host,
        job: JobId,
        (program, graph): (Program, JobGraph),
        from: Option<StartFrom>,
    ) -> Result<JobId, ClientError> {
        let graph = Box::new(graph);
        match self.ask(host, &Request::SubmitDelivered { job, program, graph, from }).await? {
            Answer::Submitted(job) => Ok(job),
            other => Err(self.unexpected(&other)),
        }
    }
}
