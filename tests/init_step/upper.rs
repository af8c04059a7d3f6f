//! A step that is given the upper directory of its root looks for changes there alone.

use crate::{
    EVERY_KIND,
    container::{Ground, Step, can_make_containers},
};

const UPPER: Ground<'_> = Ground {
    options: ",userxattr",
    upper: "upper",
};
const WHOLE: Ground<'_> = Ground {
    options: ",userxattr",
    upper: "",
};

#[test]
fn the_upper_directory_alone_gives_the_same_layer() {
    if !can_make_containers() {
        return;
    }
    let destroyer = "#!/bin/sh
cd /; cp bin/busybox /busybox; /busybox rm -rf /.aicage-n1 /bin /etc /usr; /busybox true
";
    let brings_back = "#!/bin/sh
set -e
cd /; mkdir t; cp -a versions/2 t/n; rm -r versions/1; mv t/n versions/1; rmdir t
rm -r opt; mkdir -p opt/tool; ln old/linked opt/tool/linked; mkdir dev2; ln bin/busybox dev2/b
";
    let nothing = "#!/bin/sh\ncat /etc/one\n";
    for script in [EVERY_KIND, destroyer, brings_back, nothing] {
        let clamped = r#""mode":"capture","source_date_epoch":0"#;
        let whole = Step::run_on(WHOLE, script.as_bytes(), clamped);
        whole.sure_captured();
        let guided = Step::run_on(UPPER, script.as_bytes(), &format!(r#"{clamped},"upper":5"#));
        guided.sure_captured();
        assert_eq!(guided.names(), whole.names(), "{script}");
        assert!(guided.layer == whole.layer, "the bytes differ: {script}");
        let settings = r#""mode":"capture","upper":5"#;
        Step::run_on(UPPER, script.as_bytes(), settings).judge();
    }
}

#[test]
fn no_program_of_a_step_inherits_the_upper_directory() {
    if !can_make_containers() {
        return;
    }
    let settings = r#""mode":"query","upper":5"#;
    let look = br#"#!/bin/sh
for place in /proc/self/fd/*; do [ ! -d "$place" ] || ls -l "$place/"; done
[ ! -e /proc/self/fd/5 ] || echo "there is a fifth"
ls /proc/self/fd > /dev/null && echo looked
"#;
    let step = Step::run_on(UPPER, look, settings);
    assert_eq!(
        String::from_utf8_lossy(&step.layer),
        "looked\n",
        "{}",
        step.stderr
    );

    let run = r#"{"label":"RUN","action":{"run":{"argv":["/bin/sh","-c","ls /proc/self/fd > /seen; [ ! -e /proc/self/fd/5 ] || echo fifth > /inherited"],"env":{},"user":null,"directory":"/"}}}"#;
    let settings = format!(r#""mode":"capture","upper":5,"instructions":[{run}]"#);
    let step = Step::run_on(UPPER, b"", &settings);
    step.sure_captured();
    assert_eq!(step.names(), ["seen"], "{}", step.stderr);
}

#[test]
fn what_is_not_the_upper_directory_is_refused() {
    if !can_make_containers() {
        return;
    }
    let ground = |options, upper| Ground { options, upper };
    for (ground, number, why) in [
        (
            UPPER,
            1,
            "the upper directory's descriptor 1 is that of a standard stream",
        ),
        (
            UPPER,
            -1,
            "the upper directory's descriptor -1 is that of a standard stream",
        ),
        (UPPER, 7, "the upper directory's descriptor 7 is not open"),
        (
            ground(",userxattr", "step/step.json"),
            5,
            "the upper directory's descriptor 5 is not that of a directory",
        ),
        (
            ground(",userxattr", "lower"),
            5,
            "what is made in / is not in it",
        ),
        (
            ground("", "upper"),
            5,
            "/ is no overlay filesystem that is mounted with userxattr",
        ),
    ] {
        let settings = format!(r#""mode":"capture","upper":{number}"#);
        let step = Step::run_on(ground, b"#!/bin/sh\ntouch /x\n", &settings);
        let expected = format!(
            "{{\"status\":\"error\",\"message\":\"the upper directory cannot be used: {why}\"}}\n"
        );
        assert_eq!(step.answer, expected, "{}", step.stderr);
        assert!(step.layer.is_empty());
    }
}
