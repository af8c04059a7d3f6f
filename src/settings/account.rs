//! Who the caller is: numbers from the kernel, name and home from `/etc/passwd`.

use std::path::PathBuf;

/// The calling user.
#[derive(Debug, Clone)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Login name; `aicage` for a number that has none.
    pub name: String,
    /// Home directory, as `/etc/passwd` has it.
    pub home: Option<PathBuf>,
}

impl Account {
    /// Reads the account; `user` is what the environment claims, used only where `/etc/passwd` has nothing.
    pub fn read(user: Option<&str>) -> Self {
        let uid = rustix::process::getuid().as_raw();
        let gid = rustix::process::getgid().as_raw();
        let passwd = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
        let line = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields.as_slice() {
                [name, _, number, _, _, home, _] if number.parse() == Ok(uid) => {
                    Some(((*name).to_owned(), PathBuf::from(home)))
                }
                _ => None,
            }
        });
        let (name, home) = match line {
            Some((name, home)) => (Some(name), Some(home)),
            None => (None, None),
        };
        Self {
            uid,
            gid,
            name: name
                .or_else(|| user.filter(|user| !user.is_empty()).map(str::to_owned))
                .unwrap_or_else(|| "aicage".to_owned()),
            home,
        }
    }
}
