//! Real sandboxes: needs root, busybox-static, nftables and e2fsprogs.

mod confinement;
mod leftovers;
mod lifecycle;
mod limits;
mod network;
mod snapshots;
mod world;
