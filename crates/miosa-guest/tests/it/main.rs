//! The real agent, spoken to over its socket as the host does.

mod agent;
mod exec;
mod files;
mod init;
mod ports;
mod processes;
