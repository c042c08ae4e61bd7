//! One connection to the job manager: shakes hands, then speaks as a task manager's or a client's.
//! Never touches the state of the cluster: it hands events to the desk and passes answers on.
//! Who takes the events: [`super::desk`].

use std::sync::Arc;
use std::time::Duration;

use slackwater_core::codec::{decode_message, encode_message};
use slackwater_core::id::TaskManagerId;
use tokio::sync::{mpsc, oneshot};

use super::JobManagerConfig;
use crate::host::{Conn, Host, within};
use crate::wire::frame::{FrameReader, FrameWriter};
use crate::wire::handshake::{Caller, Role};
use crate::wire::message::{
    Admission, Answer, Refused, Registration, Request, ToJobManager, ToTaskManager,
};
use crate::wire::session::{End, Session, SessionEnd};

/// A client that asks nothing for so long is taken for gone.
const CLIENT_IDLE: Duration = Duration::from_secs(600);

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
    /// A client asks.
    Asked { request: Request, answer: oneshot::Sender<Answer> },
}

/// A connection that was accepted.
pub(super) struct Door {
    pub host: Arc<dyn Host>,
    pub config: JobManagerConfig,
    pub events: mpsc::UnboundedSender<Event>,
    /// Tells the connections of one task manager apart.
    pub caller: u64,
}

impl Door {
    /// Serves the connection until it ends, or the desk does.
    pub async fn open(self, conn: Conn, peer: String) {
        let events = self.events.clone();
        tokio::select! {
            biased;
            () = events.closed() => {}
            () = self.serve(conn, peer) => {}
        }
    }

    async fn serve(self, conn: Conn, peer: String) {
        // A refusal has been told as a fact by the handshake; there is nobody else to tell.
        let Ok(caller) = self.config.handshake.receive(&*self.host, conn, &peer).await else {
            return;
        };
        match caller.hello.role {
            Role::TaskManager => self.take_task_manager(caller).await,
            Role::Client => self.take_client(caller).await,
            role => {
                let reason = format!("a job manager does not talk to the role {role:?}");
                caller.refuse(&*self.host, &reason).await;
            }
        }
    }

    async fn take_task_manager(self, caller: Caller) {
        let id = TaskManagerId(caller.hello.name.clone());
        let registration = match caller.hello.body::<Registration>() {
            Ok(registration) if !registration.workers.is_empty() => registration,
            Ok(_) => return caller.refuse(&*self.host, "a task manager needs a worker").await,
            Err(reason) => return caller.refuse(&*self.host, &reason).await,
        };
        let Ok(conn) = caller.welcome(&*self.host, &self.admission()).await else { return };
        let (outgoing, said) = mpsc::unbounded_channel();
        let caller = self.caller;
        self.tell(Event::Registered { caller, id, registration, outgoing });
        let host = Arc::clone(&self.host);
        let mut session = Session::new(host, End::Landlord, conn, self.config.heartbeat);
        let end = session.run(said, |message| self.tell(Event::Said { caller, message })).await;
        self.tell(Event::Left { caller, end });
    }

    async fn take_client(self, caller: Caller) {
        let welcomed = caller.welcome(&*self.host, &self.admission()).await;
        let Ok((mut reader, mut writer)) = welcomed else { return };
        while self.answer_one(&mut reader, &mut writer).await.is_some() {}
    }

    /// Serves one request; `None` once the client is gone.
    async fn answer_one(&self, reader: &mut FrameReader, writer: &mut FrameWriter) -> Option<()> {
        let frame = within(&*self.host, CLIENT_IDLE, reader.read()).await?.ok()??;
        let answer = match decode_message::<Request>(&frame) {
            Ok(request) => {
                let (answer, answered) = oneshot::channel();
                self.tell(Event::Asked { request, answer });
                answered.await.ok()?
            }
            Err(error) => Answer::Refused(Refused::Malformed(error.to_string())),
        };
        let bytes = encode_message(&answer).ok()?;
        let timeout = self.config.heartbeat.timeout;
        within(&*self.host, timeout, writer.send(&bytes)).await?.ok()
    }

    fn admission(&self) -> Admission {
        Admission { epoch: self.config.epoch, heartbeat: self.config.heartbeat }
    }

    fn tell(&self, event: Event) {
        // The desk outlives the doors; when it is gone, so is the job manager.
        let _ = self.events.send(event);
    }
}
