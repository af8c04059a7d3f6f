//! The environment variables that mean something to us, by their usual names.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]

use std::{
    env::{var, var_os, vars_os},
    ffi::OsString,
    path::PathBuf,
};

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `AICAGE_HOME`.
    pub aicage_home: Option<PathBuf>,
    /// `AICAGE_SYSTEM_CONFIG`, the settings of all users in place of `/etc/aicage/config.yml`.
    pub system_config: Option<PathBuf>,
    /// All variables that begin with `AICAGE_`, sorted by name; some of them set one setting each.
    pub aicage: Vec<(String, OsString)>,
    /// `VISUAL`.
    pub visual: Option<String>,
    /// `EDITOR`.
    pub editor: Option<String>,
    /// `USER` or `LOGNAME`.
    pub user: Option<String>,
    /// `PATH`, where credential helpers are looked for.
    pub path: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `CONTAINER_HOST`.
    pub container_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`.
    pub docker_config: Option<PathBuf>,
    /// `DOCKER_CERT_PATH`.
    pub docker_cert_path: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` is set to something.
    pub docker_tls_verify: bool,
    /// `REGISTRY_AUTH_FILE`.
    pub registry_auth_file: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_directory: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `SSH_AUTH_SOCK`.
    pub ssh_auth_sock: Option<PathBuf>,
    /// `GIT_CONFIG_GLOBAL`.
    pub git_config_global: Option<PathBuf>,
    /// `GNUPGHOME`.
    pub gnupg_home: Option<PathBuf>,
    /// Proxies, as name and value, in the order of [`PROXIES`].
    pub proxies: Vec<(String, String)>,
    /// `SSL_CERT_FILE`.
    pub ssl_cert_file: Option<PathBuf>,
    /// `TERM`.
    pub term: Option<String>,
    /// `COLORTERM`.
    pub color_term: Option<String>,
    /// `LANG` and the variables beginning with `LC_`.
    pub locale: Vec<(String, String)>,
    /// `NO_COLOR`.
    pub no_color: Option<String>,
    /// `CLICOLOR_FORCE`.
    pub force_color: Option<String>,
    /// `CI`.
    pub ci: Option<String>,
    /// `COLUMNS`.
    pub columns: Option<usize>,
    /// `TZ`.
    pub time_zone: Option<String>,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date: Option<i64>,
}

/// The variables that name proxies, in both spellings that programs look for.
///
/// The lower-case ones come first and count first, as for curl.
pub const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

impl Environment {
    /// Reads the environment.
    pub fn read() -> Self {
        let path = |name| {
            var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let text = |name| var(name).ok().filter(|value| !value.is_empty());
        Self {
            home: path("HOME"),
            aicage_home: path("AICAGE_HOME"),
            system_config: path("AICAGE_SYSTEM_CONFIG"),
            aicage: own(),
            visual: text("VISUAL"),
            editor: text("EDITOR"),
            user: text("USER").or_else(|| text("LOGNAME")),
            path: text("PATH"),
            docker_host: text("DOCKER_HOST"),
            container_host: text("CONTAINER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG"),
            docker_cert_path: path("DOCKER_CERT_PATH"),
            docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
            runtime_directory: path("XDG_RUNTIME_DIR"),
            config_home: path("XDG_CONFIG_HOME"),
            ssh_auth_sock: path("SSH_AUTH_SOCK"),
            git_config_global: path("GIT_CONFIG_GLOBAL"),
            gnupg_home: path("GNUPGHOME"),
            proxies: PROXIES
                .iter()
                // A web server lets whoever asks it set this one (CVE-2016-5385).
                .filter(|name| **name != "HTTP_PROXY" || text("REQUEST_METHOD").is_none())
                .filter_map(|name| Some(((*name).to_owned(), text(name)?)))
                .collect(),
            ssl_cert_file: path("SSL_CERT_FILE"),
            term: text("TERM"),
            color_term: text("COLORTERM"),
            locale: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, value)| {
                    (name == "LANG" || name.starts_with("LC_")) && !value.is_empty()
                })
                .collect(),
            no_color: text("NO_COLOR"),
            force_color: text("CLICOLOR_FORCE"),
            ci: text("CI"),
            columns: text("COLUMNS").and_then(|value| value.parse().ok()),
            time_zone: text("TZ"),
            source_date: text("SOURCE_DATE_EPOCH").and_then(|value| value.parse().ok()),
        }
    }

    /// Returns one variable, for options that pass a variable on by name.
    pub fn variable(name: &str) -> Option<String> {
        var(name).ok()
    }

    /// Returns a proxy variable by its upper-case name, in either spelling, the lower-case one first.
    pub fn proxy(&self, name: &str) -> Option<&str> {
        self.proxies
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn own() -> Vec<(String, OsString)> {
    let mut own: Vec<(String, OsString)> = vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("AICAGE_"))
        .collect();
    own.sort();
    own
}
