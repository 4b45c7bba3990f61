//! Real sandboxes: needs root, busybox-static, nftables and e2fsprogs.

mod lifecycle;
mod world;
