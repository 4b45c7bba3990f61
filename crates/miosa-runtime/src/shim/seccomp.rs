//! System calls nobody inside may make: what changes mounts, namespaces, the kernel or the host's
//! clock, and interfaces with a history of holes that no tool here needs.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// Refused with `EPERM`, whatever the arguments.
const DENIED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// Namespaces of one's own: most kernel holes of the last years need one.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];
/// As a flag of `unshare` only: in `clone` the bits are part of the exit signal.
const CLONE_NEWTIME: i32 = 0x80;

const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];
/// By default, ICMP, TCP, UDP, ICMPv6, raw (the kernel refuses it), MPTCP (Go's servers ask for it).
const PROTOCOLS: [i32; 7] = [0, 1, 6, 17, 58, 255, 262];
const TIOCSTI: i32 = 0x5412;
const TIOCLINUX: i32 = 0x541C;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Compiles the filters, in the order in which they are to be applied.
pub(super) fn build() -> io::Result<Vec<BpfProgram>> {
    let mut denied: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let flags = |bits: &[i32]| {
        bits.iter()
            .map(|bit| has_bit(*bit))
            .collect::<io::Result<Vec<_>>>()
    };
    denied.insert(libc::SYS_clone, flags(&NAMESPACES)?);
    denied.insert(
        libc::SYS_unshare,
        flags(&[&NAMESPACES[..], &[CLONE_NEWTIME]].concat())?,
    );
    denied.insert(
        libc::SYS_ioctl,
        vec![rule(&[equal(1, TIOCSTI)?])?, rule(&[equal(1, TIOCLINUX)?])?],
    );
    // The C library falls back to `clone`, whose flags can be seen.
    let absent = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let families = Rules::from([
        (libc::SYS_socket, sockets()?),
        (libc::SYS_socketpair, sockets()?),
    ]);
    let mut programs = vec![
        compile(denied, libc::EPERM)?,
        compile(absent, libc::ENOSYS)?,
        compile(families, libc::EAFNOSUPPORT)?,
    ];
    if cfg!(target_arch = "x86_64") {
        programs.push(no_x32());
    }
    Ok(programs)
}

/// Applies them; none can be taken off again.
pub(super) fn apply(programs: &[BpfProgram]) -> io::Result<()> {
    programs
        .iter()
        .try_for_each(|program| seccompiler::apply_filter(program))
        .map_err(io::Error::other)
}

fn compile(rules: Rules, errno: i32) -> io::Result<BpfProgram> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

/// Other families, netlink other than routes, and internet protocols nobody uses.
fn sockets() -> io::Result<Vec<SeccompRule>> {
    let all_but = |arg, values: &[i32]| {
        values
            .iter()
            .map(|value| differs(arg, *value))
            .collect::<io::Result<Vec<_>>>()
    };
    let mut rules = vec![
        rule(&all_but(0, &FAMILIES)?)?,
        rule(&[
            equal(0, libc::AF_NETLINK)?,
            differs(2, libc::NETLINK_ROUTE)?,
        ])?,
    ];
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut conditions = vec![equal(0, family)?];
        conditions.extend(all_but(2, &PROTOCOLS)?);
        rules.push(rule(&conditions)?);
    }
    Ok(rules)
}

fn rule(conditions: &[SeccompCondition]) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions.to_vec()).map_err(io::Error::other)
}

fn has_bit(bit: i32) -> io::Result<SeccompRule> {
    let bit = u64::from(bit.cast_unsigned());
    rule(&[condition(0, SeccompCmpOp::MaskedEq(bit), bit)?])
}

fn equal(arg: u8, value: i32) -> io::Result<SeccompCondition> {
    condition(arg, SeccompCmpOp::Eq, u64::from(value.cast_unsigned()))
}

fn differs(arg: u8, value: i32) -> io::Result<SeccompCondition> {
    condition(arg, SeccompCmpOp::Ne, u64::from(value.cast_unsigned()))
}

/// The kernel takes these arguments as 32 bits, whatever stands above them.
fn condition(arg: u8, op: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(arg, SeccompCmpArgLen::Dword, op, value).map_err(io::Error::other)
}

/// Refuses the x32 calls, whose numbers pass by the other filters: bit 30 is set in them.
fn no_x32() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    let refuse = 0x0005_0000 | libc::ENOSYS.cast_unsigned();
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD, 0, 0, 0),
        line(JUMP_IF_SET, 0, 1, X32),
        line(RETURN, 0, 0, refuse),
        line(RETURN, 0, 0, 0x7fff_0000),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile() {
        assert_eq!(build().expect("filters").len(), 4);
    }
}
