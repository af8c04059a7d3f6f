//! A company's network: nothing but a proxy is reachable, which wants a password and looks into TLS with an authority of
//! the company's own; the registry wants another one.

use std::{path::Path, process::Command};

use crate::ground::{BASE, Ground, Said, on_every_engine, on_this_machine, shell, variable};

/// What a company gives its people.
struct Company {
    /// The proxy that looks into TLS, with name and password.
    proxy: String,
    /// The company's authority.
    ca: String,
    /// `HOST:PORT` of the registry; only the proxy can find it.
    registry: String,
    /// What the proxy was asked for.
    log: String,
    /// The network that has no way out.
    network: String,
    ground: Ground,
}

/// The password as the proxy's address spells it, and as it is.
const PASSWORDS: [&str; 2] = ["pa55%2Fw%40rd", "pa55/w@rd"];

impl Company {
    fn new() -> Option<Self> {
        let company = Self {
            proxy: variable("AICAGE_TEST_PROXY_TLS")?,
            ca: variable("AICAGE_TEST_COMPANY_CA")?,
            registry: variable("AICAGE_TEST_COMPANY_REGISTRY")?,
            log: variable("AICAGE_TEST_PROXY_LOG")?,
            network: variable("AICAGE_TEST_COMPANY_NETWORK")?,
            ground: Ground::new(&variable("AICAGE_TEST_COMPANY")?, ""),
        };
        company.config(&format!("network:\n  ca: [{}]\n", company.ca));
        company.log_in(&["aicage", "world"]);
        Some(company)
    }

    fn config(&self, text: &str) {
        fs_err::write(self.ground.aicage_home().join("config.yml"), text).unwrap();
    }

    /// Writes what `docker login` writes.
    fn log_in(&self, login: &[&str; 2]) {
        let directory = self.ground.home().join(".docker");
        fs_err::create_dir_all(&directory).unwrap();
        let script =
            r#"printf '{"auths":{"%s":{"auth":"%s"}}}' "$1" "$(printf %s "$2" | base64)" >"$3""#;
        let file = directory.join("config.json");
        shell(
            script,
            &[
                Path::new(&self.registry),
                Path::new(&login.join(":")),
                &file,
            ],
        );
    }

    /// Defines the base as an image of the company's registry.
    fn base(&self, image: &str) {
        let ground = &self.ground;
        let directory = ground.aicage_home().join("custom/image-base").join(BASE);
        fs_err::create_dir_all(&directory).unwrap();
        let text = format!(
            "from_image: {image}\nbase_image_distro: Company\nbase_image_description: For tests\n\
             architectures: [amd64, arm64]\n"
        );
        fs_err::write(directory.join("base.yml"), text).unwrap();
    }

    /// Returns the program in the network that has no way out, with the proxy's variables.
    fn aicage(&self, arguments: &[&str]) -> Command {
        let aicage = self.ground.aicage(arguments);
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.network))
            .arg(aicage.get_program())
            .args(aicage.get_args())
            .current_dir(self.ground.project())
            .env_clear()
            .envs(
                aicage
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("https_proxy", &self.proxy)
            .env("http_proxy", &self.proxy)
            .stdin(std::process::Stdio::null());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> Said {
        let said = Said::of(&mut self.aicage(arguments), code);
        for password in PASSWORDS {
            assert!(
                !said.stderr.contains(password),
                "the password is shown: {}",
                said.stderr
            );
        }
        said
    }
}

/// Where Debian's own npm forgets the proxy's password (9.2 with `https-proxy-agent` 7), npm's own is fetched.
const INSTALL: &str = r#"#!/bin/sh
set -ex
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends hello
mkdir /opt/npm && curl -sSf "$(npm config get registry)npm/-/npm-10.9.2.tgz" | tar -xz -C /opt/npm
node /opt/npm/package/bin/npm-cli.js install -g --prefix /usr/local is-number
python3 -m venv /opt/venv
/opt/venv/bin/pip install -q --no-cache-dir six
env
apt-get clean
rm -rf /var/lib/apt/lists/* /root/.npm /root/.cache
printf '#!/bin/sh\nexec "$@"\n' >"/usr/local/bin/$AGENT"
chmod 755 "/usr/local/bin/$AGENT"
"#;

/// What an agent does: programs that heed variables, and such that look into the system's own store only.
const SESSION: &str = r#"
npm=$(npm config get registry)
export url="${npm}is-odd" host=$(printf %s "$npm" | cut -d/ -f3)
code() { "$@" -sS -o /dev/null -w '%{http_code}\n' "$url"; }
code curl
env -i PATH="$PATH" url="$url" https_proxy="$https_proxy" sh -c 'curl -sS -o /dev/null -w "%{http_code}\n" "$url"'
node -e 'require("child_process"); const t = require("tls"), n = require("net"), u = new URL(process.env.https_proxy);
  const s = n.connect(u.port, u.hostname, () => s.write("CONNECT " + process.env.host + ":443 HTTP/1.1\r\nHost: " + process.env.host + ":443\r\nProxy-Authorization: Basic "
    + Buffer.from(decodeURIComponent(u.username + ":" + u.password)).toString("base64") + "\r\n\r\n"));
  s.once("data", () => { const c = t.connect({socket: s, servername: process.env.host}, () => { console.log("node", c.authorized); c.destroy() });
    c.on("error", e => console.log("node", e.message)) })'
python3 -c 'import os, urllib.request as u; print("python", u.urlopen(os.environ["url"]).status)'
env -i PATH="$PATH" url="$url" https_proxy="$https_proxy" python3 -c 'import os, urllib.request as u; print("bare python", u.urlopen(os.environ["url"]).status)'
git ls-remote "${npm}no/such" 2>&1 | grep -o 'SSL\|not found'
"#;

#[test]
fn all_of_it_works_where_only_a_proxy_is_reachable_and_leaves_nothing_in_the_image() {
    let Some(company) = Company::new() else {
        return;
    };
    let ground = &company.ground;
    company.base(&format!("{}/company/base:debian", company.registry));
    ground.define(INSTALL);
    ground.write_agent(
        "version.sh",
        "#!/bin/sh\ncurl -sSf \"$(npm config get registry)is-number\" | jq -r '.\"dist-tags\".latest'\n",
    );
    let before = fs_err::metadata(&company.log).unwrap().len();
    let run = ["--base", BASE, &ground.agent, "sh", "-c", SESSION];
    let said = company.run(&run, 0);
    assert_eq!(
        said.stdout, "200\n200\nnode true\npython 200\nbare python 200\nnot found\n",
        "{}",
        said.stderr
    );

    let log = fs_err::read(&company.log).unwrap();
    let log = String::from_utf8(log[usize::try_from(before).unwrap()..].to_vec()).unwrap();
    for (host, what) in [
        (company.registry.as_str(), "the base"),
        ("debian", "apt"),
        ("/is-number", "version.sh and npm"),
        ("/simple/six", "pip"),
        ("/is-odd", "the session"),
    ] {
        let asked = |line: &&str| line.contains(" employee ") && line.contains(host);
        assert!(
            log.lines().any(|line| asked(&line)),
            "{what} went another way: {log}"
        );
    }

    // Every layer and the configuration, as they are stored.
    let traces = shell(
        r#"authority=$(sed -n 3p "$2"); cd "$1/store/blobs/sha256"
           for blob in *; do zcat -f "$blob" | grep -qaF -e 'pa55%2F' -e 'pa55/w@rd' -e 198.18.200.1 -e "$authority" && echo "$blob"; done || true
           grep -rlF -e 'pa55%2F' -e 'pa55/w@rd' "$1" || true"#,
        &[&ground.aicage_home(), Path::new(&company.ca)],
    );
    assert_eq!(String::from_utf8_lossy(&traces), "", "files with a trace");
    let logs = ground.logs();
    let shown = logs.values().any(|log| {
        String::from_utf8_lossy(log).contains("https_proxy=http://employee:*****@198.18.200.1")
    });
    assert!(shown, "the step had the proxy, and its log has no password");
}

#[test]
fn without_the_companys_authority_or_password_it_is_said_what_to_do() {
    let Some(mut company) = Company::new() else {
        return;
    };
    let ground = &company.ground;
    company.base(&format!("{}/company/base:debian", company.registry));
    ground.define("#!/bin/sh\n");
    let build = ["build", ground.agent.as_str(), "--base", BASE];
    company.config("");
    let said = company.run(&build, 1);
    said.tells("signed by an authority that is not known here");
    said.tells("aicage config set network.ca");

    company.config(&format!("network:\n  ca: [{}]\n", company.ca));
    company.log_in(&["aicage", "wrong"]);
    let said = company.run(&build, 1);
    said.tells("with the credentials that are configured");

    company.proxy = company.proxy.replace(PASSWORDS[0], "wr0ng");
    let build = ["build", company.ground.agent.as_str(), "--base", BASE];
    let said = company.run(&build, 1);
    said.tells("the proxy http://198.18.200.1:3129 wants a name and a password that it knows");
    assert!(!said.stderr.contains("wr0ng"), "{}", said.stderr);
}

#[test]
fn a_mirror_with_a_path_a_password_and_the_companys_certificate_stands_in_for_others() {
    let Some(company) = Company::new() else {
        return;
    };
    let ground = &company.ground;
    let registry = &company.registry;
    shell(
        r#"HTTPS_PROXY=$AICAGE_TEST_PROXY SSL_CERT_FILE=$1 skopeo copy -q --dest-creds aicage:world \
             "oci:$AICAGE_TEST_LAYOUT:busybox" "docker://$2/docker-remote/library/busybox:latest""#,
        &[Path::new(&company.ca), Path::new(registry)],
    );
    company.config(&format!(
        "network:\n  ca: [{ca}]\nregistry:\n  mirrors:\n    docker.io: [https://{registry}/no-such, https://{registry}/docker-remote]\n",
        ca = company.ca
    ));
    company.base("docker.io/library/busybox:latest");
    ground.define_program(r#"exec "$@""#);
    let run = [
        "--base",
        BASE,
        &ground.agent,
        "sh",
        "-c",
        "tail -n 1 \"$SSL_CERT_FILE\"; cat /etc/ssl/cert.pem",
    ];
    let said = company.run(&run, 0);
    let ca = fs_err::read_to_string(&company.ca).unwrap();
    assert_eq!(
        said.stdout,
        format!("-----END CERTIFICATE-----\n{ca}"),
        "an image without authorities has the company's"
    );
}

pub(crate) fn on_every_engine_and_this_machine(test: impl Fn(&Ground)) {
    on_every_engine(&test);
    on_this_machine(&test);
}

#[test]
fn a_variable_of_the_users_own_wins_and_a_read_only_root_is_no_hindrance() {
    let Some(ca) = variable("AICAGE_TEST_COMPANY_CA") else {
        return;
    };
    on_every_engine_and_this_machine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program(r#"exec "$@""#);
        fs_err::write(
            ground.aicage_home().join("config.yml"),
            format!("network:\n  ca: [{ca}]\n  proxy: http://me:s3cr3t@proxy.example:3128\n  no_proxy: [corp.example]\n"),
        )
        .unwrap();
        let script = r#"echo $PIP_CERT $NODE_EXTRA_CA_CERTS; cat "$CURL_CA_BUNDLE"; echo "$HTTPS_PROXY $https_proxy $HTTP_PROXY $no_proxy""#;
        let run = [
            "-e",
            "PIP_CERT=/mine.pem",
            "-e",
            "HTTPS_PROXY=http://other:1",
            "--base",
            BASE,
            &ground.agent,
            "sh",
            "-c",
            script,
        ];
        let said = ground.run(&run, 0);
        let text = fs_err::read_to_string(&ca).unwrap();
        // Without an engine this machine has no other name.
        let machine = if ground.is_native() {
            ""
        } else {
            ",host.docker.internal,host.containers.internal"
        };
        assert_eq!(
            said.stdout,
            format!(
                "/mine.pem /run/aicage/ca-bundle.pem\n{text}http://other:1  http://me:s3cr3t@proxy.example:3128 \
                 corp.example,localhost,127.0.0.1,::1{machine}\n"
            )
        );
        assert!(!said.stderr.contains("s3cr3t"), "{}", said.stderr);
        let dry = ground
            .run(&["--dry-run", "--base", BASE, &ground.agent], 0)
            .stdout;
        assert!(
            dry.contains("HTTPS_PROXY=http://*****@proxy.example:3128"),
            "{dry}"
        );
        assert!(!dry.contains("s3cr3t"), "{dry}");
        let show = ground.run(&["config", "show"], 0).stdout;
        assert!(show.contains("http://*****@proxy.example:3128"), "{show}");
    });
}

#[test]
fn a_proxy_on_this_machines_loopback_is_told_and_can_be_reached_by_another_name() {
    on_every_engine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program(r#"exec "$@""#);
        ground.build();
        let run = |arguments: &[&str]| {
            let mut command = ground.aicage(&["--base", BASE, &ground.agent]);
            command
                .args(arguments)
                .env("http_proxy", "me:s3cr3t@localhost:3128");
            let said = Said::of(&mut command, 0);
            assert!(!said.stderr.contains("s3cr3t"), "{}", said.stderr);
            said
        };
        let said = run(&["sh", "-c", "echo $HTTP_PROXY"]);
        assert_eq!(said.stdout, "http://me:s3cr3t@localhost:3128\n");
        said.tells("the proxy is http://localhost:3128, which containers cannot reach");
        said.tells("aicage config set network.proxy_in_containers host");
        ground.run(&["config", "set", "network.proxy_in_containers", "host"], 0);
        let said = run(&[
            "sh",
            "-c",
            "echo $HTTP_PROXY; grep -c host.docker.internal /etc/hosts",
        ]);
        assert_eq!(
            said.stdout,
            "http://me:s3cr3t@host.docker.internal:3128\n1\n"
        );
        assert_eq!(said.stderr, "");
        ground.run(
            &[
                "config",
                "set",
                "network.proxy_in_containers",
                "http://proxy.example:1",
            ],
            0,
        );
        let said = run(&["sh", "-c", "echo $HTTP_PROXY $HTTPS_PROXY"]);
        assert_eq!(
            said.stdout,
            "http://proxy.example:1 http://proxy.example:1\n"
        );
    });
}

#[test]
fn what_scripts_print_of_proxies_logins_is_not_in_their_logs() {
    on_every_engine(|ground| {
        ground.base("library/busybox:latest");
        ground.define("#!/bin/sh\necho install \"$HTTP_PROXY\"\n");
        ground.write_agent(
            "version.sh",
            "#!/bin/sh\necho version \"$HTTP_PROXY\" >&2\n\
             case $HTTP_PROXY in *192.0.2.1*) exit 1;; esac\necho 1.0\n",
        );
        fs_err::write(
            ground.aicage_home().join("config.yml"),
            "network:\n  proxy: http://me:s3cr3t@192.0.2.2:9\n  \
             proxy_in_containers: http://you:1ns1d3@192.0.2.1:9\n",
        )
        .unwrap();
        ground.build();
        let logs: Vec<String> = ground
            .logs()
            .into_values()
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .collect();
        for shown in [
            "install http://you:*****@192.0.2.1:9",
            "version http://me:*****@192.0.2.2:9",
        ] {
            assert!(
                logs.iter().any(|log| log.contains(shown)),
                "{shown}: {logs:?}"
            );
        }
        let all = logs.concat();
        assert!(!all.contains("s3cr3t") && !all.contains("1ns1d3"), "{all}");
    });
}

/// Puts a small image into the company's registry under a name of the test's own.
fn push_small(company: &Company, repository: &str) -> String {
    let image = format!("{}/{repository}:latest", company.registry);
    shell(
        r#"HTTPS_PROXY=$AICAGE_TEST_PROXY SSL_CERT_FILE=$1 skopeo copy -q --dest-creds aicage:world \
             "oci:$AICAGE_TEST_LAYOUT:busybox" "docker://$2""#,
        &[Path::new(&company.ca), Path::new(&image)],
    );
    image
}

#[test]
fn a_private_registry_is_open_to_what_docker_podman_and_credential_helpers_know() {
    let Some(company) = Company::new() else {
        return;
    };
    let ground = &company.ground;
    let image = push_small(&company, &format!("{}/small", ground.agent));
    let docker = ground.home().join(".docker/config.json");
    let podman = ground.path("auth.json");
    let registry = &company.registry;
    // What `docker login` wrote serves Podman's file too.
    fs_err::rename(&docker, &podman).unwrap();
    let pull = ["image", "pull", image.as_str()];
    company.run(&pull, 1).tells("no credentials are configured");
    let mut command = company.aicage(&pull);
    Said::of(command.env("REGISTRY_AUTH_FILE", &podman), 0);

    let helper = format!(r#"{{"credHelpers":{{"{registry}":"world"}}}}"#);
    fs_err::write(&docker, helper).unwrap();
    let with_helper = |code: i32| {
        let mut command = company.aicage(&["build", &ground.agent, "--base", BASE]);
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", ground.path("bin").display()),
        );
        Said::of(&mut command, code)
    };
    company.base(&image);
    ground.define_program("id -u");
    fs_err::remove_dir_all(ground.aicage_home().join("store")).unwrap();
    let said = with_helper(1);
    said.tells("the credential helper `docker-credential-world`");
    said.tells("is not installed");
    fs_err::create_dir_all(ground.path("bin")).unwrap();
    let program = ground.path("bin/docker-credential-world");
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {registry}' ] || exit 1\n\
         printf '{{\"Username\":\"aicage\",\"Secret\":\"world\"}}'\n"
    );
    fs_err::write(&program, script).unwrap();
    shell(r#"chmod 755 "$1""#, &[&program]);
    with_helper(0);
    let said = company.run(&["--base", BASE, &ground.agent], 0);
    assert_eq!(said.stdout, "0\n");
}
