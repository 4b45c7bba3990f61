//! Three routing messages by hand: loopback up, its address, and all of IPv4 as local.

use std::io;
use std::net::Ipv4Addr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
/// Request, acknowledge.
const CHANGE: u16 = 0x1 | 0x4;
/// The same; create, only if new.
const CREATE: u16 = CHANGE | 0x400 | 0x200;
const AF_INET: u8 = 2;
/// Loopback is the first device of every network namespace.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;

/// Brings loopback up in this network namespace.
pub(super) fn loopback_up() -> io::Result<()> {
    let mut body = vec![0; 4];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    request(RTM_NEWLINK, CHANGE, &body)
}

/// Gives loopback an address.
pub(super) fn add_address(address: Ipv4Addr) -> io::Result<()> {
    let mut body = vec![AF_INET, 32, 0, 0];
    body.extend(LOOPBACK.to_ne_bytes());
    body.extend(attribute(IFA_LOCAL, address.octets()));
    body.extend(attribute(IFA_ADDRESS, address.octets()));
    request(RTM_NEWADDR, CREATE, &body)
}

/// Makes every IPv4 address one of this namespace; what is sent comes from `source`.
pub(super) fn all_is_local(source: Ipv4Addr) -> io::Result<()> {
    let mut body = vec![
        AF_INET,
        0,
        0,
        0,
        RT_TABLE_LOCAL,
        RTPROT_BOOT,
        RT_SCOPE_HOST,
        RTN_LOCAL,
    ];
    body.extend([0; 4]);
    body.extend(attribute(RTA_OIF, LOOPBACK.to_ne_bytes()));
    body.extend(attribute(RTA_PREFSRC, source.octets()));
    request(RTM_NEWROUTE, CREATE, &body)
}

fn attribute(kind: u16, value: [u8; 4]) -> Vec<u8> {
    [&8_u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat()
}

/// Sends one message and waits for its acknowledgement.
fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // Routing is protocol 0.
        None,
    )?;
    let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    rustix::net::sendto(
        &socket,
        &message,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = [0; 4096];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // Header, then the error as a negative number; 0 is the acknowledgement.
    match answer[..length]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes)
    {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
