//! How registries are reached: certificate authorities, credentials, proxies and mirrors, from settings and environment.

use std::{path::PathBuf, time::SystemTime};

use registry::{ClientConfig, CredentialSources, Mirror, NamedPem};

use crate::{certificates, context::Context, diagnostic::Diagnostic, proxy::Proxies};

/// Returns the extra certificate authorities, a file each.
fn authorities(context: &Context) -> Result<Vec<NamedPem>, Diagnostic> {
    let files = certificates::read(context)?.into_iter().map(|file| {
        let texts = file.authorities.into_iter().map(|authority| authority.pem);
        NamedPem {
            name: file.path.display().to_string(),
            pem: texts.collect::<String>().into_bytes(),
        }
    });
    Ok(files.collect())
}

/// Returns where Docker keeps its settings.
pub fn docker_config(context: &Context) -> PathBuf {
    context.settings.docker_config()
}

/// Where credentials are looked for: Podman's files first where they are asked for, then Docker's, then Podman's.
pub fn credential_sources(context: &Context) -> CredentialSources {
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
    client.proxies = Proxies::of(&context.settings).for_client();
    client.extra_ca = authorities(context)?;
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
