//! Corners, each by its name.

use std::path::Path;
use std::process::Command;

use crate::layers::names;
use crate::overlay::{Overlay, Steps, inside};

/// Makes a tree by a shell's script, changes it by another, and holds both walks against what is expected.
#[track_caller]
fn check(name: &str, lower: &str, step: &str, expected: &[&str]) {
    inside(&format!("corners::{name}"), |ground| {
        let overlay = Overlay::over(ground, |root| shell(lower, root));
        let captured = overlay.capture_both(Steps::default(), |root| shell(step, root));
        let layer = captured.guided.clone().unwrap();
        assert_eq!(names(&layer), expected);
        assert!(captured.is_equal(), "the bytes are not the same");
        captured.judge(&layer);
    });
}

#[track_caller]
pub(crate) fn shell(script: &str, directory: &Path) {
    let ran = Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    check(
        "nothing_is_written_where_nothing_changed",
        "mkdir -p a/b; echo x > a/b/f",
        "cat a/b/f; ls -R",
        &[],
    );
}

#[test]
fn a_directory_that_was_copied_up_is_only_the_way() {
    check(
        "a_directory_that_was_copied_up_is_only_the_way",
        "mkdir -p a/b/c z; echo x > a/b/c/f; echo y > a/y; echo z > z/z",
        "echo changed > a/b/c/f",
        &["a/", "a/b/", "a/b/c/", "a/b/c/f"],
    );
}

#[test]
fn what_came_and_went_leaves_no_trace() {
    check(
        "what_came_and_went_leaves_no_trace",
        "mkdir a; touch -d 2020-01-01 a",
        "mkdir a/new; echo x > a/f; rm a/f; rmdir a/new; touch -d 2020-01-01 a; chmod 700 a; chmod 755 a",
        &[],
    );
}

#[test]
fn a_mode_that_is_set_again_brings_a_file_but_no_directory() {
    check(
        "a_mode_that_is_set_again_brings_a_file_but_no_directory",
        "mkdir a; echo x > a/f; ln -s f a/l; chmod 644 a/f",
        "chmod 755 a; chmod 644 a/f; touch -h -r a/l a/l",
        &["a/", "a/f"],
    );
}

#[test]
fn a_directory_that_was_removed_and_made_again_loses_what_was_in_it() {
    check(
        "a_directory_that_was_removed_and_made_again_loses_what_was_in_it",
        "mkdir -p a/b/c; echo x > a/b/f; echo x > a/b/c/g; echo k > a/k",
        "rm -r a/b; mkdir a/b; echo n > a/b/n",
        &["a/", "a/b/", "-a/b/c", "-a/b/f", "a/b/n"],
    );
}

#[test]
fn a_directory_in_anothers_place_brings_files_of_the_same_size_and_time() {
    check(
        "a_directory_in_anothers_place_brings_files_of_the_same_size_and_time",
        "mkdir -p v/1/in v/2/in; for v in 1 2; do echo $v > v/$v/in/f; ln -s x$v v/$v/l; done; find . -exec touch -hd 2020-01-01 {} +",
        "mkdir t; cp -a v/2 t/n; rm -r v/1; mv t/n v/1; rmdir t; touch -d 2020-01-01 v",
        &["v/", "v/1/", "v/1/in/", "v/1/in/f", "v/1/l"],
    );
}

#[test]
fn a_file_in_a_directorys_place_and_the_other_way_need_no_removals() {
    check(
        "a_file_in_a_directorys_place_and_the_other_way_need_no_removals",
        "mkdir -p d/e; echo x > d/e/f; echo f > f; ln -s d l; touch -d 2020-01-01 f l",
        "rm -r d; echo now > d; rm f; mkdir f; echo in > f/d; rm l; mkdir -p l/e",
        &["d", "f/", "f/d", "l/", "l/e/"],
    );
}

#[test]
fn a_renamed_directory_is_removed_there_and_new_here() {
    check(
        "a_renamed_directory_is_removed_there_and_new_here",
        "mkdir -p a/b; echo x > a/b/f; echo y > a/y",
        "mv a n",
        &["-a", "n/", "n/b/", "n/b/f", "n/y"],
    );
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    check(
        "names_of_one_file_stay_names_of_one_file",
        "mkdir a b; echo x > a/f; ln a/f b/g; echo o > b/o",
        "echo n > b/new; ln b/new a/new; ln b/o b/p; echo more >> a/f",
        &["a/", "a/f", "a/new", "b/", "b/new=a/new", "b/o", "b/p=b/o"],
    );
}

#[test]
fn one_name_of_two_that_is_gone_leaves_the_other_alone() {
    check(
        "one_name_of_two_that_is_gone_leaves_the_other_alone",
        "echo x > f; ln f g; mkdir d; ln f d/h",
        "rm f",
        &["-f"],
    );
}

#[test]
fn a_removed_tree_is_one_removal() {
    check(
        "a_removed_tree_is_one_removal",
        "mkdir -p a/b/c d; echo x > a/b/c/f; echo k > d/k; echo l > d/l",
        "rm -r a; rm d/k",
        &["-a", "d/", "-d/k"],
    );
}

#[test]
fn what_is_put_where_something_was_removed_is_all_that_is_there() {
    check(
        "what_is_put_where_something_was_removed_is_all_that_is_there",
        "mkdir -p a/b; echo x > a/b/f; echo y > y",
        "rm -r a; mkdir -p a/b/n; rm y; mkfifo y; mkdir q; mv q a/q",
        &["a/", "a/b/", "-a/b/f", "a/b/n/", "a/q/", "y"],
    );
}

#[test]
fn odd_names_and_holes_are_read_through_the_overlay() {
    check(
        "odd_names_and_holes_are_read_through_the_overlay",
        "mkdir -p 'a b' a!; echo x > 'a b/f'; echo y > a!/y",
        "truncate -s 100000 a!/sparse; printf x > 'a b/l\nf'; echo x > \"$(printf 'a b/\\377')\"; mkfifo a!/p",
        &["a b/", "a b/l\\nf", "a b/\\xff", "a!/", "a!/p", "a!/sparse"],
    );
}

#[test]
fn what_a_socket_took_the_place_of_is_gone() {
    check(
        "what_a_socket_took_the_place_of_is_gone",
        "mkdir -p a/s z; echo x > a/s/f; echo f > z/f",
        "rm -r a/s; rm z/f; perl -MSocket -e 'for (@ARGV) { socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($_)) or die }' a/s z/f z/new",
        &["a/", "-a/s", "z/", "-z/f"],
    );
}
