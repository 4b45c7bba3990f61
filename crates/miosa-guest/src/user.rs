//! Users and groups of the sandbox, read by hand: a static binary has no name service.

use miosa_api::guest::ExecStart;

use crate::command::NotStarted;
use crate::sys::Identity;

/// A user as `/etc/passwd` and `/etc/group` know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Name, or the number as text where the number has no name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
    /// Home folder.
    pub home: String,
}

impl Account {
    /// The account a command asks for; root when it asks for none.
    pub fn of(start: &ExecStart) -> Result<Self, NotStarted> {
        let wanted = start.user.as_deref().unwrap_or("root");
        // An image without these files still has its numeric users.
        let passwd = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
        let groups = fs_err::read_to_string("/etc/group").unwrap_or_default();
        find(wanted, &passwd, &groups)
            .ok_or_else(|| NotStarted::refused(format!("{wanted}: no such user")))
    }

    /// Who to become.
    pub fn identity(&self) -> Identity {
        Identity {
            uid: self.uid,
            gid: self.gid,
            groups: self.groups.clone(),
        }
    }
}

fn find(wanted: &str, passwd: &str, group: &str) -> Option<Account> {
    let number: Option<u32> = wanted.parse().ok();
    let named = passwd
        .lines()
        .filter_map(account)
        .find(|found| found.name == wanted);
    let numbered = || {
        passwd
            .lines()
            .filter_map(account)
            .find(|found| Some(found.uid) == number)
    };
    let mut account = named
        .or_else(numbered)
        .or_else(|| unnamed(wanted, number))?;
    account.groups = memberships(&account, group);
    Some(account)
}

/// `name:password:uid:gid:comment:home:shell`
fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else {
        return None;
    };
    Some(Account {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        groups: Vec::new(),
        home: if home.is_empty() {
            "/".to_owned()
        } else {
            home.to_owned()
        },
    })
}

/// A numeric user without an entry, and root without `/etc/passwd`.
fn unnamed(wanted: &str, number: Option<u32>) -> Option<Account> {
    let uid = if wanted == "root" { 0 } else { number? };
    let home = if uid == 0 { "/root" } else { "/" };
    let home = home.to_owned();
    Some(Account {
        name: wanted.to_owned(),
        uid,
        gid: uid,
        groups: Vec::new(),
        home,
    })
}

/// `name:password:gid:member,member`
fn memberships(account: &Account, group: &str) -> Vec<u32> {
    let mut groups = vec![account.gid];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields[..] else {
            continue;
        };
        let Ok(gid) = gid.parse() else { continue };
        if members.split(',').any(|member| member == account.name) && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::find;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n# odd\nnode:x:1000:1001::/home/node:\n";
    const GROUP: &str = "root:x:0:\nnode:x:1001:\nwheel:x:10:root,node\naudio:x:29:node2\n";

    #[test]
    fn a_user_is_found_by_name_and_by_number_with_all_groups() {
        for wanted in ["node", "1000"] {
            let node = find(wanted, PASSWD, GROUP).expect("listed");
            assert_eq!(
                (node.uid, node.gid, node.name.as_str()),
                (1000, 1001, "node")
            );
            assert_eq!(
                (node.groups, node.home.as_str()),
                (vec![1001, 10], "/home/node")
            );
        }
    }

    #[test]
    fn numbers_need_no_entry_but_names_do() {
        let user = find("4242", PASSWD, GROUP).expect("numeric");
        assert_eq!((user.uid, user.gid, user.groups), (4242, 4242, vec![4242]));
        assert_eq!(find("nobody", PASSWD, GROUP), None);
        assert_eq!(find("root", "", "").expect("always").home, "/root");
    }
}
