//! A whole tree: what is no part of it is left out, and said once.

use std::{collections::BTreeSet, os::fd::AsFd as _};

use layer::{
    LayerPath, PathIndex,
    capture::{Beneath, Extent, Scope, Timestamp, Warning, capture},
    tar::LayerWriter,
};

use crate::{corners::shell, layers::names, overlay::inside};

#[test]
fn a_filesystem_in_a_tree_is_left_out_and_told_of_unless_the_list_of_mounts_did() {
    inside(
        "tree::a_filesystem_in_a_tree_is_left_out_and_told_of_unless_the_list_of_mounts_did",
        |ground| {
            let script = "mkdir -p t/d/sub t/home t/proc; cd t; mount -t tmpfs none home; \
                mount -t tmpfs none d/sub; mount -t tmpfs none proc; touch home/x d/sub/x proc/x d/y";
            shell(script, ground.path);
            let root = fs_err::File::open(ground.path.join("t")).unwrap();
            // Of what a subvolume of btrfs is, no list tells.
            let mounted = BTreeSet::from([LayerPath::new("home").unwrap()]);
            let scope = Scope {
                index: &PathIndex::default(),
                extent: Extent::Tree {
                    mounted: &mounted,
                    nobody: None,
                },
                since: Timestamp {
                    seconds: i64::MIN,
                    nanoseconds: 0,
                },
                skip: BTreeSet::new(),
                beneath: &Beneath::default(),
                latest: None,
            };
            let mut told = Vec::new();
            let mut writer = LayerWriter::new(Vec::new());
            capture(root.file().as_fd(), &scope, &mut writer, &mut |warning| {
                told.push(warning);
            })
            .unwrap();
            let layer = writer.finish().unwrap();
            assert_eq!(
                names(&layer),
                ["./", "d/", "d/sub/", "d/y", "home/", "proc/"]
            );
            let path = LayerPath::new("d/sub").unwrap();
            assert_eq!(told, [Warning::Filesystem { path }]);
        },
    );
}
