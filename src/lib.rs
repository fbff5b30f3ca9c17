//! payquery: has my payment gone through?
//!
//! A library with a thin binary (`main.rs`), so that tests drive the real thing. Modules import downwards only, in this
//! order: `startup`, `cli`, `database`, then `telemetry`, `config`, `private_postgres`, then `http`, `push` and `intake`,
//! `service`, `delivery`, `feed`, `hub`, `db` and `amqp`, `domain`. `docs/architecture.md` says what each is for.

pub mod amqp;
pub mod cli;
pub mod config;
pub mod database;
pub mod db;
pub mod delivery;
pub mod domain;
pub mod feed;
pub mod http;
pub mod hub;
pub mod intake;
pub mod private_postgres;
pub mod push;
pub mod service;
pub mod startup;
pub mod telemetry;
