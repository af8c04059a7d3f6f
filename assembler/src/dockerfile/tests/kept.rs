//! What Dockerfiles gave is found again, through the public door.

use super::super::bench::*;
use crate::{
    foresee::{foresee, is_result},
    provenance::How,
    store::BlobStore,
    testing::add_image,
};

#[test]
fn what_a_dockerfile_gave_outlives_the_stages_that_it_copied_from() {
    let bench = Bench::new();
    let store = bench.store();
    let other = add_image(store, &[&[("opt/", b""), ("opt/tool", b"tool")]]);
    let mut build = build_of("");
    build.text = "ARG BASE_IMAGE\nFROM $BASE_IMAGE AS made\nRUN make\nFROM $BASE_IMAGE\n\
                  COPY --from=made /etc/below /a\nCOPY --from=other:1 /opt /opt\nENV A=1\n"
        .into();
    build.images.insert("other:1".to_owned(), *other.digest());
    let assembled = bench.assemble(build.clone()).unwrap();
    let record = &assembled.dockerfiles[0];
    assert_eq!(
        (record.digest, &record.images),
        (build.digest(), &build.images)
    );
    bench.name("localhost/made:1", &assembled);
    let side = |store: &BlobStore| {
        fs_err::read_dir(store.root().join("layers"))
            .unwrap()
            .count()
    };
    assert_eq!(side(store), 2);
    bench.prune();
    assert_eq!(side(store), 1, "the stage's layer is in no image");
    assert!(
        !store.has(&other.layers()[0].descriptor).unwrap(),
        "the other image's layer neither"
    );
    assert_eq!(
        store.image(other.digest()).unwrap().digest(),
        other.digest(),
        "its documents stay"
    );
    bench.notes.0.lock().unwrap().clear();

    let recipe = bench.recipe(build.clone());
    let foreseen = foresee(store, &recipe).unwrap();
    assert!(
        is_result(&assembled.image, &recipe, (&bench.base.image, &foreseen)).unwrap(),
        "what is there is still known to be the result"
    );
    let again = bench.assemble(build.clone()).unwrap();
    assert_eq!(again.image.digest(), assembled.image.digest());
    assert_eq!(*bench.notes.0.lock().unwrap(), [""; 0], "nothing runs");
    assert_eq!(again.records.last().unwrap().how, How::Reused);

    let moved = add_image(store, &[&[("opt/", b""), ("opt/tool", b"newer")]]);
    build.images.insert("other:1".to_owned(), *moved.digest());
    let foreseen = foresee(store, &bench.recipe(build)).unwrap();
    assert!(foreseen[0].image.is_none(), "another image, another result");
}
