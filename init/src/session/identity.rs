//! The user's lines in `/etc/passwd`, `/etc/group` and `/etc/shadow`, written without any tool of the image.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use fs_err as fs;

use super::Mounted;
use super::contract::Contract;

/// Where programs look for the engine's socket, whatever is mounted there.
const SOCKET: &str = "/var/run/docker.sock";

/// Makes the user known; returns the further groups that it is in.
pub(super) fn install(contract: &Contract, mounted: &Mounted) -> io::Result<Vec<u32>> {
    let sockets = sockets(contract, mounted);
    let shell = if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    rewrite("/etc/passwd", |text| passwd(text, contract, shell))?;
    if Path::new("/etc/shadow").exists() {
        rewrite("/etc/shadow", |text| shadow(text, &contract.user))?;
    }
    rewrite("/etc/group", |text| group(text, contract, &sockets))?;
    Ok(groups(contract))
}

/// Returns the further groups that the user is in.
pub(super) fn groups(contract: &Contract) -> Vec<u32> {
    let text = fs::read_to_string("/etc/group").unwrap_or_default();
    further_groups(&text, contract)
}

/// Returns the groups that may use the sockets that are mounted.
fn sockets(contract: &Contract, mounted: &Mounted) -> Vec<u32> {
    let mut groups: Vec<u32> = mounted
        .all()
        .chain([Path::new(SOCKET)])
        .filter_map(|path| fs::metadata(path).ok())
        .filter(|metadata| {
            metadata.file_type().is_socket()
                && metadata.uid() != contract.uid
                && metadata.mode() & 0o060 == 0o060
        })
        .map(|metadata| metadata.gid())
        // Root's group may more than use a socket.
        .filter(|gid| *gid != 0 && *gid != contract.gid)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn rewrite(path: &str, change: impl FnOnce(&str) -> String) -> io::Result<()> {
    let old = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let new = change(&old);
    if new == old {
        return Ok(());
    }
    if let Some(directory) = Path::new(path).parent() {
        fs::create_dir_all(directory)?;
    }
    // The inode stays: it may be mounted, and its mode and owner are the image's.
    fs::write(path, new)
}

fn field(line: &str, number: usize) -> &str {
    line.split(':').nth(number).unwrap_or_default()
}

fn passwd(old: &str, contract: &Contract, shell: &str) -> String {
    let Contract {
        uid,
        gid,
        user,
        home,
        ..
    } = contract;
    let others = |line: &&str| field(line, 0) != user && field(line, 2) != uid.to_string();
    let mut lines: Vec<String> = old.lines().filter(others).map(str::to_owned).collect();
    let home = home.display().to_string();
    // A line has no way to say such a name; `HOME` does.
    let home = if home.contains([':', '\n']) {
        "/"
    } else {
        &home
    };
    lines.push(format!("{user}:x:{uid}:{gid}:{user}:{home}:{shell}"));
    ended(&lines)
}

fn shadow(old: &str, user: &str) -> String {
    let mut lines: Vec<String> = old
        .lines()
        .filter(|line| field(line, 0) != user)
        .map(str::to_owned)
        .collect();
    lines.push(format!("{user}:!:19000:0:99999:7:::"));
    ended(&lines)
}

fn group(old: &str, contract: &Contract, sockets: &[u32]) -> String {
    let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
    ensure_group(&mut lines, contract.gid, &contract.user);
    for gid in sockets {
        let place = ensure_group(&mut lines, *gid, "docker");
        let line = &mut lines[place];
        if !field(line, 3)
            .split(',')
            .any(|member| member == contract.user)
        {
            if !field(line, 3).is_empty() {
                line.push(',');
            }
            line.push_str(&contract.user);
        }
    }
    ended(&lines)
}

/// Finds the group of this number or adds one; a name that is taken gets the number behind it.
fn ensure_group(lines: &mut Vec<String>, gid: u32, name: &str) -> usize {
    let number = gid.to_string();
    if let Some(place) = lines.iter().position(|line| field(line, 2) == number) {
        return place;
    }
    let taken = lines.iter().any(|line| field(line, 0) == name);
    let name = if taken {
        format!("{name}-{gid}")
    } else {
        name.to_owned()
    };
    lines.push(format!("{name}:x:{gid}:"));
    lines.len() - 1
}

fn further_groups(text: &str, contract: &Contract) -> Vec<u32> {
    let is_member = |line: &&str| {
        field(line, 3)
            .split(',')
            .any(|member| member == contract.user)
    };
    let numbers = text
        .lines()
        .filter(is_member)
        .filter_map(|line| field(line, 2).parse().ok());
    numbers.filter(|gid| *gid != contract.gid).collect()
}

fn ended(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn max() -> Contract {
        let variables = [
            ("AICAGE_UID", "1000"),
            ("AICAGE_GID", "1000"),
            ("AICAGE_HOST_USER", "max"),
        ];
        Contract::new(variables.map(|(name, value)| (name.into(), value.into()))).unwrap()
    }

    #[test]
    fn the_user_takes_the_number_from_whoever_had_it() {
        let old = "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\nmax:x:7:7::/:/bin/sh\n";
        let new = "root:x:0:0:root:/root:/bin/bash\nmax:x:1000:1000:max:/home/max:/bin/sh\n";
        assert_eq!(passwd(old, &max(), "/bin/sh"), new);
        assert_eq!(passwd(new, &max(), "/bin/sh"), new);
    }

    #[test]
    fn a_group_of_the_number_is_kept_and_one_of_the_name_does_not_matter() {
        assert_eq!(group("users:x:1000:\n", &max(), &[]), "users:x:1000:\n");
        assert_eq!(
            group("max:x:5:\n", &max(), &[]),
            "max:x:5:\nmax-1000:x:1000:\n"
        );
    }

    #[test]
    fn the_user_joins_the_group_of_the_engines_socket() {
        let text = group("docker:x:5:a\nmax:x:1000:\n", &max(), &[998]);
        assert_eq!(text, "docker:x:5:a\nmax:x:1000:\ndocker-998:x:998:max\n");
        assert_eq!(further_groups(&text, &max()), [998]);
        assert_eq!(
            group("d:x:998:a\nmax:x:1000:\n", &max(), &[998]),
            "d:x:998:a,max\nmax:x:1000:\n"
        );
    }
}
