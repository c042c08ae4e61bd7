//! Where a node of a cluster is reached from, and what strangers have to say: `--bind`, `--advertise`,
//! `--token-file`. Off loopback nothing starts without a token: whoever reaches a node may run code on it.
//! What the nodes do with it is in [`crate::node`]; what clients bring along in [`crate::remote`].

use std::net::IpAddr;

use clap::Args;
use slackwater_connect::{log, series};
use slackwater_runtime::host::disk::Disk;
use slackwater_runtime::wire::handshake::Handshake;
use slackwater_runtime::wire::token::Token;

use crate::exit::{Exit, Failure};
use crate::remote::token;

/// Where a node listens, and to whom it listens.
#[derive(Clone, Debug, Args)]
pub struct Network {
    /// The address of this machine to listen on, such as `0.0.0.0` for all of them: others than this
    /// machine reach it then, so that it needs --token-file
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// The name or address under which other machines find this one, unless it is that of --bind
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub advertise: Option<String>,
    /// A file with the token that nodes, clients and whoever changes something over REST have to say:
    /// `openssl rand -hex 32` prints one
    #[arg(long, alias = "rest-token-file", value_name = "FILE", env = "SLACKWATER_TOKEN_FILE")]
    pub token_file: Option<String>,
}

impl Network {
    /// Whether others than this machine reach it.
    pub(crate) fn is_exposed(&self) -> bool {
        !self.bind.is_loopback()
    }

    /// The token, if there is one.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it needs one and was given none; [`Exit::BadInput`] if it cannot be read.
    pub(crate) fn token(&self) -> Result<Option<Token>, Failure> {
        match &self.token_file {
            Some(file) => token(&Disk, file).map(Some),
            None if self.is_exposed() => {
                let words = format!(
                    "--bind {}: others than this machine could run code here: say --token-file FILE, with \
                     the same token on every node (`openssl rand -hex 32` prints one)",
                    self.bind
                );
                Err(Failure::new(Exit::Usage, words))
            }
            None => Ok(None),
        }
    }

    /// How it shakes hands.
    ///
    /// # Errors
    /// As [`Network::token`].
    pub(crate) fn handshake(&self) -> Result<Handshake, Failure> {
        Ok(Handshake { token: self.token()?, ..Handshake::default() })
    }

    /// Under which name or address others reach it; `None`: it was not told, and listens on all.
    pub(crate) fn advertised(&self) -> Option<String> {
        let own = match self.bind {
            bind if bind.is_loopback() => Some("localhost".to_owned()),
            bind if bind.is_unspecified() => None,
            IpAddr::V6(bind) => Some(format!("[{bind}]")),
            IpAddr::V4(bind) => Some(bind.to_string()),
        };
        self.advertise.clone().or(own)
    }

    /// The same for a node that others have to find.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it was not told.
    pub(crate) fn must_be_found(&self) -> Result<String, Failure> {
        self.advertised().ok_or_else(|| {
            let words = format!(
                "--bind {}: where do other task managers find this one? say --advertise HOST",
                self.bind
            );
            Failure::new(Exit::Usage, words)
        })
    }
}

/// Where the demo looks for its database and its log, unless it is told: on this machine.
pub(crate) fn demo() -> [&'static str; 2] {
    [series::ADDRESS, log::ADDRESS].map(|at| at.split(':').next().unwrap_or(at))
}

/// A host without a port.
fn host(text: &str) -> Result<String, String> {
    let is_v6 = text.starts_with('[') && text.ends_with(']');
    if text.is_empty() || text.contains(['/', ',', ' ']) || (text.contains(':') && !is_v6) {
        return Err(format!("expected a name or an address without a port, found {text:?}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(bind: &str, advertise: Option<&str>) -> Network {
        let bind = bind.parse().expect("an address");
        Network { bind, advertise: advertise.map(str::to_owned), token_file: None }
    }

    #[test]
    fn a_node_is_found_where_it_listens_unless_it_says_otherwise() {
        for (bind, advertise, found) in [
            ("127.0.0.1", None, Some("localhost")),
            ("::1", None, Some("localhost")),
            ("10.0.0.7", None, Some("10.0.0.7")),
            ("fd00::7", None, Some("[fd00::7]")),
            ("0.0.0.0", None, None),
            ("::", None, None),
            ("0.0.0.0", Some("tm-7.example.org"), Some("tm-7.example.org")),
        ] {
            let network = network(bind, advertise);
            assert_eq!(network.advertised().as_deref(), found, "{bind}");
            assert_eq!(network.token().is_err(), network.is_exposed(), "{bind}");
        }
        assert!(network("0.0.0.0", None).must_be_found().is_err());
        assert!(host("[fd00::7]").is_ok() && host("jm.example.org").is_ok());
        assert!(host("jm:6123").is_err() && host("").is_err());
    }
}
