//! Laws of layers, held against generated input and against GNU tar.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod gnu_tar;
mod refusals;
mod trees;

use std::io;

use layer::{
    Entry, IndexKind, LayerItem, PathIndex,
    tar::{LayerReader, LayerWriter, Limits, recanonicalise},
};
use proptest::prelude::*;

use crate::trees::{Items, Markers, index, merged_slowly, path, read, tree, write};

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_what_is_read(items in tree(Markers::With)) {
        let bytes = write(&items);
        let mut back = read(&bytes);
        let mut items = items;
        let key = |(item, _): &(LayerItem, Vec<u8>)| format!("{item:?}");
        back.sort_by_key(key);
        items.sort_by_key(key);
        prop_assert_eq!(back, items);
    }

    #[test]
    fn the_order_in_which_items_are_given_does_not_reach_the_bytes(items in tree(Markers::With), turn in 0..24_usize) {
        let mut turned = items.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
            turned.reverse();
        }
        prop_assert_eq!(write(&items), write(&turned));
        prop_assert_eq!(index(&items), index(&turned));
    }

    #[test]
    fn a_canonical_layer_is_copied_byte_for_byte(items in tree(Markers::With)) {
        let bytes = write(&items);
        let reader = LayerReader::new(bytes.as_slice(), Limits::default());
        let (copy, found) = recanonicalise(reader, LayerWriter::new(Vec::new())).unwrap();
        prop_assert_eq!(copy, bytes);
        prop_assert_eq!(found, index(&items));
    }

    #[test]
    fn an_index_survives_its_bytes(items in tree(Markers::With)) {
        let index = index(&items);
        prop_assert_eq!(PathIndex::from_bytes(&index.to_bytes()).unwrap(), index);
    }

    #[test]
    fn a_flipped_byte_of_an_index_is_found(items in tree(Markers::With), at in any::<prop::sample::Index>()) {
        let mut bytes = index(&items).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 0x10;
        prop_assert!(PathIndex::from_bytes(&bytes).is_err());
    }

    #[test]
    fn a_merge_is_what_applying_the_layer_gives(lower in tree(Markers::Without), upper in tree(Markers::With)) {
        let fast = index(&lower).merge(&index(&upper));
        let slow = index(&merged_slowly(&lower, &upper));
        // A hard link whose other name a later layer took has no file to take its metadata from.
        let paths = |index: &PathIndex| {
            let mtime = |entry: &layer::IndexEntry<'_>| match entry.kind {
                IndexKind::HardLink(_) => 0,
                _ => entry.mtime,
            };
            index.iter().map(|entry| format!("{} {:?} {}", entry.path(), entry.kind, mtime(&entry))).collect::<Vec<_>>()
        };
        prop_assert_eq!(paths(&fast), paths(&slow));
    }

    #[test]
    fn applying_a_difference_gives_the_other_index(before in tree(Markers::With), after in tree(Markers::With)) {
        let (before, after) = (index(&before), index(&after));
        prop_assert_eq!(layer::difference::apply(&layer::difference::diff(&before, &after), &before), after);
    }

    #[test]
    fn no_bytes_make_the_reader_fall_over(mut items in tree(Markers::With).prop_map(|items| write(&items)), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for (at, byte) in edits {
            let at = at.index(items.len());
            items[at] = byte;
        }
        let mut reader = LayerReader::new(items.as_slice(), Limits { total_bytes: 1 << 20, ..Limits::default() });
        while let Ok(Some(_)) = reader.next_item() {
            if io::copy(&mut reader, &mut io::sink()).is_err() {
                break;
            }
        }
    }
}

#[test]
fn names_of_every_length_survive() {
    for length in 1..=400 {
        let name = vec![b'n'; length.min(255)];
        let mut items: Items = Vec::new();
        let mut full = name.clone();
        if length > 255 {
            items.push((
                LayerItem::Entry(Entry::directory(path(&name), 0o755)),
                Vec::new(),
            ));
            full.push(b'/');
            full.extend(vec![b'm'; length - 255]);
        }
        items.push((
            LayerItem::Entry(Entry::file(path(&full), 0o644, 1)),
            b"x".to_vec(),
        ));
        let mut link = full.clone();
        link.push(b'l');
        items.push((
            LayerItem::Entry(Entry::symlink(path(&link), full)),
            Vec::new(),
        ));
        assert_eq!(read(&write(&items)), items, "at length {length}");
    }
}
