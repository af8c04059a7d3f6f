//! Who we are to a registry: nobody, a name and password, or the bearer of a token that a token server granted.
//!
//! Invariants: nothing is asked for before a registry answers 401; one flow at a time for a repository, whoever else needs
//! it waits and shares the result; refused credentials are an error, never a reason to go on as nobody.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use assembler::reporter::{Event, Reporter};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode, Url, header::HeaderValue};

use crate::{
    ClientConfig, RedactedUrl, RegistryError,
    challenge::{self, Challenge},
    credentials::{Credential, Place},
    endpoint::Endpoint,
    protocol,
    token_cache::{Key, TokenCache},
    transport::{Ask, Asked, AskedAs, Redirects, Transport},
};

/// What is asked of a token server to read.
pub(crate) const PULL: &str = "pull";
/// What is asked of it to write.
pub(crate) const PUSH: &str = "pull,push";
const TOKEN_LIMIT: u64 = 1 << 20;
/// A token is not used in its last moments: the request has yet to arrive.
const MARGIN: Duration = Duration::from_secs(10);

/// What was granted so far, by registry and repository.
pub(crate) struct Tokens {
    config: Arc<ClientConfig>,
    disk: Option<TokenCache>,
    slots: Mutex<BTreeMap<(String, String, &'static str), SharedSlot>>,
}

/// Locked for as long as a token is being asked for.
type SharedSlot = Arc<tokio::sync::Mutex<Slot>>;

#[derive(Default)]
struct Slot {
    looked_on_disk: bool,
    grant: Option<Arc<Grant>>,
}

/// What goes into `Authorization`.
pub(crate) struct Grant {
    pub(crate) header: HeaderValue,
    pub(crate) asked_as: AskedAs,
    expires: Option<SystemTime>,
}

/// On whose behalf something is asked.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    pub(crate) actions: &'static str,
    pub(crate) reporter: &'a dyn Reporter,
}

impl Tokens {
    pub(crate) fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            disk: config.token_cache.clone().map(TokenCache::new),
            config,
            slots: Mutex::default(),
        }
    }

    /// Returns what was granted earlier and still holds.
    pub(crate) async fn current(&self, caller: Caller<'_>) -> Option<Arc<Grant>> {
        let slot = self.slot(caller);
        let mut slot = slot.lock().await;
        let now = (self.config.clock)();
        if !slot.looked_on_disk {
            slot.looked_on_disk = true;
            // Credentials that cannot be read are an error once they are asked for.
            if let (Some(disk), Ok(place)) = (&self.disk, self.place(caller)) {
                let kept = disk.load(&key(caller, &place), now);
                slot.grant = kept.and_then(|(token, expires)| {
                    let asked_as = match place {
                        Place::Nowhere => AskedAs::Nobody,
                        Place::Here(_) | Place::Helper(_) => AskedAs::Known,
                    };
                    bearer(&token, asked_as, expires).map(Arc::new)
                });
            }
        }
        let holds = |grant: &Arc<Grant>| grant.expires.is_none_or(|end| now + MARGIN < end);
        slot.grant = slot.grant.take().filter(holds);
        slot.grant.clone()
    }

    /// Answers a challenge to a request that was sent with `used`.
    pub(crate) async fn renew(
        &self,
        caller: Caller<'_>,
        used: Option<&Arc<Grant>>,
        challenge: &Challenge,
    ) -> Result<Arc<Grant>, RegistryError> {
        let slot = self.slot(caller);
        let mut slot = slot.lock().await;
        if let Some(grant) = &slot.grant
            && used.is_none_or(|used| !Arc::ptr_eq(used, grant))
        {
            return Ok(Arc::clone(grant));
        }
        slot.grant = None;
        let grant = Arc::new(self.authenticate(caller, challenge).await?);
        slot.grant = Some(Arc::clone(&grant));
        Ok(grant)
    }

    fn slot(&self, caller: Caller<'_>) -> SharedSlot {
        let key = (
            caller.endpoint.registry.clone(),
            caller.repository.to_owned(),
            caller.actions,
        );
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(key).or_default())
    }

    fn place(&self, caller: Caller<'_>) -> Result<Place, RegistryError> {
        let registry = &caller.endpoint.registry;
        let sources = &self.config.credentials;
        sources
            .place(registry, caller.repository)
            .map_err(|source| RegistryError::Credentials {
                registry: registry.clone(),
                source,
            })
    }

    async fn credential(
        &self,
        caller: Caller<'_>,
        place: &Place,
    ) -> Result<Option<Credential>, RegistryError> {
        match self.config.credentials.get(place).await {
            Ok(credential) => Ok(credential),
            // A program named for all registries may know nothing of this one: most images need no name.
            Err(error) if matches!(place, Place::Helper(helper) if !helper.specific) => {
                let registry = &caller.endpoint.registry;
                let message = format!("{registry} is asked without credentials: {error}");
                caller.reporter.event(Event::Warning { message: &message });
                Ok(None)
            }
            Err(source) => Err(RegistryError::Credentials {
                registry: caller.endpoint.registry.clone(),
                source,
            }),
        }
    }

    async fn authenticate(
        &self,
        caller: Caller<'_>,
        challenge: &Challenge,
    ) -> Result<Grant, RegistryError> {
        let place = self.place(caller)?;
        let (realm, service, scope) = match challenge {
            Challenge::Basic => {
                return match self.credential(caller, &place).await? {
                    Some(Credential::Password { user, password }) => Ok(Grant {
                        header: basic(&user, &password),
                        asked_as: AskedAs::Known,
                        expires: None,
                    }),
                    other => Err(unauthorized(caller, asked_as(other.as_ref()))),
                };
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => (realm, service, scope),
        };
        // Before the credentials are even looked up.
        let realm = challenge::check_realm(caller.endpoint, realm)?;
        let credential = self.credential(caller, &place).await?;
        let pull_only = |scope: &&String| {
            scope.starts_with("repository:") && scope.ends_with(":pull") && !scope.contains(' ')
        };
        let scope = scope
            .as_ref()
            .filter(|scope| caller.actions == PULL && pull_only(scope))
            .cloned()
            .unwrap_or_else(|| scope_of(caller));
        let ask = token_request(realm, service.as_deref(), &scope, credential.as_ref());
        let granted = self
            .ask_token(caller, &ask, asked_as(credential.as_ref()))
            .await?;
        let expires = (self.config.clock)() + granted.lifetime;
        let grant =
            bearer(&granted.token, asked_as(credential.as_ref()), expires).ok_or_else(|| {
                RegistryError::Protocol {
                    url: RedactedUrl::new(&ask.url),
                    reason: "the token cannot be sent in a header".to_owned(),
                }
            })?;
        if let Some(disk) = &self.disk {
            let now = (self.config.clock)();
            disk.save(&key(caller, &place), &granted.token, (expires, now));
        }
        Ok(grant)
    }

    async fn ask_token(
        &self,
        caller: Caller<'_>,
        ask: &Ask,
        asked_as: AskedAs,
    ) -> Result<protocol::Granted, RegistryError> {
        let answer = caller.transport.send(ask).await?;
        let protocol = |reason: &str| RegistryError::Protocol {
            url: RedactedUrl::new(&ask.url),
            reason: reason.to_owned(),
        };
        match answer.status() {
            StatusCode::NOT_FOUND => return Err(protocol("there is no token server")),
            // What OAuth 2 servers say of a refresh token that they do not take.
            StatusCode::BAD_REQUEST if asked_as == AskedAs::Known => {
                return Err(unauthorized(caller, AskedAs::Known));
            }
            _ => {}
        }
        let asked = Asked {
            registry: &caller.endpoint.registry,
            repository: caller.repository,
            what: "token",
            by: asked_as,
        };
        let answer = caller.transport.check(answer, &asked).await?;
        let body = answer.bytes("token", TOKEN_LIMIT).await?;
        protocol::granted(&body).ok_or_else(|| protocol("there is no token in the answer"))
    }
}

fn asked_as(credential: Option<&Credential>) -> AskedAs {
    credential.map_or(AskedAs::Nobody, |_secret| AskedAs::Known)
}

fn scope_of(caller: Caller<'_>) -> String {
    format!("repository:{}:{}", caller.repository, caller.actions)
}

fn key(caller: Caller<'_>, place: &Place) -> Key {
    Key {
        registry: caller.endpoint.registry.clone(),
        scope: scope_of(caller),
        identity: place.identity(),
    }
}

fn unauthorized(caller: Caller<'_>, asked_as: AskedAs) -> RegistryError {
    RegistryError::Unauthorized {
        registry: caller.endpoint.registry.clone(),
        repository: caller.repository.to_owned(),
        had_credentials: asked_as == AskedAs::Known,
        message: String::new(),
    }
}

fn token_request(
    realm: Url,
    service: Option<&str>,
    scope: &str,
    credential: Option<&Credential>,
) -> Ask {
    let mut pairs = vec![("scope", scope)];
    pairs.extend(service.map(|service| ("service", service)));
    match credential {
        Some(Credential::Identity { token }) => {
            pairs.extend([
                ("grant_type", "refresh_token"),
                ("client_id", "aicage"),
                ("refresh_token", token),
            ]);
            // A form is encoded as a query is.
            let mut form = realm.clone();
            form.query_pairs_mut().clear().extend_pairs(&pairs);
            let mut ask = Ask::new(Method::POST, realm);
            ask.form = Some(form.query().unwrap_or_default().to_owned());
            ask.redirects = Redirects::Refused;
            ask
        }
        Some(Credential::Password { user, password }) => {
            pairs.push(("account", user));
            let mut ask = token_get(realm, &pairs);
            ask.authorization = Some(basic(user, password));
            ask
        }
        None => token_get(realm, &pairs),
    }
}

fn token_get(mut realm: Url, pairs: &[(&str, &str)]) -> Ask {
    realm.query_pairs_mut().extend_pairs(pairs);
    Ask::new(Method::GET, realm)
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    let mut header =
        HeaderValue::from_str(&format!("Basic {encoded}")).expect("base64 is allowed in a header");
    header.set_sensitive(true);
    header
}

fn bearer(token: &str, asked_as: AskedAs, expires: SystemTime) -> Option<Grant> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(Grant {
        header,
        asked_as,
        expires: Some(expires),
    })
}
