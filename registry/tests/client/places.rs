//! Where a registry is asked: mirrors, proxies, TLS.

use assembler::reference::ImageReference;
use fixtures::registry::{Authority, Fault, Layer, Registry, Rule};
use registry::{Mirror, NamedPem, Proxies, RegistryError, TlsFault};

use crate::setup::{Setup, layer};

fn layers() -> Vec<Layer> {
    vec![layer(1, 300_000), layer(2, 1000)]
}

fn mirror(url: String) -> Mirror {
    Mirror { url }
}

/// An origin with an image, and a mirror before it.
async fn mirrored(url_of: impl Fn(&Registry) -> String) -> (Setup, Registry) {
    let mut setup = Setup::new().await;
    setup
        .registry
        .image("org/a", ("latest", "amd64"), &layers());
    let other = Registry::start().await;
    let host = setup.registry.host();
    let url = url_of(&other);
    setup.config.mirrors.insert(host, vec![mirror(url)]);
    (setup, other)
}

#[tokio::test]
async fn a_mirror_is_asked_instead_under_its_prefix_and_told_for_whom() {
    let (setup, other) = mirrored(|other| format!("{}/proxy", other.url())).await;
    other.image("proxy/org/a", ("latest", "amd64"), &layers());
    let image = setup.pull("org/a").await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(
        setup.requests(),
        [""; 0],
        "the registry itself is not asked"
    );
    let requests = other.requests();
    assert!(
        requests
            .iter()
            .all(|request| request.path.starts_with("/v2/proxy/org/a/")
                && request.query("ns").is_some()),
        "{requests:?}"
    );
    assert_eq!(setup.events.warnings(), [""; 0]);
}

#[tokio::test]
async fn what_a_mirror_lacks_is_asked_of_the_registry_without_a_word() {
    let (setup, other) = mirrored(Registry::url).await;
    setup.pull("org/a").await.unwrap();
    assert!(!other.requests().is_empty());
    assert_eq!(setup.events.warnings(), [""; 0]);
}

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over_with_a_warning_and_at_once() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let (setup, _other) = mirrored(|_| format!("http://{address}")).await;
    setup.pull("org/a").await.unwrap();
    let warnings = setup.events.warnings();
    assert!(warnings[0].contains(&format!("mirror {address} is passed over")));
    assert_eq!(warnings.len(), 1, "nobody waits for it twice: {warnings:?}");

    let (setup, other) = mirrored(Registry::url).await;
    other.rule(Rule::manifests(Fault::status(503)));
    setup.pull("org/a").await.unwrap();
    let told = setup.events.take();
    assert!(told.iter().any(|line| line.contains("503")), "{told:?}");
    assert!(!told.iter().any(|line| line.starts_with("try")), "{told:?}");
}

#[tokio::test]
async fn a_layer_that_a_mirror_breaks_or_falsifies_comes_from_the_registry() {
    let blob = layers()[0].blob.clone();
    let mut wrong = blob.clone();
    wrong[1000] ^= 1;
    for (fault, resumed) in [
        (Fault::Replace(wrong), None),
        (Fault::CutAt(200_000), Some("bytes=200000-")),
    ] {
        let (setup, other) = mirrored(Registry::url).await;
        other.image("org/a", ("latest", "amd64"), &layers());
        let digest = assembler::digest::Digest::of(&blob);
        let at_layer = |fault| Rule {
            path: digest.to_string(),
            ..Rule::blobs(fault)
        };
        other.rule(at_layer(fault).times(1));
        other.rule(at_layer(Fault::Hangup));
        let image = setup.pull("org/a").await.unwrap();
        setup.assert_whole(&image);
        let requests = setup.registry.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert_eq!(requests[0].header("range"), resumed);
        assert_eq!(setup.events.warnings().len(), 1);
    }
}

#[tokio::test]
async fn a_mirror_that_was_cut_is_asked_for_the_rest() {
    let (setup, other) = mirrored(Registry::url).await;
    other.image("org/a", ("latest", "amd64"), &layers());
    other.rule(Rule::blobs(Fault::CutAt(100_000)));
    let image = setup.pull("org/a").await.unwrap();
    setup.assert_whole(&image);
    assert_eq!(
        setup.requests(),
        [""; 0],
        "the registry may be out of reach"
    );
}

#[tokio::test]
async fn a_proxy_is_used_for_others_but_never_for_loopback() {
    let mut setup = Setup::new().await;
    let proxy = Registry::start().await;
    for registry in [&setup.registry, &proxy] {
        registry.image("a", ("latest", "amd64"), &layers());
    }
    setup.config.proxies.http = Some(proxy.url());
    setup.pull("a").await.unwrap();
    assert_eq!(proxy.requests(), []);

    setup
        .config
        .plain_http
        .insert("registry.test:5000".to_owned());
    let reference: ImageReference = "registry.test:5000/a".parse().unwrap();
    setup.pull_reference(&reference).await.unwrap();
    let requests = proxy.requests();
    assert_eq!(
        requests[0].target,
        "http://registry.test:5000/v2/a/manifests/latest"
    );

    setup.config.proxies.no_proxy = Some(".test".to_owned());
    let other: ImageReference = "registry.test:5000/a:b".parse().unwrap();
    let error = setup.pull_reference(&other).await.unwrap_err();
    assert!(error.is_offline(), "{error}");
    assert_eq!(proxy.requests(), []);

    setup.config.proxies.http = Some("http://me:s3cr3t@[bad".to_owned());
    let error = setup.pull_reference(&other).await.unwrap_err();
    assert!(matches!(error, RegistryError::Setting { .. }), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
}

/// A registry at `registry.test` that speaks TLS, reached through itself as the proxy.
async fn secure(authority: &Authority, name: &str) -> (Setup, ImageReference) {
    let registry = Registry::start_tls(authority, name).await;
    let mut setup = Setup::with(registry);
    setup.registry.image("a", ("latest", "amd64"), &layers());
    setup.config.proxies.https = Some(setup.registry.url());
    (setup, "registry.test/a".parse().unwrap())
}

fn trusting(setup: &mut Setup, pem: Vec<u8>) {
    let name = "company.pem".to_owned();
    setup.config.extra_ca = vec![NamedPem { name, pem }];
}

#[tokio::test]
async fn a_companys_authority_is_trusted_once_it_is_given() {
    let authority = Authority::new();
    let (mut setup, reference) = secure(&authority, "registry.test").await;
    let error = setup.pull_reference(&reference).await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Tls { host, fault: TlsFault::UnknownAuthority, .. } if host == "registry.test"),
        "{error:?}"
    );
    assert!(!error.is_transient() && !error.is_offline());

    trusting(&mut setup, authority.pem());
    let image = setup.pull_reference(&reference).await.unwrap();
    setup.assert_whole(&image);
    let requests = setup.registry.requests();
    assert!(requests.iter().any(|request| request.method == "CONNECT"));

    trusting(&mut setup, Authority::new().pem());
    let error = setup.pull_reference(&reference).await.unwrap_err();
    assert!(matches!(error, RegistryError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_look_at_certificates_gives_no_proxys_login_to_whoever_answers_in_its_place() {
    let authority = Authority::new();
    let (mut setup, _) = secure(&authority, "registry.test").await;
    let probes = setup.client().probe("registry.test").await.unwrap();
    assert!(probes[0].shown.is_some(), "an ordinary proxy: {probes:?}");
    assert!(!setup.registry.requests().is_empty());

    let ordinary = setup.config.proxies.clone();
    let address = format!("https://me:s3cr3t@{}", setup.registry.host());
    for proxies in [
        Proxies {
            https: Some(address.clone()),
            ..Proxies::default()
        },
        Proxies {
            all: Some(address.clone()),
            ..Proxies::default()
        },
    ] {
        setup.config.proxies = proxies;
        let probes = setup.client().probe("registry.test").await.unwrap();
        assert!(probes[0].answer.is_err() && probes[0].shown.is_none());
        assert!(probes[0].is_hidden, "it is said: {probes:?}");
        assert_eq!(setup.registry.requests(), [], "nobody vouches for it");
    }
    setup.config.proxies = Proxies {
        all: Some(address.clone()),
        ..ordinary
    };
    let probes = setup.client().probe("registry.test").await.unwrap();
    assert!(
        probes[0].shown.is_some() && !probes[0].is_hidden,
        "it is reached through another one: {probes:?}"
    );
    setup.config.proxies = Proxies {
        all: Some(address),
        no_proxy: Some("other.example, .test".to_owned()),
        ..Proxies::default()
    };
    let probes = setup.client().probe("registry.test").await.unwrap();
    assert!(!probes[0].is_hidden, "it is reached without: {probes:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_and_a_file_without_any_are_told_apart() {
    let authority = Authority::new();
    let (mut setup, reference) = secure(&authority, "other.test").await;
    trusting(&mut setup, authority.pem());
    let error = setup.pull_reference(&reference).await.unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Tls {
                fault: TlsFault::WrongName,
                ..
            }
        ),
        "{error:?}"
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["not a certificate", broken] {
        trusting(&mut setup, pem.as_bytes().to_vec());
        let error = setup.pull_reference(&reference).await.unwrap_err();
        let named = error.to_string().contains("company.pem");
        assert!(
            named && matches!(error, RegistryError::Setting { .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let authority = Authority::new();
    let (mut setup, reference) = secure(&authority, "registry.test").await;
    trusting(&mut setup, authority.pem());
    let plain = Registry::start().await;
    let fault = Fault::redirect(&format!("{}/x", plain.url()));
    setup.registry.rule(Rule::blobs(fault));
    let error = setup.pull_reference(&reference).await.unwrap_err();
    assert!(matches!(error, RegistryError::Redirect { .. }), "{error}");
    assert_eq!(plain.requests(), []);
}
