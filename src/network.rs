//! How registries are reached: certificate authorities, credentials, proxies and mirrors, from settings and environment.

use std::{path::PathBuf, time::SystemTime};

use registry::{ClientConfig, CredentialSources, Mirror, NamedPem, Proxies};

use crate::{context::Context, diagnostic::Diagnostic, exit_status::ExitStatus};

/// Returns the extra certificate authorities, concatenated; `None` when none are configured.
pub fn extra_ca(context: &Context) -> Result<Option<Vec<u8>>, Diagnostic> {
    let mut bundle = Vec::new();
    for file in ca_files(context)? {
        bundle.extend_from_slice(&file.pem);
        bundle.push(b'\n');
    }
    Ok((!bundle.is_empty()).then_some(bundle))
}

fn ca_files(context: &Context) -> Result<Vec<NamedPem>, Diagnostic> {
    let mut files = Vec::new();
    for path in &context.settings.config.network.ca {
        let path = context.settings.user_path(path);
        let pem = fs_err::read(&path).map_err(|error| {
            Diagnostic::new(
                "network-ca",
                ExitStatus::Usage,
                "cannot read a certificate authority of `network.ca`",
            )
            .caused_by(Some(&error))
            .hint("correct `network.ca` in `config.yml`")
        })?;
        files.push(NamedPem {
            name: path.display().to_string(),
            pem,
        });
    }
    Ok(files)
}

/// Returns where Docker keeps its settings.
pub fn docker_config(context: &Context) -> PathBuf {
    let environment = &context.settings.environment;
    environment
        .docker_config
        .clone()
        .unwrap_or_else(|| context.settings.user_home.join(".docker"))
}

/// Where credentials are looked for: Podman's files first where they are asked for, then Docker's, then Podman's.
fn credential_sources(context: &Context) -> CredentialSources {
    let environment = &context.settings.environment;
    let config_home = environment
        .config_home
        .clone()
        .unwrap_or_else(|| context.settings.user_home.join(".config"));
    let mut files = Vec::new();
    files.extend(environment.registry_auth_file.clone());
    files.push(docker_config(context).join("config.json"));
    if let Some(runtime) = &environment.runtime_directory {
        files.push(runtime.join("containers/auth.json"));
    }
    files.push(config_home.join("containers/auth.json"));
    let path = environment.path.as_deref().unwrap_or_default();
    CredentialSources {
        files,
        helper_path: std::env::split_paths(path).collect(),
    }
}

/// Returns what the registry client works with.
pub fn client_config(context: &Context) -> Result<ClientConfig, Diagnostic> {
    let config = &context.settings.config;
    let proxy = |name| context.settings.environment.proxy(name).map(str::to_owned);
    let mut client = ClientConfig::new(system_time);
    client.credentials = credential_sources(context);
    client.mirrors = config
        .registry
        .mirrors
        .iter()
        .map(|(host, urls)| {
            let mirrors = urls.iter().map(|url| Mirror { url: url.clone() });
            (host.clone(), mirrors.collect())
        })
        .collect();
    client.plain_http.clone_from(&config.registry.plain_http);
    client.proxies = Proxies {
        http: proxy("HTTP_PROXY"),
        https: proxy("HTTPS_PROXY"),
        all: proxy("ALL_PROXY"),
        no_proxy: proxy("NO_PROXY"),
    };
    client.extra_ca = ca_files(context)?;
    client.token_cache = Some(context.settings.state().join("tokens"));
    Ok(client)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the registry client is handed the clock here"
)]
fn system_time() -> SystemTime {
    SystemTime::now()
}
