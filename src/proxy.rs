//! Proxies: which there are, and how programs on this machine and in containers are told of them.
//!
//! Variables count as curl has it: lower case before upper case; `config.yml` counts where they say nothing. Whoever is
//! told gets both spellings, since apt, for one, reads only the lower-case ones.
//!
//! Invariant: no user name or password of a proxy is shown.

mod address;
mod secrets;

use std::collections::BTreeMap;

pub use address::Address;
pub use secrets::{Redacting, Secrets};

use crate::{context::Context, engine::docker::EngineInfo, settings::Settings};

/// The variables that name a proxy, with the one that names exceptions.
const VARIABLES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", EXCEPTIONS];
const EXCEPTIONS: &str = "NO_PROXY";

/// What no proxy can reach for a program.
const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The machine of a container, by its names inside.
const MACHINE: [&str; 2] = [DOCKERS_NAME, "host.containers.internal"];
const DOCKERS_NAME: &str = "host.docker.internal";

/// Which proxies there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<Address>,
    /// For `https://`.
    pub https: Option<Address>,
    /// For all that has none of its own.
    pub all: Option<Address>,
    /// What is reached without one, as `NO_PROXY` has it.
    pub exceptions: Option<String>,
}

impl Proxies {
    /// Returns the proxies of this machine.
    pub fn of(settings: &Settings) -> Self {
        let environment = &settings.environment;
        let network = &settings.config.network;
        let variable = |name: &str| environment.proxy(name).map(Address::new);
        let mut proxies = Self {
            http: variable("HTTP_PROXY"),
            https: variable("HTTPS_PROXY"),
            all: variable("ALL_PROXY"),
            exceptions: environment.proxy(EXCEPTIONS).map(str::to_owned),
        };
        if !network.proxy.is_empty() && proxies.all.is_none() {
            let configured = Some(Address::new(&network.proxy));
            proxies.http = proxies.http.or_else(|| configured.clone());
            proxies.https = proxies.https.or(configured);
        }
        if proxies.exceptions.is_none() && !network.no_proxy.is_empty() {
            proxies.exceptions = Some(network.no_proxy.join(","));
        }
        proxies
    }

    /// Returns them as the registry client takes them.
    pub fn for_client(self) -> registry::Proxies {
        let text = |address: Option<Address>| address.map(Address::into_text);
        registry::Proxies {
            http: text(self.http),
            https: text(self.https),
            all: text(self.all),
            no_proxy: self.exceptions,
        }
    }

    /// Returns the one that is on this machine's loopback, where there is one.
    pub fn on_loopback(&self) -> Option<&Address> {
        self.addresses().find(|address| address.is_on_loopback())
    }

    /// Returns all of them.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        [&self.http, &self.https, &self.all].into_iter().flatten()
    }

    /// Returns the variables in both spellings; `beside` is reached without a proxy, too.
    fn variables(&self, beside: &[String]) -> BTreeMap<String, String> {
        let exceptions = self.exceptions(beside);
        let text = |address: &Option<Address>| Some(address.as_ref()?.text().to_owned());
        let values = [
            text(&self.http),
            text(&self.https),
            text(&self.all),
            exceptions,
        ];
        let named = VARIABLES.into_iter().zip(values);
        named
            .filter_map(|(name, value)| Some((name, value?)))
            .flat_map(|(name, value)| {
                [name.to_owned(), name.to_lowercase()].map(|name| (name, value.clone()))
            })
            .collect()
    }

    fn exceptions(&self, beside: &[String]) -> Option<String> {
        if self.addresses().next().is_none() {
            return self.exceptions.clone();
        }
        let given = self.exceptions.as_deref().unwrap_or_default();
        let mut listed: Vec<&str> = given
            .split([',', ' '])
            .filter(|one| !one.is_empty())
            .collect();
        if listed.contains(&"*") {
            return Some("*".to_owned());
        }
        for one in HERE.into_iter().chain(beside.iter().map(String::as_str)) {
            if !listed.contains(&one) {
                listed.push(one);
            }
        }
        Some(listed.join(","))
    }
}

/// Returns what must not be shown of proxies: of those of this machine and of the one that containers are told.
pub fn secrets(settings: &Settings) -> Secrets {
    let proxies = Proxies::of(settings);
    let inside = Address::new(&settings.config.network.proxy_in_containers);
    Secrets::of(proxies.addresses().chain([&inside]))
}

/// Returns the variables for programs on this machine.
pub fn for_this_machine(context: &Context) -> BTreeMap<String, String> {
    Proxies::of(&context.settings).variables(&[])
}

/// What containers are told.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ForContainers {
    /// The variables.
    pub variables: BTreeMap<String, String>,
    /// `name:address` for their hosts file.
    pub hosts: Vec<String>,
}

/// What `network.proxy_in_containers` says for: the same proxy, on the machine of the container.
pub const ON_MACHINE: &str = "host";

/// Returns what containers of an engine are told; a proxy that they cannot reach is warned of once.
pub fn for_containers(context: &Context, engine: &EngineInfo) -> ForContainers {
    let settings = &context.settings;
    let is_podman = engine.is_podman();
    let mut proxies = Proxies::of(settings);
    let mut hosts = Vec::new();
    let inside = settings.config.network.proxy_in_containers.as_str();
    if engine.is_native() {
        // Its containers have this machine's network, loopback and all.
        return ForContainers {
            variables: proxies.variables(&[]),
            hosts,
        };
    }
    if inside == ON_MACHINE {
        let [dockers, podmans] = MACHINE;
        let name = if is_podman { podmans } else { dockers };
        let mut moved = false;
        for address in [&mut proxies.http, &mut proxies.https, &mut proxies.all] {
            if let Some(address) = address.as_mut().filter(|address| address.is_on_loopback()) {
                *address = address.at(name);
                moved = true;
            }
        }
        if moved && !is_podman {
            hosts.push(format!("{dockers}:host-gateway"));
        }
    } else if !inside.is_empty() && proxies.addresses().next().is_some() {
        let address = Some(Address::new(inside));
        (proxies.http, proxies.https, proxies.all) = (address.clone(), address, None);
    }
    warn_of_loopback(context, &proxies);
    let mut beside: Vec<String> = MACHINE.map(str::to_owned).to_vec();
    beside.extend(engine_host(settings));
    ForContainers {
        variables: proxies.variables(&beside),
        hosts,
    }
}

/// Lays what was asked for over variables: of a proxy's variable the other spelling gives way, else it would count.
pub fn lay_over(env: &mut BTreeMap<String, String>, name: &str, value: String) {
    if VARIABLES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
    {
        env.retain(|there, _| !there.eq_ignore_ascii_case(name));
    }
    env.insert(name.to_owned(), value);
}

/// Tells whether a variable holds a proxy's login.
pub fn is_secret(name: &str, value: &str) -> bool {
    let named = VARIABLES.iter().filter(|known| **known != EXCEPTIONS);
    let mut named = named.filter(|known| known.eq_ignore_ascii_case(name));
    named.next().is_some() && Address::new(value).has_login()
}

/// Returns a variable's value as it is shown.
pub fn shown(name: &str, value: &str) -> String {
    if is_secret(name, value) {
        Address::new(value).masked()
    } else {
        value.to_owned()
    }
}

/// The engine's machine, where it is reached by its name.
fn engine_host(settings: &Settings) -> Option<String> {
    let host = settings.environment.docker_host.as_deref()?;
    let is_remote = ["tcp://", "http://", "https://"]
        .iter()
        .any(|scheme| host.starts_with(scheme));
    let name = Address::new(host).host().to_owned();
    (is_remote && !name.is_empty()).then_some(name)
}

fn warn_of_loopback(context: &Context, proxies: &Proxies) {
    if let Some(address) = proxies.on_loopback() {
        context.warn_once(format!(
            "the proxy is {address}, which containers cannot reach: it is on this machine's loopback; let it listen for \
             containers too and say so with `aicage config set network.proxy_in_containers {ON_MACHINE}`, or name one \
             there that they can reach"
        ));
    }
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ForContainers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForContainers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(http: &str, exceptions: Option<&str>) -> Proxies {
        Proxies {
            http: (!http.is_empty()).then(|| Address::new(http)),
            exceptions: exceptions.map(str::to_owned),
            ..Proxies::default()
        }
    }

    #[test]
    fn both_spellings_are_told_and_what_is_near_goes_by_no_proxy() {
        let beside = ["engine.example".to_owned()];
        let told = proxies("proxy.example:3128", Some("corp.example, ::1")).variables(&beside);
        let expected = [
            ("HTTP_PROXY", "http://proxy.example:3128"),
            (
                "NO_PROXY",
                "corp.example,::1,localhost,127.0.0.1,engine.example",
            ),
            ("http_proxy", "http://proxy.example:3128"),
            (
                "no_proxy",
                "corp.example,::1,localhost,127.0.0.1,engine.example",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(told, BTreeMap::from(expected));
        let told = proxies("p", Some("*")).variables(&beside);
        assert_eq!(&told["no_proxy"], "*");
        let told = proxies("", Some("corp")).variables(&beside);
        assert_eq!(
            &told["NO_PROXY"], "corp",
            "without a proxy nothing is added"
        );
    }

    #[test]
    fn what_was_asked_for_is_not_undone_by_its_other_spelling() {
        let mut env = proxies("p", None).variables(&[]);
        lay_over(&mut env, "HTTP_PROXY", "q".to_owned());
        assert_eq!(&env["HTTP_PROXY"], "q");
        assert_eq!(env.get("http_proxy"), None);
        assert_eq!(
            shown("https_proxy", "http://me:s3cr3t@p:1"),
            "http://*****@p:1"
        );
        assert_eq!(shown("no_proxy", "a@b,c"), "a@b,c");
        assert_eq!(shown("MAIL", "me:x@corp"), "me:x@corp");
        lay_over(&mut env, "HOME", "/".to_owned());
        assert!(env.contains_key("NO_PROXY") && env.contains_key("HOME"));
    }
}
