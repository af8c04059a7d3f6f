//! A company's authorities: what sessions have of them, and what is told of those that are of no use.

use crate::{
    company::on_every_engine_and_this_machine,
    ground::{BASE, on_this_machine, variable},
};

#[test]
fn a_session_of_an_image_with_an_entrypoint_of_its_own_has_both_kinds_of_authorities() {
    let Some(ca) = variable("AICAGE_TEST_COMPANY_CA") else {
        return;
    };
    on_every_engine_and_this_machine(|ground| {
        ground.base("library/busybox:latest");
        let base = ground.aicage_home().join("custom/image-base").join(BASE);
        let dockerfile = r#"ARG FROM_IMAGE
FROM ${FROM_IMAGE}
ENV AICAGE_ENTRYPOINT_CMD=sh
RUN mkdir -p /etc/ssl/certs && echo own >/etc/ssl/certs/all && ln -s ../ssl/certs/all /etc/ssl/cert.pem \
 && printf '#!/bin/sh\nexec "$AICAGE_ENTRYPOINT_CMD" "$@"\n' >/entrypoint.sh && chmod 755 /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
"#;
        fs_err::write(base.join("Dockerfile"), dockerfile).unwrap();
        ground.define_program(r#"exec "$@""#);
        ground.run(&["config", "set", "network.ca", &ca], 0);
        for _ in 0..2 {
            let said = ground.start(&["sh", "-c", "cat $SSL_CERT_FILE"], 0);
            let text = fs_err::read_to_string(&ca).unwrap();
            assert_eq!(said.stdout, format!("own\n{text}"), "{}", said.stderr);
        }
        assert_eq!(ground.containers(&[]), Vec::<String>::new());
    });
}

#[test]
fn a_certificate_that_has_expired_is_told_of_when_something_is_built_and_at_no_start() {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 3, 4);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let expired = params.self_signed(&rcgen::KeyPair::generate().unwrap());
    let expired = expired.unwrap().pem();
    on_this_machine(|ground| {
        ground.base("library/busybox:latest");
        ground.define_program("true");
        let file = ground.path("ca.pem");
        fs_err::write(&file, &expired).unwrap();
        let file = file.to_str().unwrap();
        ground.run(&["config", "set", "network.ca", file], 0);
        ground.build().tells("expired on 2020-03-04");
        for _ in 0..2 {
            let said = ground.start(&[], 0);
            assert!(!said.stderr.contains("expired"), "{}", said.stderr);
        }
    });
}
