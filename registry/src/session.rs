//! Requests about one repository at one place: authorized, and tried again where that helps.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use assembler::reporter::Reporter;
use reqwest::{StatusCode, header};

use crate::{
    ClientConfig, RegistryError, challenge,
    endpoint::Endpoint,
    retry::{Backoff, ONCE, PATIENT},
    token::{Caller, Tokens},
    transport::{Answer, Ask, Asked, AskedAs, Transport},
};

/// What all clones of a client share.
pub(crate) struct Shared {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) transport: Transport,
    pub(crate) tokens: Tokens,
    /// Bounds how many blobs are fetched at once; whoever waits longest is next.
    pub(crate) blobs: Arc<tokio::sync::Semaphore>,
    /// Mirrors that failed, which are not asked again: each request would wait for them anew.
    pub(crate) failed: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// Tells whether a place has not failed yet.
    pub(crate) fn is_worth_asking(&self, endpoint: &Endpoint) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        !endpoint.is_mirror() || !failed.contains(&endpoint.registry)
    }

    /// Takes note that a mirror failed; tells whether that is news.
    pub(crate) fn give_up(&self, mirror: &Endpoint) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(mirror.registry.clone())
    }
}

/// One repository at one place.
pub(crate) struct Session<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: String,
    /// What it may do there, in a token server's words.
    pub(crate) actions: &'static str,
    pub(crate) reporter: &'a dyn Reporter,
}

/// An answer to an authorized request, of any status.
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) asked_as: AskedAs,
}

impl Session<'_> {
    /// Counts tries of one request: a mirror has one, the registry itself more.
    pub(crate) fn backoff(&self) -> Backoff {
        let limit = if self.endpoint.is_mirror() {
            ONCE
        } else {
            PATIENT
        };
        Backoff::new(self.shared.config.retry_base, limit)
    }

    /// Sends a request, with what was granted earlier or after answering one challenge.
    pub(crate) async fn send(&self, mut ask: Ask) -> Result<Reply, RegistryError> {
        let caller = Caller {
            transport: &self.shared.transport,
            endpoint: self.endpoint,
            repository: &self.repository,
            actions: self.actions,
            reporter: self.reporter,
        };
        let tokens = &self.shared.tokens;
        let mut grant = tokens.current(caller).await;
        let mut challenged = false;
        loop {
            ask.authorization = grant.as_ref().map(|grant| grant.header.clone());
            let answer = self.shared.transport.send(&ask).await?;
            let refused = answer.status() == StatusCode::UNAUTHORIZED && !answer.redirected;
            if refused && !challenged {
                let wanted = answer.header_values(header::WWW_AUTHENTICATE);
                if let Some(challenge) = challenge::read(wanted) {
                    drop(answer);
                    grant = Some(tokens.renew(caller, grant.as_ref(), &challenge).await?);
                    challenged = true;
                    continue;
                }
            }
            return Ok(Reply {
                answer,
                asked_as: grant.map_or(AskedAs::Nobody, |grant| grant.asked_as),
            });
        }
    }

    /// Passes a successful answer on and turns any other into an error about `what`.
    pub(crate) async fn check(&self, reply: Reply, what: &str) -> Result<Answer, RegistryError> {
        let asked = Asked {
            registry: &self.endpoint.registry,
            repository: &self.repository,
            what,
            by: reply.asked_as,
        };
        self.shared.transport.check(reply.answer, &asked).await
    }
}
