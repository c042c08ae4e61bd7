//! Code that is delivered, in a world: a path is a binary, whatever it is called, and every binary brings
//! the programs of the world along. Nothing but the spawn is simulated: what runs in such a process is the
//! engine's own. Who types such a path: [`super::person`]; who starts the process: the task manager.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use slackwater_cli::delivery::{Delivers, Described};
use slackwater_cli::exit::Failure;
use slackwater_core::program::Program;
use slackwater_dataflow::task::Programs;
use slackwater_runtime::host::{Host, LocalFuture, TaskHandle};
use slackwater_runtime::taskmanager::process::{Launched, Launcher};
use slackwater_runtime::worker::process::{Calling, serve};
use tokio::sync::oneshot;

/// How long a binary is, in bytes: two pieces and a half, so that it does not arrive at once.
const LENGTH: usize = 5 << 19;

/// The binaries of a world.
pub(super) struct Binaries(pub Arc<dyn Programs>);

impl Delivers for Binaries {
    fn read(&self, path: &str) -> Result<Bytes, Failure> {
        // Another path is another build.
        Ok(path.bytes().cycle().take(LENGTH).collect())
    }

    fn describe(
        &self,
        _host: Arc<dyn Host>,
        _path: &str,
        program: Option<&Program>,
    ) -> LocalFuture<Result<Described, Failure>> {
        let described = Described::of(&*self.0, program);
        Box::pin(std::future::ready(Ok(described)))
    }

    fn sent(&self, _words: &str) {}
}

impl Launcher for Binaries {
    /// Fetched anew by each process: a world that crashes has nothing at hand.
    fn has(&self, _hash: &str) -> bool {
        false
    }

    fn keep(&self, _hash: &str, _binary: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn launch(
        &self,
        host: &Arc<dyn Host>,
        _hash: &str,
        calling: &Calling,
    ) -> Result<Box<dyn Launched>, String> {
        let (tell, told) = oneshot::channel();
        let (calling, programs) = (calling.clone(), Arc::clone(&self.0));
        let main = move |host: Arc<dyn Host>| {
            let running = async move {
                let served = serve(host, calling, programs).await;
                let how =
                    served.map_or_else(|why| format!("ended: {why}"), |()| "ended".to_owned());
                // Nobody may wait for it any more.
                let _ = tell.send(how);
            };
            Box::pin(running) as LocalFuture<()>
        };
        let running = host.spawn_worker("worker process", Box::new(main));
        Ok(Box::new(Process { running, told: Some(told) }))
    }
}

struct Process {
    running: TaskHandle,
    told: Option<oneshot::Receiver<String>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Launched for Process {
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = String> + '_>> {
        Box::pin(async move {
            let Some(told) = &mut self.told else { return "ended".to_owned() };
            let how = told.await.unwrap_or_else(|_| "was killed".to_owned());
            self.told = None;
            how
        })
    }
}
