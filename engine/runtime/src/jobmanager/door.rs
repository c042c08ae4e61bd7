//! One connection to the job manager: shakes hands, then speaks as a task manager's or a client's.
//! Never touches the state of the cluster: it hands events to the desk and passes answers on.
//! Who takes the events: [`super::desk`].

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slackwater_control::metrics::Board;
use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::id::{JobEpoch, JobId, TaskManagerId};
use tokio::sync::{mpsc, oneshot, watch};

use super::lane::Outcome;
use super::savepoints::Submission;
use crate::artifact::{Arriving, Artifacts, PIECE};
use crate::host::{Conn, Host, within};
use crate::store::savepoint;
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Caller, Handshake, Role};
use crate::wire::lobby::Waiting;
use crate::wire::message::{
    Admission, Answer, Refused, Registration, Request, ToJobManager, ToTaskManager,
};
use crate::wire::session::{End, Heartbeat, Session, SessionEnd};

/// A client that asks nothing for so long is taken for gone.
const CLIENT_IDLE: Duration = Duration::from_secs(600);

/// Whether this job manager leads, as its doors see it.
#[derive(Clone)]
pub(super) enum Standing {
    /// Another leads, or nobody yet.
    Standby {
        /// Whom to ask, if that is known.
        leader: Option<String>,
    },
    /// It leads: whoever comes is for the desk of this term.
    Leads(Term),
}

/// The desk of a term, as the doors reach it.
#[derive(Clone)]
pub(super) struct Term {
    pub epoch: JobEpoch,
    pub events: mpsc::UnboundedSender<Event>,
    /// Where what task managers measure is put down: nobody is woken by it.
    pub board: Rc<RefCell<Board>>,
}

/// What the doors tell the desk.
pub(super) enum Event {
    /// A task manager registered on this connection.
    Registered {
        caller: u64,
        id: TaskManagerId,
        registration: Registration,
        outgoing: mpsc::UnboundedSender<ToTaskManager>,
    },
    /// A task manager said something.
    Said { caller: u64, message: ToJobManager },
    /// A task manager's connection is over.
    Left { caller: u64, end: SessionEnd },
    /// A job's deed in a store is done.
    Written { job: JobId, outcome: Outcome },
    /// What a job is to start from has been looked for.
    Found { submission: Submission, found: Result<savepoint::Found, String> },
    /// A client asks.
    Asked { request: Request, answer: oneshot::Sender<Answer> },
}

/// A connection that was accepted.
pub(super) struct Door {
    pub host: Arc<dyn Host>,
    pub handshake: Handshake,
    pub heartbeat: Heartbeat,
    pub standing: watch::Receiver<Standing>,
    /// The binaries that jobs were brought along in.
    pub artifacts: Artifacts,
    /// Tells the connections of one task manager apart.
    pub caller: u64,
}

impl Door {
    /// Serves the connection until it ends, or the desk's term does.
    pub async fn open(self, conn: Conn, peer: String, waiting: Waiting) {
        let mut standing = self.standing.clone();
        let gone = async { while standing.changed().await.is_ok() {} };
        tokio::select! {
            biased;
            () = gone => {}
            () = self.receive(conn, peer, waiting) => {}
        }
    }

    async fn receive(self, conn: Conn, peer: String, waiting: Waiting) {
        // A refusal has been told as a fact by the handshake; there is nobody else to tell.
        let Ok(caller) = self.handshake.receive(&*self.host, conn, &peer).await else {
            return;
        };
        drop(waiting);
        let standing = self.standing.borrow().clone();
        match standing {
            Standing::Standby { leader } => {
                let reason = match leader {
                    Some(leader) => format!("not the leader: ask {leader}"),
                    None => "not the leader: nobody is yet, try again".to_owned(),
                };
                caller.send_on(&*self.host, &reason).await;
            }
            Standing::Leads(term) => {
                let events = term.events.clone();
                tokio::select! {
                    biased;
                    () = events.closed() => {}
                    () = self.serve(&term, caller) => {}
                }
            }
        }
    }

    async fn serve(self, term: &Term, caller: Caller) {
        match caller.hello.role {
            Role::TaskManager => self.take_task_manager(term, caller).await,
            Role::Client => self.take_client(term, caller).await,
            role => {
                let reason = format!("a job manager does not talk to the role {role:?}");
                caller.refuse(&*self.host, &reason).await;
            }
        }
    }

    async fn take_task_manager(self, term: &Term, caller: Caller) {
        let id = TaskManagerId(caller.hello.name.clone());
        let registration = match caller.hello.body::<Registration>() {
            Ok(registration) if !registration.workers.is_empty() => registration,
            Ok(_) => return caller.refuse(&*self.host, "a task manager needs a worker").await,
            Err(reason) => return caller.refuse(&*self.host, &reason).await,
        };
        let caller_name = caller.hello.name.clone();
        let Ok(conn) = caller.welcome(&*self.host, &self.admission(term)).await else { return };
        let (outgoing, said) = mpsc::unbounded_channel();
        let caller = self.caller;
        term.tell(Event::Registered { caller, id, registration, outgoing });
        let (host, peer) = (Arc::clone(&self.host), caller_name);
        let (board, clock, name) = (Rc::clone(&term.board), Arc::clone(&host), peer.clone());
        let mut session = Session::new(host, End::Landlord, peer, conn, self.heartbeat)
            .taking(move |told| board.borrow_mut().take(clock.elapsed(), &name, told));
        let end = session.run(said, |message| term.tell(Event::Said { caller, message })).await;
        term.tell(Event::Left { caller, end });
    }

    async fn take_client(self, term: &Term, caller: Caller) {
        let welcomed = caller.welcome(&*self.host, &self.admission(term)).await;
        let Ok((mut reader, mut writer)) = welcomed else { return };
        let mut arriving = Arriving::default();
        while self.answer_one(term, &mut arriving, (&mut reader, &mut writer)).await.is_some() {}
    }

    /// Serves one request; `None` once the client is gone.
    async fn answer_one(
        &self,
        term: &Term,
        arriving: &mut Arriving,
        (reader, writer): (&mut FrameReader, &mut FrameWriter),
    ) -> Option<()> {
        let frame = within(&*self.host, CLIENT_IDLE, reader.read()).await?.ok()??;
        let answer = match decode_message::<Request>(&frame) {
            Ok(request) => match self.of_artifacts(&request, arriving).await {
                Some(answer) => answer,
                None => {
                    let (answer, answered) = oneshot::channel();
                    term.tell(Event::Asked { request, answer });
                    answered.await.ok()?
                }
            },
            Err(error) => Answer::Refused(Refused::Malformed(error.to_string())),
        };
        let bytes = encode_message(&answer).ok()?;
        within(&*self.host, self.heartbeat.timeout, writer.send(&bytes)).await?.ok()
    }

    /// Answers what concerns binaries, which is nothing for the desk: they change no job. `None`: the
    /// desk answers.
    async fn of_artifacts(&self, request: &Request, arriving: &mut Arriving) -> Option<Answer> {
        let answered = match request {
            Request::HasArtifact { hash } => self.artifacts.has(hash).await.map(Answer::Artifact),
            Request::PutArtifact { hash, size, offset, piece } => {
                match arriving.take((hash, *size), *offset, piece) {
                    Ok(None) => Ok(Answer::Artifact(false)),
                    Ok(Some(whole)) => {
                        let put = self.artifacts.put(hash, whole).await;
                        put.map(|()| Answer::Artifact(true))
                    }
                    Err(why) => Err(why),
                }
            }
            Request::GetArtifact { hash, offset } => {
                let piece = |whole: Bytes| {
                    let from = usize::try_from(*offset).unwrap_or(usize::MAX).min(whole.len());
                    let to = whole.len().min(from + PIECE);
                    (whole.len() as u64, whole.slice(from..to))
                };
                let found = self.artifacts.get(hash).await;
                found.map(|found| Answer::Piece(found.map(piece)))
            }
            Request::SubmitDelivered { program, .. } => {
                let hash = program.artifact().unwrap_or_default();
                match self.artifacts.has(hash).await {
                    Ok(true) => return None,
                    Ok(false) => Err(format!("there is no binary {hash}: send it first")),
                    Err(why) => Err(why),
                }
            }
            _ => return None,
        };
        let refused = |why| Answer::Refused(Refused::BadProgram(why));
        Some(answered.unwrap_or_else(refused))
    }

    fn admission(&self, term: &Term) -> Admission {
        Admission { epoch: term.epoch, heartbeat: self.heartbeat }
    }
}

impl Term {
    fn tell(&self, event: Event) {
        // The desk outlives the doors; when it is gone, so is its term.
        let _ = self.events.send(event);
    }
}
