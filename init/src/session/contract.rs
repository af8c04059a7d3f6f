//! What the caller asks of a session, by environment variables.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::SessionError;

type Variables = BTreeMap<OsString, OsString>;

/// Where programs are if nobody says so.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment, understood.
pub(super) struct Contract {
    pub(super) workspace: PathBuf,
    /// The agent; a shell if nobody says.
    pub(super) command: Option<OsString>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) user: String,
    pub(super) home: PathBuf,
    /// Below which directory the caller's files are mounted.
    pub(super) mount_home: PathBuf,
    pub(super) zone: Option<String>,
    variables: Variables,
}

impl Contract {
    pub(super) fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SessionError> {
        let variables: Variables = variables.into_iter().collect();
        let given = |name: &str| {
            variables
                .get(OsStr::new(name))
                .filter(|value| !value.is_empty())
        };
        let number = |name: &'static str| match given(name) {
            None => Ok(0),
            Some(value) => value
                .to_str()
                .and_then(|text| text.parse::<u32>().ok())
                .ok_or_else(|| SessionError::Number {
                    name,
                    value: value.display().to_string(),
                }),
        };
        let (uid, gid) = (number("AICAGE_UID")?, number("AICAGE_GID")?);
        let user = given("AICAGE_HOST_USER").or(given("AICAGE_USERNAME"));
        let user = user.map_or("root".to_owned(), |name| user_name(&name.to_string_lossy()));
        let is_root = user == "root" || (uid, gid) == (0, 0);
        let usual_home = if is_root {
            PathBuf::from("/root")
        } else {
            PathBuf::from("/home").join(&user)
        };
        let home = given("AICAGE_HOME").map_or(usual_home, PathBuf::from);
        Ok(Self {
            workspace: given("AICAGE_WORKSPACE").map_or_else(|| "/workspace".into(), PathBuf::from),
            command: given("AICAGE_ENTRYPOINT_CMD").cloned(),
            uid: if is_root { 0 } else { uid },
            gid: if is_root { 0 } else { gid },
            user: if is_root { "root".to_owned() } else { user },
            mount_home: given("AICAGE_MOUNT_HOME").map_or_else(|| home.clone(), PathBuf::from),
            home,
            zone: given("TZ").map(|zone| zone.to_string_lossy().into_owned()),
            variables,
        })
    }

    pub(super) const fn is_root(&self) -> bool {
        self.uid == 0 && self.gid == 0
    }

    /// Without root's rights nothing can be changed about who runs.
    pub(super) fn stay_who_we_are(&mut self) {
        self.uid = rustix::process::getuid().as_raw();
        self.gid = rustix::process::getgid().as_raw();
    }

    /// The agent's environment.
    pub(super) fn environment(&self) -> Variables {
        let mut variables = self.variables.clone();
        let mut set = |name: &str, value: &OsStr| variables.insert(name.into(), value.to_owned());
        set("HOME", self.home.as_os_str());
        set("USER", self.user.as_ref());
        set("LOGNAME", self.user.as_ref());
        let mut path = self.home.join(".local/bin").into_os_string();
        path.push(":");
        path.push(
            self.variables
                .get(OsStr::new("PATH"))
                .map_or(OsStr::new(USUAL_PATH), OsString::as_os_str),
        );
        set("PATH", &path);
        variables
    }
}

/// Longest name that programs take.
const LONGEST: usize = 255;

/// Makes a name that `/etc/passwd` can hold; hosts know `DOMAIN\user` and more.
fn user_name(name: &str) -> String {
    let fits =
        |letter: char| !(letter.is_control() || letter.is_whitespace() || ":/\\,".contains(letter));
    let mut fitting = String::new();
    for letter in name.chars() {
        let letter = if fits(letter) { letter } else { '_' };
        // With a sign in front it would be an option, or a line of another service.
        if fitting.is_empty() && "-+~".contains(letter) {
            fitting.push('_');
        }
        if fitting.len() + letter.len_utf8() > LONGEST {
            break;
        }
        fitting.push(letter);
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(variables: &[(&str, &str)]) -> Result<Contract, SessionError> {
        Contract::new(
            variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        )
    }

    #[test]
    fn without_variables_the_session_is_root_in_its_own_home() {
        let contract = contract(&[]).unwrap();
        assert!(contract.is_root());
        assert_eq!(
            (contract.home, contract.workspace),
            ("/root".into(), "/workspace".into())
        );
    }

    #[test]
    fn any_name_becomes_one_that_a_line_can_hold() {
        let (long, longest) = ("x".repeat(300), "x".repeat(255));
        for (name, expected) in [
            ("jürgen", "jürgen"),
            ("max.mustermann@corp", "max.mustermann@corp"),
            ("machine$", "machine$"),
            ("CORP\\max", "CORP_max"),
            ("a b:c,d/e", "a_b_c_d_e"),
            ("-rf", "_-rf"),
            (long.as_str(), longest.as_str()),
        ] {
            assert_eq!(user_name(name), expected);
        }
    }

    #[test]
    fn the_older_and_the_newer_name_of_the_user_are_understood() {
        for name in ["AICAGE_HOST_USER", "AICAGE_USERNAME"] {
            let contract = contract(&[
                (name, "CORP\\max"),
                ("AICAGE_UID", "1000"),
                ("AICAGE_GID", "20"),
            ])
            .unwrap();
            assert_eq!(
                (contract.user.as_str(), contract.uid, contract.gid),
                ("CORP_max", 1000, 20)
            );
            assert_eq!(contract.home, PathBuf::from("/home/CORP_max"));
        }
        assert!(contract(&[("AICAGE_UID", "me")]).is_err());
    }
}
