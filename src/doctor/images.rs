//! Images of ours in the engine that have lost their names, and what killed runs left behind.

use std::time::SystemTime;

use assembler::provenance::PROVENANCE_LABEL;

use crate::{
    engine::docker::{Docker, Listed},
    leftovers::{self, Leftover, LogLimits},
    printer::bytes,
    settings::Settings,
};

use super::finding::{Check, Finding};

/// Lists images of ours without a name.
pub(super) async fn look(docker: &Docker) -> Finding {
    match docker.images().await {
        Ok(listings) => judge(docker.info().program(), &listings),
        Err(error) => Finding::skipped(Check::Images, crate::diagnostic::sentence(&error)),
    }
}

fn judge(program: &str, listings: &[Listed]) -> Finding {
    let ours = listings.iter().filter(|listing| {
        let labels = listing.labels.iter().flatten();
        labels.into_iter().any(|(name, _)| name == PROVENANCE_LABEL)
    });
    let (mut number, mut nameless, mut size) = (0_usize, 0_usize, 0_u64);
    for listing in ours {
        number += 1;
        let names = listing.repo_tags.iter().flatten();
        if names.filter(|name| *name != "<none>:<none>").count() == 0 {
            nameless += 1;
            size = size.saturating_add(listing.size);
        }
    }
    if nameless == 0 {
        return Finding::ok(
            Check::Images,
            format!("{number} images of aicage's in the engine, all with a name"),
        );
    }
    Finding::note(
        Check::Images,
        format!(
            "{nameless} images of aicage's in the engine have no name any more, {} with what they share",
            bytes(size)
        ),
    )
    .why("Newer ones took their names; a session that still runs may need one of them.")
    .next(format!(
        "{program} image prune --filter label={PROVENANCE_LABEL}"
    ))
}

/// Looks for what killed runs left: containers, scratch files, logs that nobody needs.
pub(super) async fn leftovers(
    settings: &Settings,
    docker: Option<&Docker>,
    now: SystemTime,
) -> Finding {
    let abandoned = match docker {
        Some(docker) => docker.abandoned().await.unwrap_or_default().len(),
        None => 0,
    };
    let settings = settings.clone();
    let found =
        crate::aside::aside(move || leftovers::find(&settings, now, LogLimits::default())).await;
    judge_leftovers(abandoned, &found)
}

fn judge_leftovers(containers: usize, files: &[Leftover]) -> Finding {
    let size: u64 = files.iter().map(|file| file.bytes).sum();
    if containers == 0 && files.is_empty() {
        return Finding::ok(Check::Leftovers, "nothing is left of earlier runs");
    }
    Finding::note(
        Check::Leftovers,
        format!(
            "{containers} containers and {} files ({}) are left of earlier runs",
            files.len(),
            bytes(size)
        ),
    )
    .why("They were killed. The next build takes all of it away by itself.")
    .next("aicage cache prune")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{doctor::finding::State, leftovers::LeftoverKind};

    fn listing(names: &[&str], label: &str) -> Listed {
        Listed {
            id: "sha256:1".to_owned(),
            repo_tags: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            size: 5_000_000,
            labels: Some([(label.to_owned(), "1".to_owned())].into()),
            manifests: None,
        }
    }

    #[test]
    fn only_images_of_ours_without_a_name_are_told() {
        let ours = listing(&["aicage:codex-debian"], PROVENANCE_LABEL);
        let foreign = listing(&[], "other");
        assert_eq!(
            judge("docker", &[ours.clone(), foreign.clone()]).state,
            State::Ok
        );
        let listings = [
            ours,
            foreign,
            listing(&[], PROVENANCE_LABEL),
            listing(&["<none>:<none>"], PROVENANCE_LABEL),
        ];
        let found = judge("podman", &listings);
        let next = found.next.as_deref().unwrap_or_default();
        assert!(next.starts_with("podman image prune "), "{found:?}");
        assert_eq!(found.state, State::Note);
        assert!(found.seen.starts_with("2 images"), "{found:?}");
        assert!(found.seen.contains("10.0 MB"), "{found:?}");
    }

    #[test]
    fn what_is_left_of_killed_runs_is_counted() {
        assert_eq!(judge_leftovers(0, &[]).state, State::Ok);
        let file = Leftover {
            kind: LeftoverKind::Scratch,
            path: "/x".into(),
            bytes: 2000,
        };
        let found = judge_leftovers(1, &[file]);
        assert_eq!(found.state, State::Note);
        assert!(
            found.seen.contains("1 containers and 1 files (2.0 kB)"),
            "{found:?}"
        );
    }
}
